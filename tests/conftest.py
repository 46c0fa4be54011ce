"""What holds for all tests: one thread for BLAS, no caches of stale code, no leaking flags."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".pytest_cache"

# Before any library that reads them is imported.
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["NUMBA_NUM_THREADS"] = "2"
os.environ["NUMBA_CACHE_DIR"] = str(CACHE / "numba")
# JAX compiles anew for every backend object, and knows what it has compiled by what it is to do.
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(CACHE / "jax")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

from hypothesis import configuration, settings  # noqa: E402

configuration.set_hypothesis_home_dir(CACHE / "hypothesis")
settings.register_profile("lstmbench", deadline=None, derandomize=True, database=None)
settings.load_profile("lstmbench")


KILL_RATES = pytest.StashKey[list[str]]()


@pytest.fixture
def record_kill_rate(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Have a line printed at the end of the tests."""
    return pytestconfig.stash.setdefault(KILL_RATES, []).append


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    lines = config.stash.get(KILL_RATES, [])
    if lines:
        terminalreporter.section("parity ladder against broken and honest backends")
        terminalreporter.write_line("\n".join(lines))


@pytest.fixture(autouse=True)
def jax_as_it_was() -> Iterator[None]:
    """A float64 JAX backend turns on x64 for the whole process."""
    yield
    if jax := sys.modules.get("jax"):
        jax.config.update("jax_enable_x64", False)

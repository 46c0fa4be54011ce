"""Compiled code that is kept on disk is used again, but never after a change to any source."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

pytest.importorskip("numba")

import lstmbench_numba

Run: TypeAlias = Callable[[], tuple[float, int]]
# A kernel that uses the exponential of another module. It is not parallel, to compile quickly.
PROBE = """
import json
import numpy as np
from lstmbench_numba.compilation import compiled, kept_on_disk
from lstmbench_numba.memory import pointer
from lstmbench_numba.vector_math import exponential
from lstmbench_numba.vectors import load, store

@kept_on_disk
@compiled
def probe(x):
    p, s = exponential(load(pointer(x), 0))
    store(pointer(x), 0, s + s * p)

if __name__ == "__main__":
    x = np.full(16, 100.0, np.float32)
    probe(x)
    print(json.dumps([float(np.log(x[0])), sum(probe.stats.cache_hits.values())]))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, with the probe in it."""
    folder = tmp_path / "lstmbench_numba"
    shutil.copytree(
        Path(lstmbench_numba.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__")
    )
    (folder / "probe.py").write_text(PROBE)
    return folder


@pytest.fixture(params=["beside the package", "NUMBA_CACHE_DIR"])
def run(request: pytest.FixtureRequest, package: Path) -> Run:
    """Run the probe in a new process: log of its result, and how often it was read from disk."""
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    environment["PYTHONPATH"] = os.pathsep.join([str(package.parent), *sys.path])
    cache = package / "__pycache__"
    if request.param == "NUMBA_CACHE_DIR":
        cache = package.parent / "cache"
        environment["NUMBA_CACHE_DIR"] = str(cache)

    def probe() -> tuple[float, int]:
        done = subprocess.run(
            [sys.executable, "-m", "lstmbench_numba.probe"],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        assert list(cache.rglob("probe.probe-*.nbi")), "the cache lies elsewhere"
        value, hits = json.loads(done.stdout)
        return value, hits

    return probe


def test_a_change_to_another_module_is_seen(run: Run, package: Path) -> None:
    assert run() == (pytest.approx(64), 0)
    assert run() == (pytest.approx(64), 1)
    helper = package / "vector_math.py"
    source = helper.read_text()
    assert "LARGEST_EXPONENT = 64.0" in source
    helper.write_text(source.replace("LARGEST_EXPONENT = 64.0", "LARGEST_EXPONENT = 32.0"))
    assert run() == (pytest.approx(32), 0)
    assert run() == (pytest.approx(32), 1)

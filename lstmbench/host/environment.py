"""What machine and which versions these are: what a reader of the results may ask for."""

import os
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import psutil
from msgspec import Meta, Struct

from lstmbench.host import cgroups, commands, cpu, gpu, memory
from lstmbench.host.gpu import Gpu

GOVERNOR = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"

Count = Annotated[int, Meta(ge=0, le=2**62)]
VARIABLES = (
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "BLIS_", "VECLIB_", "NUMEXPR_", "NUMBA_"),
    *("XLA_", "JAX_", "TORCH_", "PYTORCH_", "CUDA_", "CUBLAS_", "NVIDIA_"),
    *("MALLOC_", "GLIBC_", "LD_"),
)
"""How the names of environment variables begin that change what libraries do."""


class Environment(Struct, frozen=True, kw_only=True):
    """A machine and its software; None where the system does not tell, or an older run did not."""

    cpu: str = "unknown"
    cpu_flags: list[str] = []
    l2_bytes: Count | None = None
    l3_bytes: Count | None = None
    cores_physical: Count | None = None
    cores_logical: Count | None = None
    cores_usable: Count | None = None
    """How many threads are worth starting: see `lstmbench.host.cpu.usable_cores`."""
    cpu_quota: float | None = None
    """The time of how many cores a control group leaves; None without a limit."""
    memory_bytes: Count | None = None
    """Of the machine, or as a control group limits it."""
    frequency_governor: str | None = None
    gpus: list[Gpu] = []
    platform: str = "unknown"
    python: str = "unknown"
    versions: dict[str, str] = {}
    """Of lstmbench and of the libraries that it measures, by distribution."""
    variables: dict[str, str] | None = None
    """Environment variables of the user's that change what libraries do."""
    git_commit: str | None = None
    load_average: Annotated[list[float], Meta(min_length=3, max_length=3)] | None = None

    @property
    def machine(self) -> dict[str, Any]:
        """What makes a machine another one."""
        return {
            "cpu": self.cpu,
            "cores_usable": self.cores_usable,
            "gpus": [one.name for one in self.gpus],
        }


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Return the installed version of each distribution that is installed."""
    found = {}
    for name in sorted(set(distributions)):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def describe(distributions: Iterable[str]) -> Environment:
    """Return everything about machine and software that a reader of the results may ask for."""
    processor = _processor()
    return Environment(
        cpu=str(processor.get("brand_raw") or platform.processor() or platform.machine()),
        cpu_flags=[str(flag) for flag in processor.get("flags") or []],
        l2_bytes=_size(processor.get("l2_cache_size")),
        l3_bytes=_size(processor.get("l3_cache_size")),
        cores_physical=psutil.cpu_count(logical=False),
        cores_logical=psutil.cpu_count(),
        cores_usable=cpu.usable_cores(),
        cpu_quota=cgroups.cpu_quota(),
        memory_bytes=memory.total_bytes(),
        frequency_governor=commands.read(GOVERNOR),
        gpus=gpu.gpus(),
        platform=platform.platform(),
        python=platform.python_version(),
        versions=versions(distributions),
        variables={k: v for k, v in sorted(os.environ.items()) if k.startswith(VARIABLES)},
        git_commit=_commit(),
        load_average=list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
    )


def _processor() -> dict[str, Any]:
    """Return what py-cpuinfo finds out, which refuses architectures that it does not know."""
    try:
        import cpuinfo

        return dict(cpuinfo.get_cpu_info())
    except Exception:
        return {}


def _size(told: Any) -> int | None:
    """Return a cache's size in bytes; on some systems it is told in words."""
    return told if isinstance(told, int) and told >= 0 else None


def _commit() -> str | None:
    """Return the commit of the checkout that runs, marked if there are changes."""
    here = Path(__file__).parent
    git = ["git", "-C", str(here)]
    if commands.output([*git, "ls-files", "--error-unmatch", __file__]) is None:
        return None
    commit, changes = (
        commands.output([*git, "rev-parse", "HEAD"]),
        commands.output([*git, "status", "--short"]),
    )
    return commit and commit + ("+changes" if changes else "")

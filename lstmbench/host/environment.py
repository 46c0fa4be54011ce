"""What machine and versions these are, and the environment that a worker starts in."""

import os
import platform
import resource
import shutil
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)

# Threads that wait for work spin for a while before they sleep. OMP_WAIT_POLICY=PASSIVE would
# have them sleep at once, and costs PyTorch a factor of two on small operations; these bounds,
# of about a millisecond, cost nothing, and a worker that waits for its turn is soon asleep.
BOUNDED_SPIN = {
    "GOMP_SPINCOUNT": "300000",
    "KMP_BLOCKTIME": "1",
    "OPENBLAS_THREAD_TIMEOUT": "22",
}
UNBOUNDED_SPIN = ("OMP_WAIT_POLICY", "GOMP_CPU_AFFINITY")


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def worker_environment(threads: int, cache: Path) -> dict[str, str]:
    """The environment variables of a worker, set before any library is loaded.

    `cache` is where compiled code is kept between the workers of one run.
    """
    result = {k: v for k, v in os.environ.items() if k not in UNBOUNDED_SPIN}
    result.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    result.update(BOUNDED_SPIN)
    result["NUMBA_CACHE_DIR"] = str(cache)
    result["JAX_COMPILATION_CACHE_DIR"] = str(cache)
    result["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    result["PYTHONUNBUFFERED"] = "1"
    return result


def limit_cores(threads: int) -> None:
    """Keep this process on `threads` cores, for libraries that count cores and not variables."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[:threads])


def peak_bytes() -> int:
    """The most memory that this process has held so far (its peak resident set size).

    On Linux as /proc tells it: `getrusage` counts what the parent held when this one was forked.
    """
    for line in (_read("/proc/self/status") or "").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def has_cuda() -> bool:
    """Whether an NVIDIA driver has a GPU here, by its files: no library is loaded."""
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/proc/driver/nvidia/gpus").is_dir()


def gpus() -> list[dict[str, str]]:
    """Name, driver and memory of each NVIDIA GPU, as nvidia-smi tells them."""
    fields = ("name", "driver_version", "memory.total")
    lines = _nvidia(f"--query-gpu={','.join(fields)}") or []
    return [dict(zip(fields, line.split(", "), strict=True)) for line in lines]


def gpu_processes() -> int | None:
    """How many processes compute on NVIDIA GPUs now; None where the driver does not tell."""
    lines = _nvidia("--query-compute-apps=pid")
    return None if lines is None else len(lines)


def _nvidia(query: str) -> list[str] | None:
    """The lines that nvidia-smi answers to a query; None if it is not there or fails."""
    if not shutil.which("nvidia-smi"):
        return None
    output = _output(["nvidia-smi", query, "--format=csv,noheader"])
    return None if output is None else output.splitlines()


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Installed version of each distribution that is installed."""
    found = {}
    for name in sorted(set(distributions)):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def describe(distributions: Iterable[str]) -> dict[str, Any]:
    """Everything about machine and software that a reader of the results may ask for."""
    import cpuinfo
    import psutil

    cpu = cpuinfo.get_cpu_info()
    return {
        "cpu": cpu.get("brand_raw", platform.processor()),
        "cpu_flags": cpu.get("flags", []),
        "l2_bytes": cpu.get("l2_cache_size"),
        "l3_bytes": cpu.get("l3_cache_size"),
        "cores_physical": psutil.cpu_count(logical=False),
        "cores_logical": psutil.cpu_count(),
        "cores_usable": usable_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "frequency_governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "gpus": gpus(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": versions(distributions),
        "git_commit": _commit(),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
    }


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _output(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _commit() -> str | None:
    """The commit of the checkout that this package runs from, marked if there are changes."""
    here = Path(__file__).parent
    git = ["git", "-C", str(here)]
    if _output([*git, "ls-files", "--error-unmatch", __file__]) is None:
        return None
    commit, changes = (
        _output([*git, "rev-parse", "HEAD"]),
        _output([*git, "status", "--short"]),
    )
    return commit and commit + ("+changes" if changes else "")

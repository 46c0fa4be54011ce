"""Worker processes: the environment that they start in, and their end with their parent.

What only POSIX systems have is asked for before it is used.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import psutil

from lstmbench.host import gpu

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
MARK = "LSTMBENCH_WORKER"
"""The environment variable that tells which worker a process has been started by."""

SIGKILL = 9
"""Windows has it not."""
SHARED_MEMORY = "/dev/shm"
TRACKER_SECONDS = 1.0

UNBOUNDED_SPIN = ("OMP_WAIT_POLICY", "GOMP_CPU_AFFINITY")


def worker_environment(threads: int, cache: Path, device: str = "") -> dict[str, str]:
    """Return the environment variables of a worker, set before any library is loaded.

    `cache` is where compiled code is kept between the workers of one run. With a `device`, such as
    "cuda:1", that one is all it sees of the GPUs, and as the first; with "cpu", none.
    """
    result = {k: v for k, v in os.environ.items() if k not in UNBOUNDED_SPIN}
    result.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    result.update(BOUNDED_SPIN)
    result["NUMBA_CACHE_DIR"] = str(cache)
    result["TORCHINDUCTOR_CACHE_DIR"] = result["TRITON_CACHE_DIR"] = str(cache)
    result["JAX_COMPILATION_CACHE_DIR"] = str(cache)
    result["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    result["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # several workers share a GPU
    result["PYTHONUNBUFFERED"] = "1"
    result.update(gpu.variables(device) if device else {})
    return result


def python_command(module: str) -> list[str]:
    """Return the command that runs a module, with nothing of the current folder in its path."""
    return [sys.executable, "-P", "-m", module]


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that leads a session of its own, and the session; wait for its end."""
    killpg = getattr(os, "killpg", None)
    if killpg:
        with suppress(ProcessLookupError, PermissionError):
            killpg(process.pid, SIGKILL)
    process.kill()
    process.wait()


def clean_up_after(mark: str, pid: int, since: float) -> None:
    """Kill what a worker, which has ended, has started in any session, and remove shared memory.

    They have its `mark` in their environment. What Python calls a resource tracker is given a
    moment: it removes shared memory that was left behind. `since` is when the worker was started.
    """
    marked = _marked(mark)
    trackers = [one for one in marked if _tracks_resources(one)]
    for one in marked:
        if one not in trackers:
            _kill(one)
    if trackers:
        _, left = psutil.wait_procs(trackers, timeout=TRACKER_SECONDS)
        for one in left:
            _kill(one)
    if os.path.isdir(SHARED_MEMORY):
        _remove_shared_memory({pid, *(one.pid for one in marked)}, since)


def _marked(mark: str) -> list[psutil.Process]:
    """Return the processes with a mark in their environment."""
    result = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark:
                result.append(process)
    return result


def _tracks_resources(process: psutil.Process) -> bool:
    with suppress(psutil.Error, OSError):
        return "resource_tracker" in " ".join(process.cmdline())
    return False


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.Error, OSError):
        process.kill()


def _remove_shared_memory(pids: Collection[int], since: float) -> None:
    """Remove shared memory named after processes that have ended, as OpenMP and PyTorch name it."""
    numbers, user = {str(pid) for pid in pids}, getattr(os, "geteuid", int)()
    for entry in os.scandir(SHARED_MEMORY):
        with suppress(OSError):
            told = entry.stat(follow_symlinks=False)
            named = not numbers.isdisjoint(re.findall(r"\d+", entry.name))
            if named and told.st_uid == user and told.st_ctime >= since - 1:
                os.unlink(entry.path)


def ending(status: int) -> str:
    """Return how a process with an exit status came to its end, in words."""
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"ended by {name}"


def was_killed(status: int) -> bool:
    """Return whether a process was killed, as the system does when memory runs out."""
    return status == -SIGKILL


def die_with_parent() -> None:
    """Have Linux kill this process if its parent is killed, even in the middle of a hang."""
    if sys.platform == "linux":
        PR_SET_PDEATHSIG = 1  # from <sys/prctl.h>
        with suppress(OSError, TypeError, AttributeError):  # no C library that can be called
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)

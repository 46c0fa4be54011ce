"""Worker processes: the environment that they start in, and their end with their parent."""

import ctypes
import os
import signal
import sys
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
    result["JAX_COMPILATION_CACHE_DIR"] = str(cache)
    result["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    result["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # several workers share a GPU
    result["PYTHONUNBUFFERED"] = "1"
    result.update(gpu.variables(device) if device else {})
    return result


def kill_marked(mark: str) -> None:
    """Kill the processes that a worker has started, in whatever session: they have its mark."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark:
                process.kill()


def die_with_parent() -> None:
    """Have Linux kill this process if its parent is killed, even in the middle of a hang."""
    if sys.platform == "linux":
        PR_SET_PDEATHSIG = 1  # from <sys/prctl.h>
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

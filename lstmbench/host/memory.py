"""Memory that this process holds, and how the C library's allocator keeps it."""

import ctypes
import sys

import psutil

from lstmbench.host import cgroups, commands

# malloc.h of glibc: mallopt(3)
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_LARGE = 2**30  # bytes


def peak_bytes() -> int:
    """Return the most memory that this process has held so far (its peak resident set size).

    On Linux as /proc tells it: `getrusage` counts what the parent held when this one was forked.
    """
    for line in (commands.read("/proc/self/status") or "").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    told = psutil.Process().memory_info()
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes there
    return int(getattr(told, "peak_wset", told.rss))  # Windows tells the former


def total_bytes() -> int:
    """Return how much memory this process may use at most: the machine's, or a control group's."""
    total: int = psutil.virtual_memory().total
    return min(total, cgroups.memory_limit() or total)


def keep_freed_memory() -> None:
    """Have large blocks that the main thread frees wait for the next step.

    For libraries that take their arrays anew in every step. Left alone, glibc gives such blocks
    back to the kernel, which then has to clear each of their pages again: a third of a step's
    time has been seen to go there, in some processes and not in others. Where the C library is
    another, nothing is done.
    """
    try:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    except (OSError, TypeError):  # Windows
        return
    if mallopt:
        mallopt(_M_TRIM_THRESHOLD, _LARGE)
        mallopt(_M_MMAP_THRESHOLD, _LARGE)

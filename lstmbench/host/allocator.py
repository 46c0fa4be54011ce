"""What a backend may ask of the C library's allocator."""

import ctypes

# malloc.h of glibc: mallopt(3)
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_LARGE = 2**30  # bytes


def keep_freed_memory() -> None:
    """Have large blocks that the main thread frees wait for the next step.

    For libraries that take their arrays anew in every step. Left alone, glibc gives such blocks
    back to the kernel, which then has to clear each of their pages again: a third of a step's
    time has been seen to go there, in some processes and not in others. Where the C library is
    another, nothing is done.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_M_TRIM_THRESHOLD, _LARGE)
        mallopt(_M_MMAP_THRESHOLD, _LARGE)

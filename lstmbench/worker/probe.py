"""Measuring the machine's peaks: the best rates of matrix products and of memory."""

import time
from collections.abc import Callable

import numpy as np

from lstmbench.protocol.observations import MachinePeaks

PRODUCT_SIZES = (256, 512, 1024)
PROBE_SECONDS = 0.1
PROBE_ROWS = (1, 256)
"""How many rows the matrix that is read has: one stream, and several."""
PROBE_BYTES = 16 << 20
"""Read by one call, so that what a call costs does not count."""


def measure(launch: int, dtype: str, working_set: int) -> MachinePeaks:
    """Measure the best rate of large matrix products, and of going through the working set.

    The working set, in bytes, is copied, read as one stream (dot products) and read as several,
    which OpenBLAS shares out among threads where they are large (matrix-vector products). All with
    the threads that this process was started with; the best of many trials counts, as a limit is
    what the machine can do, not what it does on average.
    """
    random = np.random.default_rng(0)

    def product(size: int) -> float:
        a, b = (random.random((size, size)).astype(dtype) for _ in range(2))
        out = np.empty_like(a)
        return 2 * size**3 / best_seconds(lambda: np.matmul(a, b, out=out))

    source = random.random(max(working_set, 8192) // np.dtype(dtype).itemsize).astype(dtype)
    target = np.empty_like(source)

    def read(rows: int) -> float:
        width = source.size // (rows + 1)
        matrix, vector = np.split(source[: (rows + 1) * width], [rows * width])
        passes = 1 + PROBE_BYTES // source.nbytes
        matrices = np.broadcast_to(matrix.reshape(rows, width), (passes, rows, width))
        size = passes * (matrix.nbytes + vector.nbytes)
        return size / best_seconds(lambda: np.matmul(matrices, vector))

    copied = 2 * source.nbytes / best_seconds(lambda: np.copyto(target, source))
    return MachinePeaks(
        launch=launch,
        matrix_flops_per_second=max(product(size) for size in PRODUCT_SIZES),
        memory_bytes_per_second=max(copied, *map(read, PROBE_ROWS)),
    )


def best_seconds(work: Callable[[], object]) -> float:
    """Return the least seconds that a call took, over trials for PROBE_SECONDS."""
    best, end = float("inf"), time.perf_counter() + PROBE_SECONDS
    work()
    while True:
        start = time.perf_counter()
        if start > end:
            return best
        work()
        best = min(best, time.perf_counter() - start)

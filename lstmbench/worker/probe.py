"""Measuring peaks: the best rates of matrix products and of memory, by NumPy or by a library."""

import time
from collections.abc import Callable

import numpy as np

from lstmbench.interface import Backend, Precision
from lstmbench.interface.backend import ElementaryWork
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import MachinePeaks
from lstmbench.worker.timing import tick

PRODUCT_SIZES = (256, 512, 1024)
PROBE_SECONDS = 0.1
PROBE_ROWS = (1, 256)
"""How many rows the matrix that is read has: one stream, and several."""
PROBE_BYTES = 16 << 20
"""Read by one call, so that what a call costs does not count."""

DEVICE_PRODUCT_SIZES = (2048, 4096)
DEVICE_BYTES = (16 << 20, 256 << 20)
"""Copied on a device: what its cache may hold, and what it cannot."""
GROUP_SECONDS = 0.005
"""Calls are started in groups of about so long, and waited for at the end of each."""
MOST_IN_GROUP = 1000


def measure(launch: int, precision: Precision, working_set: int) -> MachinePeaks:
    """Measure the CPU's best rate of large matrix products, and of going through the weights.

    As many bytes as the weights take, the `working_set`, are copied, read as one stream (dot
    products) and read as several, which OpenBLAS shares out among threads where they are large
    (matrix-vector products). All with the threads that this process was started with; the best of
    many trials counts, as a limit is what the machine can do, not what it does on average. Of
    products whose factors are bfloat16 NumPy has none. TF32 exists on GPUs alone: here products are
    those of float32.
    """
    dtype = precision.dtype
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
    known = precision.products != "bfloat16"
    return MachinePeaks(
        launch=launch,
        matrix_flops_per_second=max(map(product, PRODUCT_SIZES)) if known else None,
        memory_bytes_per_second=max(copied, *map(read, PROBE_ROWS)),
    )


def measure_library(
    launch: int, contender: Contender, backend: Backend, working_set: int
) -> MachinePeaks:
    """Measure the best rates that a backend's own library reaches on its device.

    Copies are of what a device's cache may hold, of what it cannot, and of as much as the weights
    take if that is more; each counts twice, read and written.
    """
    on_cpu = contender.device == "cpu"

    def rates(work: ElementaryWork, sizes: tuple[int, ...], cost: Callable[[int], float]) -> float:
        """Return the best rate over some sizes; 0 where the backend offers no such work."""
        found = [0.0]
        for size in sizes:
            if start := backend.elementary(work, size):
                found.append(cost(size) / best_seconds_of_many(start, backend.synchronize))
        return max(found)

    copies = () if on_cpu else (*DEVICE_BYTES, max(working_set, DEVICE_BYTES[0]))
    products = PRODUCT_SIZES if on_cpu else DEVICE_PRODUCT_SIZES
    dispatches = rates("nothing", (1,), lambda size: 1.0)
    return MachinePeaks(
        launch=launch,
        contender=contender,
        matrix_flops_per_second=rates("product", products, lambda size: 2.0 * size**3) or None,
        memory_bytes_per_second=rates("copy", copies, lambda size: 2.0 * size) or None,
        dispatch_seconds=1 / dispatches if dispatches else None,
    )


def best_seconds(work: Callable[[], object]) -> float:
    """Return the least seconds that a call took, over trials for PROBE_SECONDS."""
    work()
    now = time.perf_counter()
    best, end = float("inf"), now + PROBE_SECONDS
    while now < end:
        start = now
        work()
        now = time.perf_counter()
        best = min(best, now - start)
    return max(best, tick())


def best_seconds_of_many(start: Callable[[], object], wait: Callable[[], None]) -> float:
    """Return the least seconds that one of many took that are started without waiting."""

    def group() -> None:
        for _ in range(count):
            start()
        wait()

    count = 1
    group()  # what is compiled or set up in the first call does not count
    best = float("inf")
    for _ in range(3):  # the larger the group, the better it is known how large it should be
        best = min(best, best_seconds(group) / count)
        count = min(max(1, round(GROUP_SECONDS / best)), MOST_IN_GROUP)
    return best

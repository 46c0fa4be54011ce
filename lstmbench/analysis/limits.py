"""How fast a step could be at most on this machine: operations and bytes, counted and measured.

Counted from the formulas in `lstmbench.parameters`, for what no implementation can leave out:

- operations: 2 m n k for each matrix product. The input of layer 0 is one-hot, so its product is
  a look-up and counts nothing; nor does the recurrent product of the first step, which has no
  hidden state before it. Backward, each product costs two more of the same size.
- bytes: the weights are read once for each generated digit (of the look-up, one column) and once
  for a pass over a batch; gradients are written; a training step reads and writes the weights and
  both of Adam's moments.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lstmbench.interface import VOCABULARY
from lstmbench.interface.parameters import count, shapes
from lstmbench.protocol.messages import Machine, Workload

PRODUCT_SIZES = (256, 512, 1024)
PROBE_SECONDS = 0.1
PROBE_ROWS = (1, 256)  # read as one stream, and as several
PROBE_BYTES = 16 << 20  # read by one call, so that what a call costs does not count
ADAM_PASSES = 6  # weights and two moments, each read and written


class Work(NamedTuple):
    """The least that a call must do."""

    operations: float
    bytes: float


def work(
    workload: Workload, batch: int, length: int, hidden: int, layers: int, itemsize: int
) -> Work:
    """Operations and bytes of one call, or for "generate" of one digit; "stage" has neither."""
    weights = float(itemsize * count(shapes(hidden, layers)))
    recurrent = 8.0 * hidden * hidden * layers
    between = 8.0 * hidden * hidden * (layers - 1)
    token = recurrent + between + 2.0 * hidden * VOCABULARY
    forward = token * batch * length - recurrent * batch
    match workload:
        case "stage":
            return Work(0, 0)
        case "generate":
            return Work(token, weights - itemsize * 4 * hidden * (VOCABULARY - 1))
        case "forward":
            return Work(forward, weights)
        case "gradients":
            return Work(3 * forward, 2 * weights)
        case "train":
            return Work(3 * forward, ADAM_PASSES * weights)


def bound_seconds(least: Work, machine: Machine) -> tuple[float, float]:
    """Seconds that the operations take at the machine's rate, and the bytes at its bandwidth."""
    return (
        least.operations / machine.matrix_flops_per_second,
        least.bytes / machine.memory_bytes_per_second,
    )


def measure(launch: int, dtype: str, working_set: int) -> Machine:
    """The best rate of large matrix products, and of going through the working set's bytes.

    Those are copied, read as one stream (dot products) and read as several, which OpenBLAS shares
    out among threads where they are large (matrix-vector products). With the threads that this
    process was started with; the best of many trials, as the limit is what the machine can do, not
    what it does on average.
    """
    random = np.random.default_rng(0)

    def product(size: int) -> float:
        a, b = (random.random((size, size)).astype(dtype) for _ in range(2))
        out = np.empty_like(a)
        return 2 * size**3 / _best(lambda: np.matmul(a, b, out=out))

    source = random.random(max(working_set, 8192) // np.dtype(dtype).itemsize).astype(dtype)
    target = np.empty_like(source)

    def read(rows: int) -> float:
        width = source.size // (rows + 1)
        matrix, vector = np.split(source[: (rows + 1) * width], [rows * width])
        passes = 1 + PROBE_BYTES // source.nbytes
        matrices = np.broadcast_to(matrix.reshape(rows, width), (passes, rows, width))
        size = passes * (matrix.nbytes + vector.nbytes)
        return size / _best(lambda: np.matmul(matrices, vector))

    return Machine(
        launch=launch,
        matrix_flops_per_second=max(product(size) for size in PRODUCT_SIZES),
        memory_bytes_per_second=max(
            2 * source.nbytes / _best(lambda: np.copyto(target, source)), *map(read, PROBE_ROWS)
        ),
    )


def _best(work: Callable[[], object]) -> float:
    """The least seconds that a call took, over trials for PROBE_SECONDS."""
    best, end = float("inf"), time.perf_counter() + PROBE_SECONDS
    work()
    while True:
        start = time.perf_counter()
        if start > end:
            return best
        work()
        best = min(best, time.perf_counter() - start)

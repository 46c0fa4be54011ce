"""One training step of the NumPy backend at the default shape: what every tool here times."""

import itertools
import os
from collections.abc import Callable

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is loaded


def make_step() -> Callable[[], object]:
    """Return a function that takes one training step, with inputs from a ring of fresh batches."""
    import numpy as np
    from lstmbench_numpy.backend import NumpyBackend

    from lstmbench import Options, random_generator
    from lstmbench.interface.parameters import draw

    backend = NumpyBackend(Options(threads=1))
    backend.load(draw(0, hidden=128, layers=2, dtype="float32"))
    batches = random_generator(0, 1).integers(0, 10, (64, 64, 11), np.uint8)
    ring = itertools.cycle([(x[:, :-1], x[:, 1:]) for x in batches])
    return lambda: backend.train_step(*next(ring))

"""The accuracy of gradients that are sums over very many rows of the batch."""

import numpy as np
import pytest

pytest.importorskip("numba")

from lstmbench_numba.backend import NumbaBackend

from lstmbench import ModelSpec, Options
from lstmbench.interface import parameters
from lstmbench.parity.comparing import relative_error
from lstmbench.parity.oracle import Oracle


def test_sums_over_many_rows_are_accurate() -> None:
    """The roundings of a running sum of n terms add up to about sqrt(n) / 2 eps.

    The 65,536 rows of this batch and its steps, summed in blocks of 128, make sums of 128 terms
    and of 512: sqrt(128 + 512) / 2 is 13 eps. In one running sum they would cost 128 eps, and
    those of a single digit 40.
    """
    batch, length = 32768, 2
    given = parameters.draw(0, ModelSpec(1, 1), "float32")
    digits = np.random.default_rng(0).integers(0, 10, (batch, length + 1), dtype=np.uint8)
    gradients = []
    for backend in (NumbaBackend(Options(dtype="float32")), Oracle(Options(dtype="float64"))):
        backend.load(given)
        gradients.append(backend.loss_and_gradients(digits[:, :-1], digits[:, 1:])[1])
    actual, exact = gradients
    for name, expected in exact.items():
        assert relative_error(actual[name], expected) < 16 * np.finfo("float32").eps, name

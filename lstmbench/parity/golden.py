"""Golden values: what the oracle computed once, by libraries that were known to be sound.

A BLAS that is wrong on some processor would give wrong expected values, and every honest backend
would fail. So the oracle must reproduce these first. `write` computes them anew.
"""

from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import safetensors.numpy

from lstmbench.interface import Options
from lstmbench.interface.errors import UsageError
from lstmbench.parity.cases import CASES
from lstmbench.parity.comparing import relative_error
from lstmbench.parity.ladder import observe
from lstmbench.parity.values import Arrays
from lstmbench.parity.variants import Make

FILE = files("lstmbench.parity") / "golden.safetensors"
CASE = CASES["odd"]
RUNGS = ("forward", "state", "loss", "gradients", "clip", "step", "trajectory", "free-running")
TOLERANCE = 2.0**-52 * 2**16
"""Twelve steps of training magnify a rounding error by some thousands."""


def values(oracle: Make) -> Arrays:
    """Return the oracle's float64 results on the rungs that are kept, by "rung/array"."""
    return {
        f"{seen.rung}/{name}": array
        for seen in observe(oracle, Options(dtype="float64"), CASE)
        if seen.rung in RUNGS
        for name, array in seen.arrays.items()
    }


@cache
def expected() -> Arrays:
    """Return the golden values by "rung/array", float64."""
    return dict(safetensors.numpy.load(FILE.read_bytes()))


def verify(oracle: Make) -> None:
    """Raise UsageError if the oracle does not reproduce the golden values on this machine."""
    for name, array in values(oracle).items():
        if (off := relative_error(array, expected()[name])) > TOLERANCE:
            raise UsageError(
                f"NumPy {np.__version__} computes wrongly on this machine: {name} of the oracle "
                f"is off by {off:.1e} of its norm (at most {TOLERANCE:.1e} is rounding)"
            )


def write(oracle: Make, path: Any = FILE) -> None:
    """Compute the golden values anew."""
    arrays = {name: np.require(array, requirements="C") for name, array in values(oracle).items()}
    path.write_bytes(safetensors.numpy.save(arrays))

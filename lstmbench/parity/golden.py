"""What the oracle computed once, on a machine and by libraries that were known to be sound.

A BLAS that is wrong on some processor would give a wrong reference, and every honest backend would
fail; so the oracle is itself held to these values first. `write` computes them anew.
"""

from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from lstmbench.interface import Options, parameters
from lstmbench.interface.errors import UsageError
from lstmbench.parity.cases import FIXTURES, Fixture
from lstmbench.parity.rungs import Arrays, Make, observe
from lstmbench.parity.verdict import error

FILE = files("lstmbench.parity") / "golden.safetensors"
FIXTURE = "odd"
RUNGS = ("forward", "state", "loss", "gradients", "clip", "step", "trajectory", "free-running")
ALLOWED = 2.0**-52 * 2**16
"""Twelve steps of training magnify a rounding error by some thousands."""


def values(oracle: Make, fixture: Fixture) -> Arrays:
    """The oracle's float64 results on the rungs kept, by "rung/tensor"."""
    return {
        f"{seen.rung}/{name}": array
        for seen in observe(oracle, Options(dtype="float64"), fixture)
        if seen.rung in RUNGS
        for name, array in seen.arrays.items()
        if name != "inputs"
    }


@cache
def expected() -> Arrays:
    """The golden values by "rung/tensor", float64."""
    return parameters.from_bytes(FILE.read_bytes())


def verify(oracle: Make, fixture: Fixture) -> None:
    """Raises UsageError if the oracle does not reproduce the golden values on this machine."""
    if fixture.name != FIXTURE:
        return
    golden = expected()
    for name, array in values(oracle, fixture).items():
        if (wrong := error(array, golden[name])) > ALLOWED:
            raise UsageError(
                f"NumPy {np.__version__} computes wrongly on this machine: {name} of the reference "
                f"is off by {wrong:.1e} of its norm (at most {ALLOWED:.1e} is rounding)"
            )


def write(oracle: Make, path: Any = FILE) -> None:
    """Compute the golden values anew."""
    path.write_bytes(parameters.to_bytes(values(oracle, FIXTURES[FIXTURE])))

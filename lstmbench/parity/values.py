"""What passes between the parts of the parity ladder, as plain data."""

from typing import Literal

import numpy as np
from msgspec import Struct

Arrays = dict[str, np.ndarray]
"""Named arrays."""

Outcome = Literal["passed", "passed as approximate", "failed", "not claimed"]
"""What came of one check. "Passed as approximate" needed the wider tolerance that approximate
activations are allowed."""


class Observation(Struct, frozen=True, kw_only=True, tag=True):
    """What a backend computed on a rung, or why there is nothing.

    Without a claim or with an `error`, there are no arrays.
    """

    rung: str
    arrays: Arrays = {}
    claimed: bool = True
    """Whether the backend offers what the rung needs."""
    inputs_changed: bool = False
    """Whether the backend changed the digits that it was given."""
    error: str = ""
    """The type and first line of what the backend raised."""
    traceback: str = ""


class Expected(Struct, frozen=True, kw_only=True, tag=True):
    """The oracle's values on a rung, or of calls of a workload, and how close is close enough."""

    name: str
    """The rung's or the workload's name."""
    arrays: Arrays
    """Expected values, float64 where they are real numbers."""
    tolerances: dict[str, float]
    """The relative error allowed in each array."""
    margins: Arrays = {}
    """For arrays of greedily chosen digits, by how much each choice led the second best.

    As a share of the largest logit; the tolerance of such an array is that of the logits.
    """


class Comparison(Struct, frozen=True, kw_only=True):
    """What came of comparing an observation with what is expected: the worst array of all."""

    outcome: Outcome
    error: float | None = None
    """The error as a multiple of the tolerance; None where there is no finite number."""
    tolerance: float | None = None
    """The relative error that is allowed; None where no number is compared."""
    array: str = ""
    """The name of the worst array."""
    note: str = ""
    """What is wrong or noteworthy, in words."""

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong; what is not claimed is not wrong."""
        return self.outcome != "failed"

"""What passes between the parts of the parity ladder, as plain data."""

from typing import Literal

import numpy as np
from msgspec import Struct

Arrays = dict[str, np.ndarray]
"""Named arrays."""

Outcome = Literal["passed", "passed as approximate", "failed", "not seen", "not claimed"]
"""What came of one check. "Passed as approximate" needed the wider tolerance that approximate
activations are allowed. "Not seen": nothing that was compared is wrong, but in some array honest
arithmetic itself is as far off as a fault would be, so that it could not be compared."""


class Observation(Struct, frozen=True, kw_only=True, tag=True):
    """What a backend computed on a rung, or why there is nothing.

    Without a claim or with an `error`, there are no arrays.
    """

    rung: str
    arrays: Arrays = {}
    claimed: bool = True
    """Whether the backend offers what the rung needs."""
    changed: str = ""
    """Which of the arrays that it was given the backend has changed: "inputs" or "parameters"."""
    error: str = ""
    """The type and first line of what the backend raised."""
    traceback: str = ""
    seconds: float = 0.0
    """How long the backend took for the rung."""


class Expected(Struct, frozen=True, kw_only=True, tag=True):
    """The oracle's values on a rung, or of calls of a workload, and how close is close enough."""

    name: str
    """The rung's or the workload's name."""
    arrays: Arrays
    """Expected values, float64 where they are real numbers."""
    tolerances: dict[str, float]
    """The relative error allowed in each array."""
    approximate_tolerances: dict[str, float] = {}
    """The relative error allowed where activations are approximate; `tolerances` if not given."""
    resolutions: dict[str, float] = {}
    """The absolute error, as an L2 norm, that storing the array's numbers adds; 0 if not given."""
    margins: Arrays = {}
    """For arrays of greedily chosen digits, by how much each choice led the second best.

    As a share of the largest logit; the tolerance of such an array is that of the logits.
    """
    digit_tolerances: dict[str, tuple[list[float], list[float]]] = {}
    """Of such an array, the tolerance of the logits at each digit, and that of approximate
    activations: rounding grows from digit to digit. `tolerances` then holds the last of these."""
    by_call: bool = False
    """Whether the first axis of each array counts calls, of which each is compared by itself."""


class Comparison(Struct, frozen=True, kw_only=True):
    """What came of comparing an observation with what is expected: the worst array of all."""

    outcome: Outcome
    error: float | None = None
    """The error as a multiple of the tolerance; None where there is no finite number."""
    tolerance: float | None = None
    """The relative error that is allowed; None where no number is compared."""
    approximate: float | None = None
    """The relative error that is allowed where activations are approximate."""
    array: str = ""
    """The name of the worst array."""
    note: str = ""
    """What is wrong or noteworthy, in words."""

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong; what is not claimed or cannot be seen is not wrong."""
        return self.outcome != "failed"

"""The parity ladder: what a backend must compute, rung by rung, and how close is close enough.

A backend under test and the float64 oracle climb the same ladder (`observe`), on fixtures that
leave a fault nowhere to hide. What the oracle saw, with the error allowed in each tensor, is the
`reference`; `compare` holds the one against the other.
"""

from lstmbench.parity.cases import FIXTURES, Fixture, fixture
from lstmbench.parity.mirrored import Mirrored
from lstmbench.parity.reference import (
    BAND,
    bands,
    greedy_path,
    margins,
    perturbed,
    reference,
    rounding,
)
from lstmbench.parity.rungs import ORDER, Arrays, Make, Observation, observe, rungs
from lstmbench.parity.verdict import Reference, Verdict, compare, error, precision_of

__all__ = [
    "BAND",
    "FIXTURES",
    "ORDER",
    "Arrays",
    "Fixture",
    "Make",
    "Mirrored",
    "Observation",
    "Reference",
    "Verdict",
    "bands",
    "compare",
    "error",
    "fixture",
    "greedy_path",
    "margins",
    "observe",
    "perturbed",
    "precision_of",
    "reference",
    "rounding",
    "rungs",
]

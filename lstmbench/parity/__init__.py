"""The parity ladder: what a backend must compute, rung by rung, and how close is close enough.

A backend and the float64 oracle climb the same ladder (`observe`), at cases that leave a fault
nowhere to hide. What the oracle shows, with the error allowed in each array, is what is expected
(`expect`); `compare` compares the two.
"""

from lstmbench.parity.cases import CASES, Case, case
from lstmbench.parity.ladder import PLACES, compare, expect, observe
from lstmbench.parity.values import Arrays, Comparison, Expected, Observation

__all__ = [
    "CASES",
    "PLACES",
    "Arrays",
    "Case",
    "Comparison",
    "Expected",
    "Observation",
    "case",
    "compare",
    "expect",
    "observe",
]

"""Where a backend first departs from the oracle."""

from collections.abc import Iterable

from lstmbench import parity
from lstmbench.protocol.messages import Rung


def first_difference(rungs: Iterable[Rung]) -> Rung | None:
    """The lowest rung that differs, on the first fixture on which it does."""
    wrong = [rung for rung in rungs if rung.verdict == "differs"]
    return min(wrong, key=lambda rung: parity.ORDER.index(rung.rung), default=None)

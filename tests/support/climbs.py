"""Climbing the parity ladder in this process, at the cases that do not depend on a run."""

from functools import cache

from lstmbench import Options, parity
from lstmbench.parity.oracle import Oracle
from lstmbench.parity.variants import Make


@cache
def expected_at(case: str, dtype: str) -> list[parity.Expected]:
    """What the oracle expects on each rung of a case."""
    return list(parity.expect(Oracle, Options(dtype=dtype), parity.CASES[case]))


def comparisons(make: Make, case: str, dtype: str) -> dict[str, parity.Comparison]:
    """What comes of each rung of a case that a backend claims."""
    seen = parity.observe(make, Options(dtype=dtype), parity.CASES[case])
    pairs = zip(expected_at(case, dtype), seen, strict=True)
    return {expected.name: parity.compare(expected, one) for expected, one in pairs if one.claimed}

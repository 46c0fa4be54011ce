"""Many backends, broken or honest, climbing the ladder in two processes.

The processes are started afresh: this one may have threads, which a fork does not copy.
"""

from collections.abc import Iterable
from functools import cache, partial
from multiprocessing import get_context

import numpy as np
from honest import APPROXIMATE, HONEST
from rare_faults import FAULTS

from lstmbench import Backend, ModelSpec, Options, parity
from lstmbench.interface import BatchShape
from lstmbench.parity.oracle import Oracle
from lstmbench.parity.rungs import ORDER
from lstmbench.parity.values import Outcome

CASES = {**parity.CASES, "run": parity.case("run", ModelSpec(2, 24), BatchShape(16, 6))}
LARGE = ("tall", "long", "large")
PASSED: tuple[Outcome, ...] = ("passed", "not claimed")
RIGHT: tuple[Outcome, ...] = (*PASSED, "passed as approximate")
BACKENDS: dict[str, type[Backend]] = {
    make.__name__: make for group in (*FAULTS.values(), HONEST, APPROXIMATE) for make in group
}
"""All by name: that can be sent to another process, where classes made by functions cannot."""


@cache
def expected_at(case: str, dtype: str) -> list[parity.Expected]:
    """What the oracle expects at a case."""
    return list(parity.expect(Oracle, Options(dtype=dtype), CASES[case]))


def lowest_rung(name: str, dtype: str, outcomes: tuple[Outcome, ...]) -> str | None:
    """The lowest rung, at any case, that does not end with one of these outcomes.

    The cases of large sizes take long. Their rungs all come before the rungs of repeated and
    changing calls: where it is one of these that is wrong, large sizes have nothing to add.
    """
    lowest = len(ORDER)
    for case_name, case in sorted(CASES.items(), key=lambda item: item[0] in LARGE):
        if case_name in LARGE and ORDER.index("generate") < lowest < len(ORDER):
            break
        climb = parity.observe(BACKENDS[name], Options(dtype=dtype), case)
        for expected, seen in zip(expected_at(case_name, dtype), climb, strict=True):
            rank = ORDER.index(seen.rung)
            if rank >= lowest:
                break
            if parity.compare(expected, seen).outcome not in outcomes:
                lowest = rank
    return ORDER[lowest] if lowest < len(ORDER) else None


def lowest_rungs(
    makes: Iterable[type[Backend]], dtype: str, outcomes: tuple[Outcome, ...]
) -> dict[str, str | None]:
    """The lowest rung of each backend by name, as `lowest_rung` tells it."""
    names = [make.__name__ for make in makes]
    assert len(names) == len(set(names))
    climb = partial(lowest_rung, dtype=dtype, outcomes=outcomes)
    # A broken backend may divide by zero: its worker lets it.
    with get_context("spawn").Pool(2, np.seterr, ("ignore",)) as pool:
        return dict(zip(names, pool.map(climb, names, chunksize=4), strict=True))

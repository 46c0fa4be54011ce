"""The ladder proved by mutation: what is broken is caught at its rung, what is honest passes.

The kill rate is printed at the end of the tests.
"""

from collections.abc import Callable
from functools import cache

import pytest
from faults import FAULTS
from honest import HONEST

from lstmbench import Backend, ModelSpec, Options, parity
from lstmbench.interface import BatchShape
from lstmbench.parity.oracle import Oracle
from lstmbench.parity.rungs import ORDER

CASES = {**parity.CASES, "run": parity.case("run", ModelSpec(2, 24), BatchShape(16, 6))}
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


@cache
def expected_at(case: str, dtype: str) -> list[parity.Expected]:
    return list(parity.expect(Oracle, Options(dtype=dtype), CASES[case]))


def first_wrong_rung(make: type[Backend], dtype: str) -> str | None:
    """The lowest rung on which a backend differs or raises, at any case."""
    lowest = len(ORDER)
    for name, case in CASES.items():
        climb = parity.observe(make, Options(dtype=dtype), case)
        for expected, seen in zip(expected_at(name, dtype), climb, strict=True):
            rank = ORDER.index(seen.rung)
            if rank >= lowest:
                break
            if not parity.compare(expected, seen).passed:
                lowest = rank
    return ORDER[lowest] if lowest < len(ORDER) else None


@pytest.mark.filterwarnings("ignore")  # a broken backend may divide by zero: its worker lets it
@each_dtype
def test_every_fault_is_caught_first_at_its_rung(
    dtype: str, record_kill_rate: Callable[[str], None]
) -> None:
    caught = {
        fault.__name__: (rung, first_wrong_rung(fault, dtype))
        for rung, faults in FAULTS.items()
        for fault in faults
    }
    right = sum(found == rung for rung, found in caught.values())
    record_kill_rate(
        f"{dtype}: {sum(bool(found) for _, found in caught.values())} of {len(caught)} broken "
        f"backends caught, {right} at the rung where the fault is"
    )
    elsewhere = {name: place for name, place in caught.items() if place[0] != place[1]}
    assert not elsewhere
    assert len(caught) > 150


@each_dtype
def test_every_honest_backend_agrees_on_every_rung(
    dtype: str, record_kill_rate: Callable[[str], None]
) -> None:
    found = {make.__name__: first_wrong_rung(make, dtype) for make in HONEST}
    wrong = {name: rung for name, rung in found.items() if rung}
    record_kill_rate(f"{dtype}: {len(found) - len(wrong)} of {len(found)} honest backends pass")
    assert not wrong


def test_no_two_faults_share_a_name() -> None:
    names = [fault.__name__ for faults in FAULTS.values() for fault in faults]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("rung", ORDER)
def test_every_rung_is_the_first_to_catch_something(rung: str) -> None:
    assert FAULTS[rung]

"""The ladder proved by mutation: what is broken is caught at its rung, what is honest passes.

The kill rate is printed at the end of the tests.
"""

from collections.abc import Callable, Sequence
from functools import cache
from multiprocessing import get_context

import pytest
from honest import APPROXIMATE, HONEST
from rare_faults import FAULTS

from lstmbench import Backend, ModelSpec, Options, parity
from lstmbench.interface import BatchShape
from lstmbench.parity.oracle import Oracle
from lstmbench.parity.rungs import ORDER
from lstmbench.parity.values import Outcome

CASES = {**parity.CASES, "run": parity.case("run", ModelSpec(2, 24), BatchShape(16, 6))}
PASSED: tuple[Outcome, ...] = ("passed", "not claimed")
RIGHT: tuple[Outcome, ...] = (*PASSED, "passed as approximate")
LARGE = ("tall", "long", "large")
each_dtype = pytest.mark.parametrize(
    "dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)]
)


@cache
def expected_at(case: str, dtype: str) -> list[parity.Expected]:
    return list(parity.expect(Oracle, Options(dtype=dtype), CASES[case]))


def lowest_rung(make: type[Backend], dtype: str, *outcomes: Outcome) -> str | None:
    """The lowest rung, at any case, that does not end with one of these outcomes.

    The cases of large sizes take long. Their rungs all come before the rungs of repeated and
    changing calls: where it is one of these that is wrong, large sizes have nothing to add.
    """
    lowest = len(ORDER)
    for name, case in sorted(CASES.items(), key=lambda item: item[0] in LARGE):
        if name in LARGE and ORDER.index("generate") < lowest < len(ORDER):
            break
        climb = parity.observe(make, Options(dtype=dtype), case)
        for expected, seen in zip(expected_at(name, dtype), climb, strict=True):
            rank = ORDER.index(seen.rung)
            if rank >= lowest:
                break
            if parity.compare(expected, seen).outcome not in outcomes:
                lowest = rank
    return ORDER[lowest] if lowest < len(ORDER) else None


def each_in_two_processes(
    makes: Sequence[type[Backend]], dtype: str, outcomes: tuple[Outcome, ...]
) -> list[str | None]:
    """The lowest rung of each of many backends, as `lowest_rung` tells it.

    The processes are forked: the backends, which cannot all be sent, are there already.
    """
    for case in CASES:
        expected_at(case, dtype)
    global work

    def work(number: int) -> str | None:
        return lowest_rung(makes[number], dtype, *outcomes)

    with get_context("fork").Pool(2) as pool:
        return pool.map(_work, range(len(makes)), chunksize=4)


def _work(number: int) -> str | None:
    return work(number)


@pytest.mark.filterwarnings("ignore")  # a broken backend may divide by zero: its worker lets it
@each_dtype
def test_every_fault_is_caught_first_at_its_rung(
    dtype: str, record_kill_rate: Callable[[str], None]
) -> None:
    planted = [(rung, fault) for rung, faults in FAULTS.items() for fault in faults]
    found = each_in_two_processes([fault for _, fault in planted], dtype, RIGHT)
    caught = {fault.__name__: (rung, at) for (rung, fault), at in zip(planted, found, strict=True)}
    right = sum(found == rung for rung, found in caught.values())
    record_kill_rate(
        f"{dtype}: {sum(bool(found) for _, found in caught.values())} of {len(caught)} broken "
        f"backends caught, {right} at the rung where the fault is"
    )
    elsewhere = {name: place for name, place in caught.items() if place[0] != place[1]}
    assert not elsewhere
    assert len(caught) > 250


@each_dtype
def test_every_honest_backend_agrees_on_every_rung(
    dtype: str, record_kill_rate: Callable[[str], None]
) -> None:
    found = each_in_two_processes(HONEST, dtype, PASSED)
    wrong = {make.__name__: at for make, at in zip(HONEST, found, strict=True) if at}
    record_kill_rate(f"{dtype}: {len(found) - len(wrong)} of {len(found)} honest backends pass")
    assert not wrong
    assert len(HONEST) >= 35


@each_dtype
@pytest.mark.parametrize("make", APPROXIMATE, ids=lambda make: make.__name__)
def test_approximate_activations_pass_as_such(make: type[Backend], dtype: str) -> None:
    assert lowest_rung(make, dtype, *RIGHT) is None
    assert lowest_rung(make, dtype, *PASSED), "needs the wider tolerance"


def test_no_two_faults_share_a_name() -> None:
    names = [fault.__name__ for faults in FAULTS.values() for fault in faults]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("rung", ORDER)
def test_every_rung_is_the_first_to_catch_something(rung: str) -> None:
    assert FAULTS[rung]

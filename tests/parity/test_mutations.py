"""The ladder proved by mutation: what is broken is caught at its rung, what is honest passes.

The kill rate is printed at the end of the tests.
"""

from collections.abc import Callable

import pytest
from honest import APPROXIMATE, HONEST
from mutants import PASSED, RIGHT, lowest_rungs
from rare_faults import FAULTS

from lstmbench.parity.rungs import ORDER

each_dtype = pytest.mark.parametrize(
    "dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)]
)


@each_dtype
def test_every_fault_is_caught_first_at_its_rung(
    dtype: str, record_kill_rate: Callable[[str], None]
) -> None:
    planted = {fault.__name__: rung for rung, faults in FAULTS.items() for fault in faults}
    found = lowest_rungs([fault for faults in FAULTS.values() for fault in faults], dtype, RIGHT)
    right = sum(found[name] == rung for name, rung in planted.items())
    record_kill_rate(
        f"{dtype}: {sum(map(bool, found.values()))} of {len(planted)} broken backends caught, "
        f"{right} at the rung where the fault is"
    )
    assert {name: at for name, at in found.items() if at != planted[name]} == {}
    assert len(planted) > 250


@each_dtype
def test_every_honest_backend_agrees_on_every_rung(
    dtype: str, record_kill_rate: Callable[[str], None]
) -> None:
    wrong = {name: at for name, at in lowest_rungs(HONEST, dtype, PASSED).items() if at}
    record_kill_rate(f"{dtype}: {len(HONEST) - len(wrong)} of {len(HONEST)} honest backends pass")
    assert wrong == {}
    assert len(HONEST) >= 35


@each_dtype
def test_approximate_activations_pass_as_such(dtype: str) -> None:
    assert not any(lowest_rungs(APPROXIMATE, dtype, RIGHT).values())
    assert all(lowest_rungs(APPROXIMATE, dtype, PASSED).values()), "all need the wider tolerance"


def test_no_two_faults_share_a_name() -> None:
    names = [fault.__name__ for faults in FAULTS.values() for fault in faults]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("rung", ORDER)
def test_every_rung_is_the_first_to_catch_something(rung: str) -> None:
    assert FAULTS[rung]

from typing import Any

import numpy as np
import pytest

from lstmbench import Options, parity
from lstmbench.parity import CASES, Arrays
from lstmbench.parity.climb import Climb
from lstmbench.parity.oracle import Oracle
from lstmbench.parity.oracle_runs import OracleRuns
from lstmbench.parity.rungs import LADDER, RUNGS, Rung


def on(expected: parity.Expected, arrays: Arrays) -> parity.Comparison:
    """What comes of observing these arrays on the rung of that name."""
    observed = parity.Observation(rung=expected.name, arrays=arrays)
    return parity.compare(expected, observed)


SHAPED = parity.Expected(
    name="shapes",
    arrays={
        "forward logits": np.ones((2, 3), np.float32),
        "train_step loss": np.ones(()),
        "generate digits": np.ones((2, 4), np.uint8),
        "generate digit": np.ones((2, 1), np.uint8),
    },
    tolerances={},
)


@pytest.mark.parametrize(
    ("wrong", "note"),
    [
        ({}, ""),
        ({"forward logits": np.zeros((2, 3), np.float32)}, ""),
        ({"forward logits": np.ones((2, 3))}, "dtype float64, expected float32"),
        ({"forward logits": np.ones((3, 2), np.float32)}, "shape (3, 2), expected (2, 3)"),
        ({"train_step loss": np.ones((), np.float32)}, ""),
        ({"train_step loss": np.ones((), int)}, "dtype int64, expected float64"),
        ({"generate digits": np.ones((2, 4), int)}, ""),
        ({"generate digits": np.ones((2, 4))}, "dtype float64, expected uint8"),
    ],
)
def test_shapes_are_held_to_shape_and_kind_alone(wrong: Arrays, note: str) -> None:
    found = on(SHAPED, SHAPED.arrays | wrong)
    assert found.note == note
    assert found.passed == (not note)


def test_shapes_of_a_method_that_is_not_claimed_are_not_missed() -> None:
    part = {n: a for n, a in SHAPED.arrays.items() if not n.startswith("generate")}
    assert on(SHAPED, part).passed
    assert on(SHAPED, part | {"generate digit": np.ones((2, 1), int)}).note == "missing"


SEEDS = parity.Expected(
    name="accuracy",
    arrays={"accuracy": np.array([0.5, 0.6, 0.7])},
    tolerances={"accuracy": 0.1},
)


@pytest.mark.parametrize(
    ("shares", "error"),
    [
        ([0.5, 0.6, 0.7], 0),
        ([0.55, 0.65, 0.75], 0.5),  # always by the same
        ([0.45, 0.55, 0.65], 0.5),
        # mean 0, t(2) = 4.303 times the standard error 0.1 / sqrt(3)
        ([0.4, 0.6, 0.8], 4.303 * 0.1 / np.sqrt(3) / 0.1),
        ([0.62, 0.72, 0.82], 1.2),
    ],
)
def test_accuracies_are_equal_where_the_whole_interval_is_within_the_margin(
    shares: list[float], error: float
) -> None:
    found = on(SEEDS, {"accuracy": np.array(shares)})
    assert found.error == pytest.approx(error, abs=1e-3)


@pytest.mark.parametrize("rung", LADDER, ids=lambda rung: rung.name)
def test_what_is_not_claimed_raised_or_changed_its_inputs_needs_no_arrays(rung: Rung) -> None:
    expected = parity.Expected(name=rung.name, arrays={}, tolerances={})

    def outcome(**seen: Any) -> tuple[str, str]:
        found = rung.compare(expected, parity.Observation(rung=rung.name, **seen))
        return found.outcome, found.note

    assert outcome(claimed=False) == ("not claimed", "")
    assert outcome(error="E: broken") == ("failed", "raised E: broken")
    assert outcome(changed="inputs") == ("failed", "changed")
    assert outcome(changed="parameters") == ("failed", "changed")


def test_every_rung_has_a_name_of_its_own() -> None:
    assert len(RUNGS) == len(LADDER)


class Doubled(Rung):
    """The logits of one batch, twice over: a rung that is made up here."""

    name, needs = "doubled", ("forward",)

    def observe(self, climb: Climb) -> Arrays:
        return climb.fetch({"logits": climb.backend.forward(climb.staged[0][0])[0] * 2})


def test_a_made_up_rung_needs_its_class_alone() -> None:
    case = CASES["odd"]
    expected = Doubled().expect(OracleRuns(Oracle, Options(), case))
    climb = Climb(Oracle, Options(), case)
    good = Doubled().observe(climb)
    bad = {"logits": good["logits"] * 1.001}
    assert Doubled().compare_arrays(expected, good).passed
    assert not Doubled().compare_arrays(expected, bad).passed

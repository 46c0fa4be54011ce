from dataclasses import replace

import numpy as np
import pytest

from lstmbench.interface import Precision
from lstmbench.parity.losses import (
    PARTED,
    OracleLosses,
    compare_accuracy,
    compare_epochs,
    compare_steps,
)
from lstmbench.statistics import Estimate

EPS = 2.0**-23
STEPS = 200
LOSSES = np.linspace(2.3, 0.3, STEPS)


def oracle(apart: float = 1e-6, growth: float = 1.0, exact: int = 50) -> OracleLosses:
    """Two trainings that are so far apart at first, and further by a factor with each step."""
    away = apart * growth ** np.arange(STEPS)
    return OracleLosses(LOSSES, LOSSES + away, None, LOSSES[:exact], Precision("float32"))


def test_losses_may_be_off_by_a_multiple_of_how_far_the_oracles_own_have_been_apart() -> None:
    found = compare_steps(LOSSES + 8e-6, oracle(), "accurate")
    assert found.outcome == "passed" and found.note == "of 200 of 200 steps"
    assert found.error == pytest.approx(0.5, rel=0.1)
    assert compare_steps(LOSSES + 5e-5, oracle(), "accurate").outcome == "failed"


def test_at_least_a_multiple_of_eps_that_grows_with_the_root_of_the_step() -> None:
    same = OracleLosses(LOSSES, LOSSES, None, LOSSES, Precision("float32"))
    np.testing.assert_allclose(same.tolerance("accurate"), 16 * EPS * np.sqrt(np.arange(1, 201)))


def test_one_wrong_step_is_named() -> None:
    losses = LOSSES.copy()
    losses[120] += 1e-3
    found = compare_steps(losses, oracle(), "accurate")
    assert found.outcome == "failed" and found.array == "loss of step 121"


def test_a_loss_above_one_nat_is_compared_as_a_share() -> None:
    large = OracleLosses(100 * LOSSES, 100 * LOSSES, None, LOSSES[:0], Precision("float32"))
    assert compare_steps(100 * LOSSES * (1 + 5e-7), large, "accurate").outcome == "passed"
    assert compare_steps(100 * LOSSES + 5e-4, large, "accurate").outcome == "failed"


def test_expected_are_the_losses_in_float64_as_far_as_they_go() -> None:
    one = OracleLosses(LOSSES, LOSSES, None, LOSSES[:50] + 1e-4, Precision("float32"))
    np.testing.assert_array_equal(one.expected(), [*(LOSSES[:50] + 1e-4), *LOSSES[50:]])
    assert one.tolerance("accurate").min() >= 16e-4 / 2.4


def test_the_comparison_by_steps_ends_where_honest_trainings_have_parted() -> None:
    parting = oracle(1e-6, growth=1.1)
    ends = parting.comparable_steps("accurate")
    assert 50 < ends < 100
    assert parting.tolerance("accurate")[ends] > PARTED >= parting.tolerance("accurate")[ends - 1]
    losses = LOSSES.copy()
    losses[ends:] += 5.0
    found = compare_steps(losses, parting, "accurate")
    assert found.outcome == "passed" and found.note == f"of {ends} of 200 steps"


def test_the_approximate_level_is_wider_where_there_is_such_a_training() -> None:
    one = OracleLosses(LOSSES, LOSSES + 1e-6, LOSSES + 1e-5, LOSSES[:50], Precision("float32"))
    assert compare_steps(LOSSES + 5e-5, one, "accurate").outcome == "failed"
    assert compare_steps(LOSSES + 5e-5, one, "approximate").outcome == "passed"


def test_steps_that_the_oracle_had_no_time_for_are_not_compared() -> None:
    short = OracleLosses(LOSSES[:40], LOSSES[:30], None, LOSSES[:20], Precision("float32"))
    found = compare_steps(LOSSES, short, "accurate")
    assert found.outcome == "passed" and found.note == "of 30 of 200 steps"


def test_trainings_that_part_at_once_are_not_seen() -> None:
    assert compare_steps(LOSSES, oracle(1.0), "accurate").outcome == "not seen"


@pytest.mark.parametrize(("off", "outcome"), [(0.0, "passed"), (0.005, "passed"), (0.02, "failed")])
def test_means_of_epochs_are_equivalent_within_a_margin(off: float, outcome: str) -> None:
    noise = np.random.default_rng(0).normal(0, 2e-3, STEPS)
    found = compare_epochs(LOSSES + noise + off, oracle(1e-3), "accurate", 10)
    assert found is not None and found.outcome == outcome
    assert "mean of 13 epochs" in found.note


def test_the_margin_is_as_wide_as_the_oracles_own_trainings_are_apart() -> None:
    found = compare_epochs(LOSSES + 0.15, oracle(0.05), "accurate", 10)
    assert found is not None and found.outcome == "passed"
    assert found.tolerance == pytest.approx(4 * 0.05)
    further = replace(oracle(0.05), moved=(LOSSES - 0.1,))
    found = compare_epochs(LOSSES + 0.15, further, "accurate", 10)
    assert found is not None and found.tolerance == pytest.approx(4 * 0.1)
    assert compare_epochs(LOSSES, oracle(0.6), "accurate", 10).outcome == "not seen"  # type: ignore[union-attr]


def test_too_few_epochs_say_nothing() -> None:
    found = compare_epochs(LOSSES, oracle(1e-3), "accurate", 50)
    assert found is not None and found.outcome == "not seen"


def test_no_means_are_compared_where_steps_were() -> None:
    assert compare_epochs(LOSSES, oracle(), "accurate", 10) is None


@pytest.mark.parametrize(
    ("accuracy", "accurate", "outcome"),
    [
        (0.95, 0.95, "passed"),
        (0.944, 0.95, "passed"),
        (0.94, 0.95, "failed"),
        (0.94, 0.94, "passed"),
    ],
)
def test_accuracy_is_equivalent_within_a_point(
    accuracy: float, accurate: float, outcome: str
) -> None:
    interval = Estimate(accuracy, accuracy - 0.002, accuracy + 0.002)
    assert compare_accuracy(interval, 0.95, [accurate, 0.95]).outcome == outcome

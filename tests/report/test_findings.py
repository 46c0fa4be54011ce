"""The sentences say what the numbers say, and no more."""

import math

import pytest
from made_up_answer import answer, with_a_failure
from made_up_run import BASE, EQUAL, FAST, result_of

from lstmbench.analysis.results import RunResult
from lstmbench.parity import Comparison
from lstmbench.protocol.observations import RungResult
from lstmbench.report.columns import interval
from lstmbench.report.findings import about, sentences, unclear
from lstmbench.statistics import Estimate

NAN = float("nan")


def found(run: RunResult) -> str:
    return " ".join(sentences(run))


def test_the_answer_begins_with_agreement_then_speed_then_learning() -> None:
    run = answer(4)
    told = sentences(run)
    assert len(told) == 3
    assert told[0] == "All 4 contenders agree with the float64 oracle."
    fastest = run["backend00"].speed_ratio["train"]
    assert f"backend00 trains {interval(fastest)} times as fast as torch" in told[1]
    assert told[2] == "All reach 96.00 [95.80, 96.20] % test accuracy, 97.8 % of the best possible."


def test_a_difference_that_is_not_seen_is_not_told_as_one() -> None:
    told = found(result_of({BASE: 0.010, EQUAL: 0.010, FAST: 0.005}))
    assert "equal: no difference seen" in told and "fast trains 1.98" in told
    nothing = found(result_of({BASE: 0.010, EQUAL: 0.010}))
    assert "equal: no difference from torch seen." in nothing


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (Estimate(1.2, 1.1, 1.3), False),
        (Estimate(0.8, 0.7, 0.9), False),
        (Estimate(1.2, 1.0, 1.4), True),
        (Estimate(0.9, 0.8, 1.0), True),
        (Estimate(1.5, NAN, NAN), True),
    ],
)
def test_one_and_the_unknown_are_unclear(ratio: Estimate, expected: bool) -> None:
    assert unclear(ratio) is expected


def test_one_contender_has_a_time_and_no_ratio() -> None:
    run = answer(1)
    told = found(run)
    assert "backend00 agrees with the float64 oracle." in told
    assert f"backend00: {interval(run['backend00'].seconds['train'], 1e3)} ms" in told
    assert "times as fast" not in told and "backend00 reaches 96.00" in told


def test_two_are_named() -> None:
    assert "torch and backend00 agree" in found(answer(2)) or (
        "backend00 and torch agree" in found(answer(2))
    )


def test_who_failed_is_not_ranked_and_its_reason_is_told() -> None:
    run = with_a_failure()
    assert "backend00 does not pass and so is not ranked" in found(run)
    assert "backend00 " not in sentences(run)[1]
    (told,) = about(run["backend00"], run)
    assert told.startswith("Failed: raised in timing")


def test_an_approximate_one_is_said_to_be() -> None:
    wide = Comparison(outcome="passed as approximate", error=0.5, tolerance=1e-3)
    rung = RungResult(contender=FAST, case="odd", rung="forward", result=wide)
    told = found(result_of({BASE: 0.010, FAST: 0.005}, rung))
    assert "fast agrees as approximate" in told


def test_of_many_the_first_are_named_and_the_rest_counted() -> None:
    told = found(answer(20))
    assert told.count("backend") < 12 and "more in the table" in told


def test_without_the_baseline_times_are_told() -> None:
    wrong = Comparison(outcome="failed", error=1e3, tolerance=1e-6)
    rung = RungResult(contender=BASE, case="odd", rung="forward", result=wrong)
    told = found(result_of({BASE: 0.010, FAST: 0.005}, rung))
    assert "fast: 4.97" in told and "times as fast" not in told


def test_a_sentence_for_each_contender_has_every_headline_ratio() -> None:
    run = answer(3)
    one = run["backend02"]
    told = " ".join(about(one, run))
    for name in ("train", "forward", "generate"):
        assert interval(one.speed_ratio[name]) in told
    assert "The baseline: training step" in " ".join(about(run["torch"], run))
    assert math.isfinite(one.speed_ratio["train"].low)

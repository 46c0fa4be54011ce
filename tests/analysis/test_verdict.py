import pytest

from lstmbench.analysis.verdict import Evidence, Ledger, first_difference, verdict_on
from lstmbench.parity import Comparison
from lstmbench.parity.known_failures import TrainingPart
from lstmbench.parity.rungs import RUNGS
from lstmbench.parity.values import Outcome
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import (
    BlockCheck,
    Failure,
    Finished,
    RungResult,
    TrainingCheck,
)

MINE, OTHER = Contender(backend="mine"), Contender(backend="other")


def rung(name: str, outcome: Outcome = "passed", case: str = "odd") -> RungResult:
    result = Comparison(outcome=outcome, error=3.0, array="w", note="n")
    return RungResult(contender=MINE, case=case, rung=name, result=result)


def check(workload: str, outcome: Outcome = "passed") -> BlockCheck:
    result = Comparison(outcome=outcome, error=9.0, array="loss")
    return BlockCheck(contender=MINE, launch=2, round=1, workload=workload, result=result)


FAILURE = Failure(contender=MINE, phase="timing", kind="hung", message="no answer within 5 s")
WHOLE: list[Evidence] = [rung(name) for name in RUNGS]


@pytest.mark.parametrize(
    ("evidence", "status"),
    [
        ([], "not run"),
        ([check("train")], "not run"),
        (WHOLE, "passed"),
        ([*WHOLE, check("train")], "passed"),
        ([*WHOLE, rung("forward", "passed as approximate")], "passed as approximate"),
        ([*WHOLE, check("train", "passed as approximate")], "passed as approximate"),
        ([*WHOLE, rung("forward", "failed")], "failed"),
        ([*WHOLE, check("train", "failed")], "failed"),
        ([*WHOLE, FAILURE], "failed"),
        ([FAILURE], "failed"),
        ([rung("shapes"), rung("parameters"), rung("forward", "not claimed")], "not claimed"),
        ([rung("shapes"), rung("forward"), rung("loss", "not claimed")], "passed"),
    ],
)
def test_the_status_follows_from_the_evidence(evidence: list[Evidence], status: str) -> None:
    verdict = verdict_on(evidence)
    assert verdict.status == status
    assert verdict.passed == status.startswith("passed")
    assert bool(verdict.reasons) == (status == "failed")


def trained(part: TrainingPart, outcome: Outcome, epoch: int | None = None) -> TrainingCheck:
    result = Comparison(outcome=outcome, error=9.0, array="loss of step 7", note="n")
    return TrainingCheck(contender=MINE, check=part, epoch=epoch, result=result)


def test_a_difference_in_training_is_a_reason() -> None:
    verdict = verdict_on([*WHOLE, trained("losses", "failed")])
    assert verdict.status == "failed"
    assert verdict.reasons == (
        "in training, losses differs from the float64 oracle: loss of step 7: n, 9 × tolerance",
    )
    (reason,) = verdict_on([*WHOLE, trained("logits", "failed", epoch=4)]).reasons
    assert reason.startswith("in training, logits after epoch 5 differs")
    known = {"training/losses": "momentum is rounded"}
    assert verdict_on([*WHOLE, trained("losses", "failed")], known).passed


def test_what_cannot_be_seen_is_told_and_no_failure() -> None:
    verdict = verdict_on([*WHOLE, rung("step", "not seen", "run"), trained("losses", "not seen")])
    assert verdict.status == "passed"
    assert verdict.unseen == ("run/step: w: n", "training/losses: loss of step 7: n")


def test_what_cannot_be_seen_at_a_runs_own_rate_is_told_with_where_it_is() -> None:
    hidden = rung("step", "not seen", "run")
    seen = verdict_on([*WHOLE, hidden, rung("step", "passed", "run-visible")])
    assert seen.unseen == ("run/step: w: n (compared at a learning rate of 0.001 too)",)
    wrong = verdict_on([*WHOLE, hidden, rung("step", "failed", "run-visible")])
    assert wrong.status == "failed" and "run-visible/step" in wrong.reasons[0]


def test_reasons_are_the_failure_the_lowest_rung_and_the_first_block_in_words() -> None:
    wrong = [check("forward", "failed"), check("train", "failed"), rung("step", "failed")]
    verdict = verdict_on([*wrong, rung("loss", "failed", case="wide"), FAILURE])
    assert verdict.reasons == (
        "hung in timing: no answer within 5 s",
        "differs from the float64 oracle at wide/loss: w: n, 3 × tolerance",
        "what it computed inside the clock (forward, launch 2, round 1) differs from the float64 "
        "oracle: loss: 9 × tolerance",
    )


def test_too_fast_is_a_reason_to_fail() -> None:
    verdict = verdict_on(WHOLE, too_fast=["train is 2 times as fast as can be"])
    assert not verdict.passed and verdict.reasons == ("train is 2 times as fast as can be",)


def test_known_failures_are_excused_with_their_reason_and_no_others() -> None:
    known = {"odd/step": "another Adam", "odd/steps": "another Adam", "timed/train": "slow"}
    wrong = [rung("step", "failed"), rung("steps", "failed"), check("train", "failed")]
    verdict = verdict_on([*WHOLE, *wrong], known)
    assert verdict.passed and verdict.reasons == ()
    assert verdict.excused == ("odd/step, odd/steps: another Adam", "timed/train: slow")
    assert not verdict_on([*WHOLE, *wrong, rung("clip", "failed")], known).passed
    assert not verdict_on([*WHOLE, rung("step", "failed", case="wide")], known).passed


def test_the_first_difference_is_the_lowest_rung_wherever_it_is() -> None:
    wrong = [rung("step", "failed"), rung("forward", "failed", case="wide"), rung("loss")]
    found = first_difference(wrong)
    assert found is not None and found.place == "wide/forward"
    assert first_difference([rung("loss"), FAILURE]) is None


def test_a_ledger_judges_each_contender_by_its_own_evidence() -> None:
    ledger = Ledger({"mine": {"odd/step": "known"}})
    for record in [*WHOLE, rung("step", "failed"), Finished(phase="parity", contender=MINE)]:
        ledger.add(record)
    assert ledger.verdict(MINE).passed and ledger.verdict(MINE).excused
    assert ledger.verdict(OTHER).status == "not run"
    ledger.add(FAILURE)
    assert not ledger.verdict(MINE).passed

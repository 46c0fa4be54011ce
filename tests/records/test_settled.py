from typing import get_args

from made_up_run import step

from lstmbench.parity import Comparison
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import (
    Block,
    BlockCheck,
    Failure,
    Finished,
    Phase,
    Record,
    Retried,
    RungResult,
    Startup,
    Stopped,
    TrainingCheck,
)
from lstmbench.records.settled import settled

A, B = Contender(backend="a"), Contender(backend="b")


def rung(one: Contender, place: str, error: float) -> RungResult:
    case, name = place.split("/")
    result = Comparison(outcome="passed", error=error)
    return RungResult(contender=one, case=case, rung=name, result=result)


def block(launch: int, round_: int) -> Block:
    return step(A, launch, round_, 0.1)


def done(launch: int) -> Finished:
    return Finished(phase="timing", launch=launch)


def test_a_rung_climbed_twice_counts_as_it_was_last() -> None:
    broken_off = [rung(A, "odd/clip", 0.1), rung(B, "odd/clip", 0.2)]
    again = [rung(A, "odd/clip", 0.3), rung(A, "odd/step", 0.4)]
    assert settled([*broken_off, *again]) == [broken_off[1], *again]


def test_a_launch_that_was_broken_off_does_not_count_once_there_is_a_later_one() -> None:
    first: list[Record] = [block(1, 0), block(1, 1), done(1)]
    broken_off: list[Record] = [block(2, 0)]
    assert settled([*first, *broken_off]) == [*first, *broken_off], "it is the latest"
    third: list[Record] = [block(3, 0), done(3)]
    assert settled([*first, *broken_off, *third]) == [*first, *third]


def test_the_start_with_nothing_compiled_is_no_launch() -> None:
    cold = Startup(
        contender=A,
        launch=0,
        import_seconds=1.0,
        build_seconds=0.0,
        compile_seconds=0.0,
        first_step_seconds=0.0,
        calls={},
        description={},
        peak_bytes=1,
        imported_bytes=1,
    )
    records: list[Record] = [cold, block(1, 0), done(1)]
    assert settled(records) == records


FAILS = Comparison(outcome="failed", error=9.0)


def failure(one: Contender, phase: Phase) -> Failure:
    return Failure(contender=one, phase=phase, kind="hung", message="no answer")


def finished(one: Contender, phase: Phase) -> Finished:
    return Finished(phase=phase, contender=one)


def test_a_training_that_is_tried_again_leaves_the_rest() -> None:
    kept: list[Record] = [rung(A, "odd/clip", 0.1), block(1, 0), done(1), finished(B, "training")]
    failed: list[Record] = [failure(A, "training"), finished(A, "training")]
    again = Retried(contender=A, phase="training")
    assert settled([*kept, *failed, again]) == [*kept, again]


def test_who_was_not_timed_is_timed_with_all_others_anew() -> None:
    stopped = Stopped(reason="precision", half_width=0.01)
    kept: list[Record] = [rung(A, "odd/clip", 0.1), finished(A, "parity"), finished(B, "training")]
    timed: list[Record] = [block(1, 0), step(B, 1, 0, 0.1), done(1), stopped]
    failed: list[Record] = [failure(A, "timing"), finished(A, "training")]
    again = Retried(contender=A, phase="timing")
    anew: list[Record] = [block(2, 0), done(2)]
    assert settled([*kept, *timed, *failed, again, *anew]) == [*kept, again, *anew]


def test_who_did_not_get_through_the_ladder_climbs_it_again() -> None:
    others: list[Record] = [rung(B, "odd/clip", 0.1), finished(B, "parity")]
    failed: list[Record] = [rung(A, "odd/clip", 0.1), failure(A, "parity"), finished(A, "parity")]
    again = Retried(contender=A, phase="parity")
    assert settled([*others, *failed, again]) == [*others, again]


def test_a_difference_from_the_oracle_stays_however_often_it_is_tried() -> None:
    differs: list[Record] = [
        RungResult(contender=A, case="odd", rung="clip", result=FAILS),
        BlockCheck(contender=A, launch=1, round=0, workload="train", result=FAILS),
        TrainingCheck(contender=A, check="losses", result=FAILS),
    ]
    for phase in get_args(Phase):
        again = Retried(contender=A, phase=phase)
        assert settled([*differs, failure(A, phase), again]) == [*differs, again]

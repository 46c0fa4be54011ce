from made_up_run import step

from lstmbench.parity import Comparison
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import Block, Finished, Record, RungResult, Startup
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

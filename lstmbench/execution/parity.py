"""The parity ladder across processes: the oracle in one worker, a contender in another."""

from collections.abc import Iterator
from functools import partial

from lstmbench import parity
from lstmbench.execution.workers import OracleWorker, Worker, WorkerFactory, WorkerFailed
from lstmbench.interface import Precision
from lstmbench.interface.errors import UsageError
from lstmbench.parity import comparing
from lstmbench.parity.cases import RUN, RUN_SEEN, VISIBLE_RATE
from lstmbench.parity.rungs import rungs
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.messages import Done, ExpectCase, ObserveCase
from lstmbench.protocol.observations import RungResult
from lstmbench.protocol.settings import Settings

Expectations = dict[str, dict[str, parity.Expected]]
"""What is expected, by case and rung."""


def expectations(factory: WorkerFactory, settings: Settings, own: bool = False) -> Expectations:
    """Return what every contender must show, at every case and on every rung.

    With `own`, only at the run's own cases. Two oracles share the cases, as the run's own take
    about as long as all others. Raises UsageError if an oracle computes wrongly on this machine.
    """
    if own:
        return _of_run(factory, settings)
    fixed, runs_own = factory.side_by_side(
        [partial(_of_fixed_cases, factory, settings), partial(_of_run, factory, settings)], most=2
    )
    return fixed | runs_own


def _of_fixed_cases(factory: WorkerFactory, settings: Settings) -> Expectations:
    """Return what is expected at the cases that have their own model, shape and options.

    Of a run, only its precision matters: what is expected is kept as long as this process lives.
    """
    if settings.arithmetic not in _FIXED:
        with factory.open_oracle(settings) as oracle:
            found = {case: _expected_at(oracle, case) for case in parity.CASES}
        _FIXED[settings.arithmetic] = found
    return _FIXED[settings.arithmetic]


_FIXED: dict[Precision, Expectations] = {}


def _of_run(factory: WorkerFactory, settings: Settings) -> Expectations:
    """Return what is expected at the run's own case; at a visible learning rate too, if need be."""
    with factory.open_oracle(settings) as oracle:
        found = {RUN: _expected_at(oracle, RUN)}
        hidden = any(comparing.unseen(expected) for expected in found[RUN].values())
        if hidden and settings.learning_rate != VISIBLE_RATE:
            found[RUN_SEEN] = _expected_at(oracle, RUN_SEEN)
        return found


def _expected_at(oracle: OracleWorker, case: str) -> dict[str, parity.Expected]:
    try:
        replies = oracle.collect(ExpectCase(case=case), Done, parity.Expected)
    except WorkerFailed as error:
        if error.kind == "refused":
            raise UsageError(error.message) from None
        raise
    return {reply.name: reply for reply in replies if isinstance(reply, parity.Expected)}


def climb(worker: Worker, contender: Contender, expected: Expectations) -> Iterator[RungResult]:
    """Yield the result of every rung at every case, as it is reached.

    Raises WorkerFailed, with the rung at which it happened, if the worker ends on the way.
    """
    for case in expected:
        ahead = iter(rungs(case))
        try:
            for reply in worker.stream(ObserveCase(case=case), Done, parity.Observation):
                if isinstance(reply, parity.Observation):
                    next(ahead)
                    yield RungResult(
                        contender=contender,
                        case=case,
                        rung=reply.rung,
                        result=parity.compare(expected[case][reply.rung], reply),
                        traceback=reply.traceback,
                        seconds=reply.seconds,
                    )
        except WorkerFailed as error:
            rung = next(ahead, None)
            where = f"at {case}/{rung.name if rung else 'end'}: {error.message}"
            raise WorkerFailed(error.kind, where, error.traceback) from None

"""The parity ladder across processes: the oracle in one worker, a contender in another."""

from collections.abc import Iterator

from lstmbench import parity
from lstmbench.execution.workers import Worker, WorkerFailed
from lstmbench.interface.errors import UsageError
from lstmbench.parity.cases import NAMES
from lstmbench.parity.rungs import rungs
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.messages import Done, ExpectCase, ObserveCase
from lstmbench.protocol.observations import RungResult

Expectations = dict[str, dict[str, parity.Expected]]
"""What is expected, by case and rung."""


def expectations(oracle: Worker) -> Expectations:
    """Return what every contender must show, at every case and on every rung.

    Raises UsageError if the oracle computes wrongly on this machine.
    """
    return {case: _expected_at(oracle, case) for case in NAMES}


def _expected_at(oracle: Worker, case: str) -> dict[str, parity.Expected]:
    try:
        replies = list(oracle.stream(ExpectCase(case=case), Done))
    except WorkerFailed as error:
        if error.kind == "refused":
            raise UsageError(error.message) from None
        raise
    return {reply.name: reply for reply in replies if isinstance(reply, parity.Expected)}


def climb(worker: Worker, contender: Contender, expected: Expectations) -> Iterator[RungResult]:
    """Yield the result of every rung at every case, as it is reached.

    Raises WorkerFailed, with the rung at which it happened, if the worker ends on the way.
    """
    for case in NAMES:
        ahead = iter(rungs(case))
        try:
            for reply in worker.stream(ObserveCase(case=case), Done):
                if isinstance(reply, parity.Observation):
                    next(ahead)
                    yield RungResult(
                        contender=contender,
                        case=case,
                        rung=reply.rung,
                        result=parity.compare(expected[case][reply.rung], reply),
                        traceback=reply.traceback,
                    )
        except WorkerFailed as error:
            rung = next(ahead, None)
            where = f"at {case}/{rung.name if rung else 'end'}: {error.message}"
            raise WorkerFailed(error.kind, where, error.traceback) from None

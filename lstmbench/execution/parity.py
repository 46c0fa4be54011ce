"""The parity ladder across processes: the reference in one worker, a backend in another."""

from collections.abc import Iterator
from functools import partial

from lstmbench import parity
from lstmbench.execution.workers import Bench, Worker, WorkerFailed
from lstmbench.interface import parameters
from lstmbench.interface.errors import UsageError
from lstmbench.protocol.messages import (
    Ceiling,
    Done,
    Expected,
    Observe,
    Observed,
    Reference,
    Row,
    Rung,
    Survey,
)

ORACLE = Row(backend="numpy", device="cpu")
FIXTURES = (*parity.FIXTURES, "run")

References = dict[str, dict[str, parity.Reference]]
"""What to expect, by fixture and rung."""


def open_oracle(bench: Bench) -> Worker:
    """A worker with the float64 reference; one thread, as it must not depend on a quiet machine."""
    return bench.open(ORACLE, threads=1)


def survey(oracle: Worker) -> Ceiling:
    """What is possible on the run's task."""
    return oracle.ask(Survey(), Ceiling)


def references(oracle: Worker) -> References:
    """What every backend must show, on every fixture and rung.

    Raises UsageError if the oracle computes wrongly on this machine.
    """
    result: References = {}
    for fixture in FIXTURES:
        try:
            replies = list(oracle.stream(Reference(fixture=fixture), Done))
        except WorkerFailed as error:
            if error.reason == "refused":
                raise UsageError(error.message) from None
            raise
        result[fixture] = {r.rung: reference(r) for r in replies if isinstance(r, Expected)}
    return result


def reference(expected: Expected) -> parity.Reference:
    """Expected values as they came through the pipe."""
    return parity.Reference(expected.rung, parameters.from_bytes(expected.arrays), expected.bands)


def climb(worker: Worker, row: Row, expected: References) -> Iterator[Rung]:
    """Every rung of every fixture, as it is reached.

    Raises WorkerFailed, with the rung at which it happened, if the worker ends on the way.
    """
    for fixture in FIXTURES:
        ahead = iter(parity.rungs(fixture))
        try:
            for reply in worker.stream(Observe(fixture=fixture), Done):
                if isinstance(reply, Observed):
                    next(ahead)
                    yield _judge(row, reply, expected[fixture][reply.rung])
        except WorkerFailed as error:
            where = f"at {fixture}/{next(ahead, 'end')}: {error.message}"
            raise WorkerFailed(error.reason, where, error.traceback) from None


def _judge(row: Row, observed: Observed, expected: parity.Reference) -> Rung:
    rung = partial(Rung, row=row, fixture=observed.fixture, rung=observed.rung)
    if not observed.claimed:
        return rung(verdict="not claimed")
    if observed.error:
        note = f"raised {observed.error}"
        return rung(verdict="differs", note=note, traceback=observed.traceback)
    verdict = parity.compare(expected, parameters.from_bytes(observed.arrays))
    return rung(
        verdict="agrees" if verdict.agrees else "differs",
        error=verdict.error if verdict.error < float("inf") else None,
        band=verdict.band if verdict.band == verdict.band else None,
        tensor=verdict.tensor,
        note=verdict.note,
    )

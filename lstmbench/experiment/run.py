"""The run itself: parity, then interleaved timing, then training, recorded as they are made."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

from lstmbench.analysis.verdict import Ledger
from lstmbench.execution import parity, training
from lstmbench.execution.loop import TimingLoop
from lstmbench.execution.stopping import StoppingRule
from lstmbench.execution.workers import ORACLE, WorkerFactory, WorkerFailed
from lstmbench.interface.errors import OracleFailed
from lstmbench.interface.workloads import WORKLOADS
from lstmbench.parity.activations import Level
from lstmbench.plugins.registry import Registry
from lstmbench.protocol.contender import Contender, named
from lstmbench.protocol.messages import Evaluated, Prepare, Survey, Train
from lstmbench.protocol.observations import (
    Ceiling,
    Epoch,
    Failure,
    FailureKind,
    Finished,
    Phase,
    Record,
    Retried,
    RungResult,
    Startup,
    Stopped,
    Trained,
)
from lstmbench.protocol.progress import Listener, Progress, Report, deaf, silent
from lstmbench.records import folder as folders
from lstmbench.records.settled import settled

COLD = 0
"""The launch in which nothing is compiled yet; the timed ones are counted from 1."""

RETRYABLE: tuple[FailureKind, ...] = ("aborted", "hung", "out of memory")
"""The ends of a process that may have been brought about from outside."""

Climbed = Mapping[Contender, Sequence[RungResult]]

Kind = TypeVar("Kind")


def _startups(records: Iterable[Record]) -> Iterator[Startup]:
    return (record for record in records if isinstance(record, Startup))


def resume(
    folder: Path,
    registry: Registry,
    report: Report = silent,
    factory: WorkerFactory | None = None,
    retry_failed: bool = False,
    listener: Listener = deaf,
    climbed: Climbed | None = None,
) -> None:
    """Do what is missing in a run's folder, recording as it goes; `report` hears of progress.

    With `retry_failed`, contenders whose process was killed, died or hung are tried again. With a
    `factory`, workers share the compiled code of others that it has started. The
    `listener` hears of each record once it is on disk. What contenders have `climbed` before, of
    the cases that do not depend on the run, they need not climb again.
    """
    writer = folders.Writer(folder)
    try:
        found = folders.read(folder)
        with nullcontext(factory) if factory else WorkerFactory(registry) as workers:
            runner = Runner(found, workers, writer, report, listener, climbed)
            if retry_failed:
                runner.retry_failed()
            runner.parity()
            runner.timing()
            runner.training()
    finally:
        writer.close()


class Runner:
    """What is known of a run so far, and the means to find out the rest."""

    def __init__(
        self,
        found: folders.Run,
        factory: WorkerFactory,
        writer: folders.Writer,
        report: Report,
        listener: Listener = deaf,
        climbed: Climbed | None = None,
    ) -> None:
        self.contenders, self.settings = found.header.contenders, found.header.settings
        self.factory, self.writer, self.report = factory, writer, report
        self.listener, self.climbed = listener, climbed or {}
        self.last_launch = max((one.launch for one in _startups(found.records)), default=COLD)
        self._settle(found.records)

    def _settle(self, records: Iterable[Record]) -> None:
        """Go by the records that count."""
        self.records, self.ledger = settled(records), Ledger()
        for record in self.records:
            self.ledger.add(record)

    def retry_failed(self) -> None:
        """Have failures not count that a contender may have had through no fault of its own."""
        for failure in self.of(Failure):
            if failure.kind in RETRYABLE and failure.contender in self.contenders:
                self.record(Retried(contender=failure.contender, phase=failure.phase))
        self._settle(self.records)

    def record(self, record: Record) -> None:
        """Keep a record, on disk first."""
        self.writer.append(record)
        self.records.append(record)
        self.ledger.add(record)
        self.listener(record)

    def of(self, kind: type[Kind]) -> list[Kind]:
        """Return all records of a kind."""
        return [record for record in self.records if isinstance(record, kind)]

    def passed(self) -> list[Contender]:
        """Return the contenders that have passed so far: only these are timed and trained."""
        return [one for one in self.contenders if self.ledger.verdict(one).passed]

    def level(self, contender: Contender) -> Level:
        """Return how good the activations have to be of a contender that has passed so far."""
        status = self.ledger.verdict(contender).status
        return "approximate" if status == "passed as approximate" else "accurate"

    def missing(self, phase: Phase) -> list[Contender]:
        """Return the contenders for which a phase has not been finished."""
        done = [f.contender for f in self.of(Finished) if f.phase == phase]
        return [one for one in self.contenders if one not in done]

    def fail(self, contender: Contender, phase: Phase, error: WorkerFailed) -> None:
        """Record what went wrong with a contender."""
        self.record(
            Failure(
                contender=contender,
                phase=phase,
                kind=error.kind,
                message=error.message,
                traceback=error.traceback,
            )
        )

    @contextmanager
    def part(self, contender: Contender, phase: Phase) -> Iterator[None]:
        """Do one contender's part of a phase: what its worker does wrong becomes a record."""
        start = time.monotonic()
        try:
            yield
        except WorkerFailed as error:
            self.fail(contender, phase, error)
        seconds = time.monotonic() - start
        self.record(Finished(phase=phase, contender=contender, seconds=seconds))

    def parity(self) -> None:
        """Start each backend with nothing compiled yet, and compare it with the oracle."""
        contenders = self.missing("parity")
        if not contenders and self.of(Ceiling):
            return
        progress = Progress("parity", len(contenders) + 1, self.report)
        if not self.of(Ceiling):
            self._survey()
        before = {one: self.climbed.get(one, []) for one in contenders}
        own = bool(contenders) and all(before.values())
        expected = parity.expectations(self.factory, self.settings, own)
        progress.advance()
        first_calls = Prepare(launch=COLD, workloads=list(WORKLOADS))
        for one in contenders:
            for known in before[one]:
                self.record(known)
            done = {known.case for known in before[one]}
            missing = {case: rungs for case, rungs in expected.items() if case not in done}
            with self.part(one, "parity"), self.factory.open(one, self.settings) as worker:
                self.record(worker.ask(first_calls, Startup))
                for result in parity.climb(worker, one, missing):
                    self.record(result)
            progress.advance()

    def _survey(self) -> None:
        """Find out what is possible on the task; a task that fails leaves the rest to go on."""
        try:
            with self.factory.open_oracle(self.settings) as oracle:
                self.record(oracle.ask(Survey(), Ceiling))
        except OracleFailed as error:
            failed = WorkerFailed("raised", f"task {self.settings.task!r}: {error}")
            self.fail(ORACLE, "training", failed)

    def timing(self) -> None:
        """Time launch after launch, until intervals are narrow enough or the time is used up."""
        if self.of(Stopped):
            return
        rule = StoppingRule(self.settings, self._pairs())
        for record in self.records:
            rule.add(record)
        steps = len(self.contenders) * (1 + self.settings.rounds * len(WORKLOADS))
        progress = Progress("timing", self.settings.launches * steps, self.report)
        progress.advance(rule.launches * steps)
        with self.factory.open_oracle(self.settings) as oracle:
            loop = TimingLoop(
                self.factory,
                self.settings,
                rule,
                self.record,
                lambda one, error: self.fail(one, "timing", error),
                oracle,
                progress.advance,
                level=self.level,
            )
            loop.run(self.passed, first=self.last_launch + 1)
        progress.finish()

    def _pairs(self) -> list[tuple[Contender, Contender]]:
        """Return the baseline with each other contender."""
        baseline = named(self.contenders, self.settings.baseline)
        return [(baseline, one) for one in self.contenders if baseline and one != baseline]

    def training(self) -> None:
        """Train each backend on the task by itself, and compare it with the oracle's training."""
        missing = self.missing("training")
        if not missing:
            return
        passed = self.passed() if self.settings.epochs else []
        trainable = [one for one in missing if one in passed and self._trains(one)]
        if trainable:
            self._train_oracle(trainable)
        steps = len(missing) * self.settings.epochs
        progress = Progress("training", steps, self.report if steps else silent)
        for one in missing:
            with self.part(one, "training"):
                if one in trainable:
                    self._train(one, progress)
        progress.finish()

    def _train_oracle(self, contenders: list[Contender]) -> None:
        """Have the oracle train as the contenders will."""
        approximate = any(self.level(one) == "approximate" for one in contenders)
        progress = Progress("oracle's training", 1, self.report)
        self._record_all(
            training.train_oracle(self.factory, self.settings, approximate, self.records)
        )
        progress.finish()

    def _train(self, contender: Contender, progress: Progress) -> None:
        """Train one contender, recording and comparing as it goes."""
        level, epochs = self.level(contender), []
        with (
            self.factory.open(contender, self.settings) as worker,
            self.factory.open_oracle(self.settings) as oracle,
        ):
            for reply in worker.stream(Train(), Trained, Epoch, Evaluated):
                if isinstance(reply, Evaluated):
                    evaluation = training.check_evaluation(
                        oracle, contender, self.settings, level, reply
                    )
                    self._record_all(evaluation)
                    continue
                self.record(reply)
                if isinstance(reply, Epoch):
                    epochs.append(reply)
                    progress.advance()
        found = training.check_training(
            contender, self.settings, level, epochs, reply, self.records
        )
        self._record_all(found)

    def _record_all(self, records: Iterable[Record]) -> None:
        for record in records:
            self.record(record)

    def _trains(self, contender: Contender) -> bool:
        """Return whether a backend claims training, and the forward pass to evaluate it by."""
        started = (s for s in self.of(Startup) if s.contender == contender)
        return {"train", "forward"} <= {name for startup in started for name in startup.calls}

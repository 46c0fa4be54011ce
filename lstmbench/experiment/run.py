"""The run itself: parity, then timing in turn, then training; recorded as it is made."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.progress import Progress

from lstmbench.analysis import results as summary
from lstmbench.execution import launch as pairing
from lstmbench.execution import parity as ladder
from lstmbench.execution.workers import Bench, WorkerFailed
from lstmbench.plugins.registry import Registry
from lstmbench.protocol.messages import (
    Ceiling,
    Checked,
    Failure,
    Finished,
    Phase,
    Prepare,
    Record,
    Row,
    Rung,
    Startup,
    Stopped,
    Train,
    Trained,
)
from lstmbench.records import folder as store
from lstmbench.worker import timing

COLD = 0  # the launch in which nothing is compiled yet; the timed ones are counted from 1


def run(folder: Path, registry: Registry, progress: Progress) -> None:
    """Do what is missing in a run's folder, recording as it goes."""
    store.mend(folder)
    found = store.read(folder)
    writer = store.Writer(folder)
    try:
        with Bench(found.header.settings, registry) as bench:
            runner = Runner(found, bench, writer, progress)
            runner.parity()
            runner.timing()
            runner.training()
    finally:
        writer.close()


class Runner:
    """What is known so far, and the means to find out the rest."""

    def __init__(
        self, found: store.Run, bench: Bench, writer: store.Writer, progress: Progress
    ) -> None:
        self.found, self.bench, self.writer, self.progress = (
            found,
            bench,
            writer,
            progress,
        )
        self.rows, self.settings = found.header.rows, found.header.settings

    def record(self, record: Record) -> None:
        self.writer.append(record)
        self.found.records.append(record)

    def of(self, kind: type) -> list[Any]:
        return [record for record in self.found.records if isinstance(record, kind)]

    def missing(self, phase: Phase) -> list[Row]:
        """The rows for which a phase has not been finished."""
        done = [f.row for f in self.of(Finished) if f.phase == phase]
        return [row for row in self.rows if row not in done]

    def sound(self, row: Row) -> bool:
        """Whether a row has agreed with the reference and not failed: only then it is timed."""
        departures = [r for r in self.of(Rung) + self.of(Checked) if r.verdict == "differs"]
        return not any(r.row == row for r in [*departures, *self.of(Failure)])

    def fail(self, row: Row, phase: Phase, error: WorkerFailed) -> None:
        failure = Failure(
            row=row,
            phase=phase,
            reason=error.reason,
            message=error.message,
            traceback=error.traceback,
        )
        self.record(failure)

    @contextmanager
    def part(self, row: Row, phase: Phase) -> Iterator[None]:
        """One row's part of a phase: what a worker does wrong becomes a record."""
        start = time.monotonic()
        try:
            yield
        except WorkerFailed as error:
            self.fail(row, phase, error)
        self.record(Finished(phase=phase, row=row, seconds=time.monotonic() - start))

    def parity(self) -> None:
        """Start each backend with nothing compiled yet, and hold it against the reference."""
        rows = self.missing("parity")
        if not rows and self.of(Ceiling):
            return
        bar = self.progress.add_task("parity", total=len(rows) + 1)
        with ladder.open_oracle(self.bench) as oracle:
            if not self.of(Ceiling):
                self.record(ladder.survey(oracle))
            expected = ladder.references(oracle)
        self.progress.advance(bar)
        for row in rows:
            with self.part(row, "parity"), self.bench.open(row) as worker:
                self.record(
                    worker.ask(Prepare(launch=COLD, workloads=list(timing.CAPABILITIES)), Startup)
                )
                for rung in ladder.climb(worker, row, expected):
                    self.record(rung)
            self.progress.advance(bar)

    def timing(self) -> None:
        """Launch after launch, until intervals are as narrow as asked or the time is used up."""
        done = [f for f in self.of(Finished) if f.phase == "timing"]
        if self.of(Stopped):
            return
        elapsed = sum(f.seconds for f in done)
        number = max([COLD, *(s.launch for s in self.of(Startup))])
        steps = len(self.rows) * (1 + self.settings.rounds * len(timing.CAPABILITIES))
        bar = self.progress.add_task("timing", total=self.settings.launches * steps)
        with ladder.open_oracle(self.bench) as oracle:
            for launches in range(len(done) + 1, 1_000_000):
                rows = [row for row in self.rows if self.sound(row)]
                if not rows:
                    self.record(Stopped(reason="nothing to time", half_width=None))
                    break
                start, number = time.monotonic(), number + 1
                self.record(pairing.probe(self.bench, number))
                launch = pairing.Launch(
                    self.bench,
                    number,
                    self.record,
                    lambda row, error: self.fail(row, "timing", error),
                    lambda: self.progress.advance(bar),
                )
                launch.run(rows, oracle)
                seconds = time.monotonic() - start
                self.record(Finished(phase="timing", launch=number, seconds=seconds))
                elapsed += seconds
                width = summary.half_width(summary.summarise(self.found))
                if why := pairing.limit(self.settings, launches, width, elapsed, seconds):
                    self.record(Stopped(reason=why, half_width=width))
                    break
                if launches >= self.settings.launches:
                    self.progress.update(bar, total=(launches + 1) * steps)
        self.progress.update(bar, completed=self.progress.tasks[bar].total)

    def training(self) -> None:
        """Train each backend on the task by itself."""
        rows = self.missing("training")
        if not rows:
            return
        bar = self.progress.add_task("training", total=len(rows) * self.settings.epochs)
        for row in rows:
            with self.part(row, "training"):
                if self.sound(row) and self.trains(row):
                    with self.bench.open(row) as worker:
                        for reply in worker.stream(Train(), Trained):
                            self.record(reply)
                            self.progress.advance(bar)
        self.progress.update(bar, completed=len(rows) * self.settings.epochs)

    def trains(self, row: Row) -> bool:
        """Whether the backend claims training, and the forward pass by which it is judged."""
        claims = {w for s in self.of(Startup) if s.row == row for w in s.calls}
        return {"train", "forward"} <= claims

"""How far a run has come, on standard error: bars in a terminal, else a line now and then."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from lstmbench.protocol.observations import Epoch, Record
from lstmbench.protocol.progress import Progress, Report
from lstmbench.report import terminal

LINE_SECONDS = 60.0
"""After so long in one phase, another line tells that it lives."""


Say = Callable[[str], None]
"""Shows a line."""


@contextmanager
def shown(stderr: Console) -> Iterator[tuple[Report, Say]]:
    """Yield what shows progress, and what shows a line beside it.

    There are no bars without a terminal, whatever FORCE_COLOR says: they would fill a log.
    """
    if not stderr.file.isatty() or stderr.is_dumb_terminal:
        yield _lines(), _say
        return
    bars: dict[str, TaskID] = {}
    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Bars(TextColumn("{task.description}"), *columns, console=stderr) as display:

        def update(progress: Progress) -> None:
            if progress.phase not in bars:
                bars[progress.phase] = display.add_task(progress.phase)
            display.update(bars[progress.phase], total=progress.total, completed=progress.done)

        yield update, lambda line: display.console.print(terminal.shown(line))


class RunningLoss:
    """Tells of training as it goes on: the mean loss since it last did, every so many epochs."""

    def __init__(self, every: int, say: Say) -> None:
        self._every, self._say = every, say
        self._losses: list[float] = []

    def hear(self, record: Record) -> None:
        """Take in an epoch; other records are passed over."""
        if not isinstance(record, Epoch):
            return
        if record.epoch == 0:
            self._losses = []
        self._losses.append(record.loss_nats)
        if self._every and (record.epoch + 1) % self._every == 0:
            self._say(
                f"{record.contender.label}: epoch {record.epoch + 1}: train loss "
                f"{sum(self._losses) / len(self._losses):.3f} nats (mean of "
                f"{len(self._losses)} epochs), validation accuracy "
                f"{record.validation_accuracy:.1%}"
            )
            self._losses = []


def _lines(clock: Callable[[], float] = time.monotonic) -> Report:
    """Return what prints a line when a phase begins, and each minute that it takes."""
    begun: dict[str, float] = {}
    last = clock()

    def update(progress: Progress) -> None:
        nonlocal last
        now, phase = clock(), progress.phase
        if phase not in begun:
            begun[phase] = now
            _say(f"{phase}: about {progress.total} steps")
        elif now - last < LINE_SECONDS:
            return
        else:
            elapsed = now - begun[phase]
            _say(f"{phase}: {progress.done} of about {progress.total} after {elapsed:.0f} s")
        last = now

    return update


def _say(line: str) -> None:
    print(f"lstmbench: {line}", file=sys.stderr, flush=True)

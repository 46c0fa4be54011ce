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

from lstmbench.protocol.progress import Progress, Report

LINE_SECONDS = 60.0
"""After so long in one phase, another line tells that it lives."""


@contextmanager
def shown(stderr: Console) -> Iterator[Report]:
    """Yield what shows progress, whatever FORCE_COLOR says: bars would fill a log."""
    if not stderr.file.isatty() or stderr.is_dumb_terminal:
        yield _lines()
        return
    bars: dict[str, TaskID] = {}
    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Bars(TextColumn("{task.description}"), *columns, console=stderr) as display:

        def update(progress: Progress) -> None:
            if progress.phase not in bars:
                bars[progress.phase] = display.add_task(progress.phase)
            display.update(bars[progress.phase], total=progress.total, completed=progress.done)

        yield update


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

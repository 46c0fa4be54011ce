"""Telling how far an experiment has come, to whoever wants to show it."""

from collections.abc import Callable
from dataclasses import dataclass

from lstmbench.protocol.observations import Record

Report = Callable[["Progress"], None]
"""Takes a progress whenever it has changed."""


Listener = Callable[[Record], None]
"""Takes a record as soon as it is kept."""


def silent(progress: "Progress") -> None:
    """Show nothing."""


def deaf(record: Record) -> None:
    """Take no notice of a record."""


@dataclass
class Progress:
    """How far one phase has come: `done` of about `total` steps."""

    phase: str
    total: int
    report: Report = silent
    done: int = 0

    def __post_init__(self) -> None:
        self.report(self)

    def advance(self, steps: int = 1) -> None:
        """Count steps that have been done; the total grows if it was too low."""
        self.done += steps
        self.total = max(self.total, self.done)
        self.report(self)

    def finish(self) -> None:
        """Count the phase as done."""
        self.total = max(self.done, 1)
        self.done = self.total
        self.report(self)

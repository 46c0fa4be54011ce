"""The conformance kit: the parity ladder for one backend, for authors and their CI.

Three ways in: `lstmbench check NAME`; `pytest --lstmbench NAME`; and `check` here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from lstmbench import ladder
from lstmbench.launcher import Bench, WorkerFailed
from lstmbench.messages import Row, Rung
from lstmbench.plugins import Registry
from lstmbench.settings import Settings


@dataclass
class Verdicts:
    """Every rung that a backend reached, and why it went no further if it did not."""

    row: Row
    rungs: list[Rung] = field(default_factory=list)
    failure: str = ""

    @property
    def first_difference(self) -> Rung | None:
        return next((rung for rung in self.rungs if rung.verdict == "differs"), None)

    @property
    def sound(self) -> bool:
        return bool(self.rungs) and not self.failure and self.first_difference is None


def check(rows: list[Row], settings: Settings, registry: Registry) -> Iterator[Verdicts]:
    """Climb the ladder with each row's backend, in a process of its own."""
    with Bench(settings, registry) as bench:
        with ladder.open_oracle(bench) as oracle:
            expected = ladder.references(oracle)
        for row in rows:
            verdicts = Verdicts(row)
            try:
                with bench.open(row) as worker:
                    for rung in ladder.climb(worker, row, expected, settings.dtype):
                        verdicts.rungs.append(rung)
            except WorkerFailed as error:
                verdicts.failure = f"{error.reason}: {error.message}"
            yield verdicts

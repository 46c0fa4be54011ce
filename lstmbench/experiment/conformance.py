"""The conformance kit: the parity ladder for a backend, for its author and their CI.

Three ways in. `lstmbench check NAME` in a shell; `pytest --lstmbench NAME`, or in a test file

    from lstmbench.experiment.conformance import ladder_tests

    test_ladder = ladder_tests("mine")

for a test a rung; and `check` from Python.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

from lstmbench import parity
from lstmbench.analysis.verdict import first_difference
from lstmbench.execution import parity as ladder
from lstmbench.execution.workers import Bench, WorkerFailed
from lstmbench.experiment import planning
from lstmbench.interface.errors import UsageError
from lstmbench.plugins import registry as plugins
from lstmbench.plugins.registry import Registry
from lstmbench.protocol.messages import Row, Rung
from lstmbench.protocol.settings import Settings, from_mapping
from lstmbench.records.folder import Header
from lstmbench.report import verdicts

PLACES = tuple(f"{fixture}/{rung}" for fixture in ladder.FIXTURES for rung in parity.rungs(fixture))
"""Every rung of every fixture, as "fixture/rung"."""


@dataclass
class Verdicts:
    """Every rung that a backend reached, and why it went no further if it did not."""

    row: Row
    rungs: list[Rung] = field(default_factory=list)
    failure: str = ""

    @property
    def first_difference(self) -> Rung | None:
        """The lowest rung on which the backend leaves the reference."""
        return first_difference(self.rungs)

    @property
    def sound(self) -> bool:
        """Whether all that the backend claims agrees with the reference."""
        return bool(self.rungs) and not self.failure and self.first_difference is None


def check(*names: str, **settings: Any) -> list[Verdicts]:
    """Climb the ladder with each backend named, in a process of its own.

    `settings` are those of a run (`dtype="float64"`, `hidden=96`, `threads=1`, ...). Raises
    UsageError if a name or a setting is unknown, or a backend cannot be used here.
    """
    registry = plugins.discover()
    header = plan(registry, *names, **settings)
    return list(climb(header.rows, header.settings, registry))


def plan(registry: Registry, *names: str, **settings: Any) -> Header:
    """Which rows `check` will climb with, at which settings; raises as it does."""
    given = from_mapping({**settings, "backend": list(names)}, "settings")
    return planning.plan(given, registry)


def climb(rows: list[Row], settings: Settings, registry: Registry) -> Iterator[Verdicts]:
    """The verdicts on each row, as they are reached."""
    with Bench(settings, registry) as bench:
        with ladder.open_oracle(bench) as oracle:
            expected = ladder.references(oracle)
        for row in rows:
            found = Verdicts(row)
            try:
                with bench.open(row) as worker:
                    for rung in ladder.climb(worker, row, expected):
                        found.rungs.append(rung)
            except WorkerFailed as error:
                found.failure = f"{error.reason} {error.message}"
            yield found


def ladder_tests(
    name: str, known_failures: str | Path | None = None, **settings: Any
) -> Callable[[str], None]:
    """A pytest test function with one case for each rung of each fixture.

    A rung that is not claimed is skipped. One that matches a line of the file `known_failures`
    (see `read_known_failures`) is expected to fail, and fails the suite once it no longer does.
    The ladder is climbed when the first of the tests runs.
    """
    import pytest

    known = read_known_failures(known_failures) if known_failures else {}

    def case(place: str) -> Any:
        marks = [pytest.mark.xfail(reason=known[place], strict=True)] if place in known else []
        return pytest.param(place, id=place, marks=marks)

    @pytest.mark.parametrize("place", [case(place) for place in PLACES])
    def test(place: str) -> None:
        judge(name, place, **settings)

    return test


def judge(name: str, place: str, **settings: Any) -> None:
    """Pass, skip or fail the running pytest test by what a backend does at a place."""
    import pytest

    for found in _checked(name, tuple(sorted(settings.items()))):
        rungs = {rung.place: rung for rung in found.rungs}
        if place not in rungs:
            pytest.fail(f"{found.row.label}: not reached: {found.failure}", pytrace=False)
        rung = rungs[place]
        if rung.verdict == "not claimed":
            pytest.skip("not claimed")
        if rung.verdict == "differs":
            text = f"{found.row.label} {verdicts.difference(rung)}"
            pytest.fail("\n".join([text, rung.traceback]).rstrip(), pytrace=False)


@cache
def _checked(name: str, settings: tuple[tuple[str, Any], ...]) -> list[Verdicts]:
    return check(name, **dict(settings))


def read_known_failures(path: str | Path) -> dict[str, str]:
    """The reason why each place listed in a file is known to fail.

    A line is a place, such as `odd/clip` or `*/clip`, and the reason after a `#`; an empty line,
    or one with a `#` alone, says nothing. Raises UsageError if the file cannot be read or a line
    matches no place.
    """
    try:
        lines = Path(path).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"known failures {str(path)!r} cannot be read: {error}") from None
    known: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        pattern, _, reason = (part.strip() for part in line.partition("#"))
        matches = [place for place in PLACES if fnmatch(place, pattern)]
        if pattern and not matches:
            raise UsageError(
                f"{path}, line {number}: no rung matches {pattern!r} (fixtures: "
                f"{', '.join(ladder.FIXTURES)}; rungs: {', '.join(parity.ORDER)})"
            )
        known |= dict.fromkeys(matches, reason or "known failure")
    return known

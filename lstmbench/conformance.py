"""The conformance kit: the parity ladder for a backend, for its author and their CI.

Three ways in. `lstmbench check NAME` in a shell; `pytest --lstmbench NAME`, or in a test file

    from lstmbench.conformance import ladder_tests

    test_ladder = ladder_tests("mine")

for a test of each rung; and `check` from Python.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from lstmbench.analysis.verdict import rung_in_words
from lstmbench.experiment.check import CheckResult, check
from lstmbench.parity.cases import RUN, RUN_SEEN
from lstmbench.parity.known_failures import read as read_known_failures
from lstmbench.parity.ladder import PLACES
from lstmbench.report.text import clean

SECONDS = "lstmbench_seconds"
"""The property of a test that holds how long the backend took for its rung."""

__all__ = [
    "PLACES",
    "CheckResult",
    "assert_rung",
    "check",
    "ladder_tests",
    "read_known_failures",
    "rung_seconds",
]


def ladder_tests(
    name: str, known_failures: str | Path | None = None, **settings: Any
) -> Callable[..., None]:
    """Return a pytest test function with one case for each rung at each case of the ladder.

    A rung that is not claimed is skipped. One that matches a line of the file `known_failures`
    (see `read_known_failures`) is expected to fail, and fails the suite once it no longer does.
    The ladder is climbed when the first of the tests runs.
    """
    import pytest

    known = read_known_failures(known_failures) if known_failures else {}

    def parameter(place: str) -> Any:
        marks = [pytest.mark.xfail(reason=known[place], strict=True)] if place in known else []
        return pytest.param(place, id=place, marks=marks)

    @pytest.mark.parametrize("place", [parameter(place) for place in PLACES])
    def test(place: str, record_property: Callable[[str, float], None]) -> None:
        record_property(SECONDS, rung_seconds(name, place, **settings))
        assert_rung(name, place, **settings)

    return test


def rung_seconds(name: str, place: str, **settings: Any) -> float:
    """Return how long a backend took for a place, on all its devices; 0 if it was not reached."""
    found = _checked(name, tuple(sorted(settings.items())))
    return sum(r.seconds or 0.0 for one in found for r in one.rungs if r.place == place)


def assert_rung(name: str, place: str, **settings: Any) -> None:
    """Pass, skip or fail the running pytest test by what a backend does at a place."""
    import pytest

    for found in _checked(name, tuple(sorted(settings.items()))):
        label = found.contender.label
        results = {one.place: one for one in found.rungs}
        if place not in results:
            reasons = "; ".join(found.verdict.reasons)
            pytest.fail(clean(f"{label}: not reached: {reasons}"), pytrace=False)
        if results[place].result.outcome == "not claimed":
            pytest.skip("not claimed")
        visible = results.get(place.replace(f"{RUN}/", f"{RUN_SEEN}/"), results[place])
        for one in (results[place], visible):
            if one.result.passed:
                continue
            text = f"{label} {rung_in_words(one)}"
            told = "\n".join([text, one.traceback]).rstrip()
            pytest.fail(clean(told, lines=True), pytrace=False)


@cache
def _checked(name: str, settings: tuple[tuple[str, Any], ...]) -> list[CheckResult]:
    return check(name, **dict(settings))

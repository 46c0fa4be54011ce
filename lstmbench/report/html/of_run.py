"""The answer of a run as report.html."""

from dataclasses import dataclass

from lstmbench.analysis.results import ContenderResult, RunResult
from lstmbench.interface.workloads import MAIN
from lstmbench.report.charts.chart import Cast, name_of
from lstmbench.report.charts.of_run import sections
from lstmbench.report.charts.theme import Look
from lstmbench.report.columns import (
    LATENCY,
    MEMORY,
    NAME,
    REPAID,
    ROOFLINES,
    SPEEDS,
    START,
    STATUS,
    TABLES,
    TEST_ACCURACY,
    TIMES,
    Column,
)
from lstmbench.report.document import document, table
from lstmbench.report.findings import about
from lstmbench.report.html.page import hiding, render
from lstmbench.report.signs import SIGNS

MAIN_TABLES: dict[str, tuple[Column, ...]] = {
    "Agreement and speed": (
        NAME,
        STATUS,
        TIMES[MAIN.name],
        SPEEDS[MAIN.name],
    ),
    "Latency and limits": (NAME, *LATENCY, ROOFLINES[MAIN.name]),
    "Accuracy and costs": (NAME, TEST_ACCURACY, START, REPAID, MEMORY[0]),
}
"""The tables that everybody sees: narrow enough for a phone even where styles are barred."""


LAYOUT = 1
"""The version of the page: it grows when the same run is shown otherwise."""


@dataclass(frozen=True)
class Person:
    """A contender on a page."""

    name: str
    tag: str
    look: Look
    sign: str
    passed: bool
    sentences: list[str]
    everything: list[tuple[str, list[tuple[str, str]]]]
    """By table, the heading and the text of each column."""


def page(run: RunResult) -> str:
    """Return the answer of a run as one page, with every chart."""
    cast = Cast.of(run)
    return render(
        "run.html",
        document=document(run),
        people=people(run, cast),
        tables=[table(title, columns, run) for title, columns in MAIN_TABLES.items()],
        sections=sections(run, cast),
        hiding=hiding(cast),
    )


def unjudged(name: str, cast: Cast) -> Person:
    """Return a contender of which a page has many results, and so no verdict."""
    return Person(name, cast.tags[name], cast.looks[name], "", True, [], [])


def people(run: RunResult, cast: Cast) -> list[Person]:
    """Return the contenders of a run as a page shows them, in the run's order of rank."""
    return [_person(one, run, cast) for one in run.contenders]


def _person(one: ContenderResult, run: RunResult, cast: Cast) -> Person:
    name = name_of(one.contender)
    return Person(
        name=name,
        tag=cast.tags[name],
        look=cast.looks[name],
        sign=SIGNS[one.verdict.status],
        passed=one.verdict.passed,
        sentences=about(one, run),
        everything=[
            (
                title,
                [
                    (column.heading(run), column.text(one, run))
                    for column in columns
                    if column is not NAME and column.told(run)
                ],
            )
            for title, columns in TABLES.items()
        ],
    )

"""The index of a site of many runs."""

from collections.abc import Mapping
from dataclasses import dataclass

from lstmbench.analysis.history import History, Step
from lstmbench.report.charts import history as history_charts
from lstmbench.report.charts.chart import Cast, Chart
from lstmbench.report.columns import interval
from lstmbench.report.facts import machine
from lstmbench.report.findings import sentences
from lstmbench.report.html.of_run import Person, unjudged
from lstmbench.report.html.page import hiding, render
from lstmbench.report.text import clean

MOST_RUNS = 200
"""Of each history, in the index; runs.csv has all."""


@dataclass(frozen=True)
class Line:
    """One run in the index."""

    name: str
    page: str
    created: str
    verdict: str
    changes: list[str]


@dataclass(frozen=True)
class Group:
    """A machine and shape in the index."""

    title: str
    newest: Line
    charts: list[Chart]
    lines: list[Line]
    left_out: int


def page(histories: list[History], pages: Mapping[str, str]) -> str:
    """Return the index; `pages` are the addresses of the runs' reports, by the runs' names."""
    labels = [clean(label) for one in histories for label in one.contenders]
    cast = Cast(list(dict.fromkeys(labels)))
    groups = [_group(one, f"history-{number}", cast, pages) for number, one in enumerate(histories)]
    return render(
        "site.html",
        groups=groups,
        people=_people(cast),
        runs=sum(len(one.steps) for one in histories),
        hiding=hiding(cast),
    )


def _people(cast: Cast) -> list[Person]:
    return [unjudged(name, cast) for name in cast.names]


def _group(history: History, name: str, cast: Cast, pages: Mapping[str, str]) -> Group:
    lines = [_line(step, pages) for step in reversed(history.steps)]
    return Group(
        title=f"{machine(history.newest.run.environment)}: {in_words(history)}",
        newest=lines[0],
        charts=history_charts.charts(history, cast, name),
        lines=lines[:MOST_RUNS],
        left_out=max(0, len(lines) - MOST_RUNS),
    )


def in_words(history: History) -> str:
    """Return what was timed, in a line."""
    s = history.shape
    return (
        f"{s['task']}, {s['layers']} layers of {s['hidden']}, batch {s['batch']}, "
        f"{s['seq_len']} time steps, {s['dtype']}, {s['threads']} threads"
    )


def _line(step: Step, pages: Mapping[str, str]) -> Line:
    changes = [f"{name}: {a} → {b}" for name, (a, b) in step.changed.items()]
    changes += [
        f"{jump.contender}, {jump.workload}: speed {interval(jump.before)} → {interval(jump.after)}"
        for jump in step.jumps
    ]
    run = step.named.run
    return Line(
        name=step.named.name,
        page=pages[step.named.name],
        created=f"{step.named.created:%Y-%m-%d %H:%M}",
        verdict=" ".join(sentences(run)) or "Nothing was found out.",
        changes=changes,
    )

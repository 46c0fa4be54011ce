"""The comparison of two runs as a page."""

from lstmbench.analysis.comparison import Change, RunComparison
from lstmbench.analysis.results import RunResult
from lstmbench.interface.workloads import WORKLOADS
from lstmbench.report import comparison
from lstmbench.report.charts.chart import Cast, Chart, Section, name_of
from lstmbench.report.charts.forest import Entry, forest
from lstmbench.report.document import table
from lstmbench.report.facts import facts
from lstmbench.report.html.of_run import MAIN_TABLES, people
from lstmbench.report.html.page import hiding, render


def page(found: RunComparison, before: RunResult, after: RunResult, gate: float) -> str:
    """Return a comparison as one page: what changed, and the answers of both runs."""
    names = [name_of(one.contender) for run in (after, before) for one in run.contenders]
    cast = Cast(list(dict.fromkeys(names)))
    charts = [_chart(name, found, cast) for name in _workloads(found)]
    return render(
        "comparison.html",
        document=comparison.document(found, gate),
        changes=[cast.tags[name_of(one.contender)] for one in comparison.ordered(found)],
        people=people(after, cast)
        + [
            one
            for one in people(before, cast)
            if one.name not in {name_of(other.contender) for other in after.contenders}
        ],
        sections=[Section("What changed, by workload", charts)] if charts else [],
        runs=[
            (
                title,
                people(run, cast),
                [table(name, columns, run) for name, columns in MAIN_TABLES.items()],
                facts(run),
            )
            for title, run in (("First run", before), ("Second run", after))
        ],
        hiding=hiding(cast),
    )


def _workloads(found: RunComparison) -> list[str]:
    return [name for name in WORKLOADS if any(one.workload == name for one in found.changes)]


def _chart(workload: str, found: RunComparison, cast: Cast) -> Chart:
    title = f"{WORKLOADS[workload].title.capitalize()}: second run's speed ÷ first's (log axis)"
    changes = [one for one in comparison.ordered(found) if one.workload == workload]
    return forest(
        f"change-{workload}",
        title,
        "second ÷ first, log; above 1 is faster now",
        [_entry(change) for change in changes],
        cast,
        reference=1,
    )


def _entry(change: Change) -> Entry:
    note = "÷ baseline's" if change.speed_over_baseline else "by the clock"
    return Entry(name_of(change.contender), change.decisive, note=f"({note})")

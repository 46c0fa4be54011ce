"""The answer of a sweep as report.html."""

from lstmbench.analysis.sweep import SweepResult
from lstmbench.report import sweep as words
from lstmbench.report.charts import sweep as charts
from lstmbench.report.charts.chart import Cast
from lstmbench.report.html.of_run import unjudged
from lstmbench.report.html.page import hiding, render
from lstmbench.report.text import clean


def page(sweep: SweepResult) -> str:
    """Return the answer of a sweep as one page."""
    cast = Cast([clean(label) for label in sweep.contenders])
    document = words.document(sweep)
    return render(
        "sweep.html",
        document=document,
        entries=[_entries(table) for table in document.tables],
        people=[unjudged(name, cast) for name in cast.names],
        sections=charts.sections(sweep, cast),
        hiding=hiding(cast),
        tags=cast.tags,
    )


def _entries(table: words.Table) -> list[tuple[str, list[tuple[str, words.Entry]]]]:
    """Return, for each cell, its name and what each contender that was measured has there."""
    return [
        (name.text, list(zip(table.columns[1:], entries, strict=True)))
        for name, *entries in table.rows
    ]

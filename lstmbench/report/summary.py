"""The short answer of a run: what was found, what to look out for, and one narrow table."""

from dataclasses import dataclass

from lstmbench.analysis.results import RunResult
from lstmbench.report.columns import NOTHING, SUMMARY
from lstmbench.report.document import title
from lstmbench.report.findings import sentences
from lstmbench.report.warnings import warnings

MOST_WARNINGS = 8


@dataclass
class Summary:
    """What fits into 80 columns."""

    title: str
    findings: list[str]
    warnings: list[str]
    columns: list[str]
    rows: list[list[str]]
    by_rank: list[int]
    """The columns' places, the most important first."""
    marked: list[bool]
    """Which rows are of contenders that did not pass."""
    pointers: list[str]
    """What the table says, and where the rest is."""

    def cells(self, place: int) -> list[str]:
        """Return the cells of a column."""
        return [row[place] for row in self.rows]


def summary(run: RunResult) -> Summary:
    """Return the short answer of a run; columns that say nothing are left out."""
    told = [
        (rank, column)
        for rank, column in SUMMARY
        if any(column.text(one, run) != NOTHING for one in run.contenders)
    ]
    columns = [column for _, column in told]
    return Summary(
        title=title(run),
        findings=sentences(run),
        warnings=_some(warnings(run)),
        columns=[column.heading(run) for column in columns],
        rows=[[column.text(one, run) for column in columns] for one in run.contenders],
        by_rank=sorted(range(len(told)), key=lambda place: told[place][0]),
        marked=[not one.verdict.passed for one in run.contenders],
        pointers=[
            f"[low, high]: 95 % interval over {run.launches} launches. Everything, and what it "
            f"means: lstmbench report {run.folder or 'DIR'} --details"
        ],
    )


def _some(found: list[str]) -> list[str]:
    more = len(found) - MOST_WARNINGS
    return found if more <= 0 else [*found[:MOST_WARNINGS], f"{more} more: see --details"]

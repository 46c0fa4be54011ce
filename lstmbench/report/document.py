"""The whole result of a run in words: a heading, tables of strings and notes, for any format."""

from dataclasses import dataclass

from lstmbench.analysis.results import RunResult
from lstmbench.report.columns import NOTHING, TABLES, Column
from lstmbench.report.facts import facts
from lstmbench.report.findings import sentences
from lstmbench.report.notes import notes
from lstmbench.report.warnings import warnings


@dataclass
class Table:
    """Columns' headings and rows' cells; `marked` are the rows of contenders that did not pass."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    marked: list[bool]


@dataclass
class Document:
    """What a reader is shown, from top to bottom."""

    title: str
    findings: list[str]
    facts: list[tuple[str, str]]
    tables: list[Table]
    warnings: list[str]
    notes: list[str]


def document(run: RunResult) -> Document:
    """Return the result of a run in words."""
    return Document(
        title=title(run),
        findings=sentences(run),
        facts=facts(run),
        tables=_tables(run),
        warnings=warnings(run),
        notes=notes(run),
    )


def _tables(run: RunResult) -> list[Table]:
    """Return the tables; but for the first, those that say nothing of anybody are left out."""
    first, *others = (table(title, columns, run) for title, columns in TABLES.items())
    told = [one for one in others if any(cell != NOTHING for row in one.rows for cell in row[1:])]
    return [first, *told]


def title(run: RunResult) -> str:
    """Return the heading of a run."""
    state = "" if run.complete else " (not finished)"
    return f"lstmbench: {run.settings.task}, {run.settings.dtype}, {run.header.created}{state}"


def table(title: str, columns: tuple[Column, ...], run: RunResult) -> Table:
    """Return columns with a row for each contender, without rare ones that have nothing to say."""
    columns = tuple(column for column in columns if column.told(run))
    return Table(
        title=title,
        columns=[column.heading(run) for column in columns],
        rows=[[column.text(one, run) for column in columns] for one in run.contenders],
        marked=[not one.verdict.passed for one in run.contenders],
    )

"""The answer in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lstmbench.report.text import clean

if TYPE_CHECKING:
    from lstmbench.report.document import Document

PIPED_WIDTH = 200


def console(stderr: bool = False) -> Console:
    """Return a console that does not wrap tables to 80 columns where there is no terminal."""
    result = Console(stderr=stderr, highlight=False)
    if not result.file.isatty():
        result.width = PIPED_WIDTH
    return result


def shown(line: str, style: str = "") -> Text:
    """Return what to print of a line, which may hold what others wrote."""
    return Text(clean(line), style)


def shown_lines(text: str, style: str = "") -> Text:
    """Return what to print of several lines, such as a traceback."""
    return Text(clean(text, lines=True), style)


def show(document: Document, out: Console) -> None:
    """Print a document."""
    out.print(shown(document.title, "bold"))
    facts = Table.grid(padding=(0, 2))
    for name, value in document.facts:
        facts.add_row(shown(name, "dim"), shown(value))
    out.print(facts)
    for table in document.tables:
        grid = Table(title=table.title, title_justify="left", title_style="bold")
        for number, column in enumerate(table.columns):
            grid.add_column(
                shown(column), justify="left" if number < 1 else "right", overflow="fold"
            )
        for cells, marked in zip(table.rows, table.marked, strict=True):
            grid.add_row(*(shown(cell) for cell in cells), style="dim" if marked else None)
        out.print(grid)
    for problem in document.problems:
        out.print(shown("! " + problem, "yellow"))
    for note in document.notes:
        out.print(shown(note, "dim"))

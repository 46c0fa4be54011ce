"""The answer in the terminal: short, or in detail; as wide as the terminal is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lstmbench.report.text import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lstmbench.report import comparison, document, sweep
    from lstmbench.report.summary import Summary

PIPED_WIDTH = 200
"""Where there is no terminal, and COLUMNS says nothing."""
NARROW = 80
GAP = 2
"""Between the columns of the short table."""
LEAST_NAME = 12
"""Columns for the contenders' names, if they need so many."""
FRAME = 3
"""What a column's lines and margins take in the detailed tables."""
LONGEST_CELL = 28
"""A cell of words, not of numbers, is wrapped where it is longer than this, and than a quarter of
the terminal."""


def console(stderr: bool = False, width: int = PIPED_WIDTH) -> Console:
    """Return a console as wide as the terminal; without one, as COLUMNS says, or `width`."""
    result = Console(stderr=stderr, highlight=False)
    if not result.file.isatty() and not os.environ.get("COLUMNS"):
        result.width = width
    return result


def shown(line: str, style: str = "") -> Text:
    """Return what to print of a line, which may hold what others wrote."""
    return Text(clean(line), style)


def shown_lines(text: str, style: str = "") -> Text:
    """Return what to print of several lines, such as a traceback."""
    return Text(clean(text, lines=True), style)


def show_summary(summary: Summary, out: Console) -> None:
    """Print the short answer."""
    out.print(shown(summary.title, "dim"))
    out.print(shown(" ".join(summary.findings), "bold"))
    for warning in summary.warnings:
        out.print(shown("! " + warning, "yellow"))
    out.print()
    out.print(_short_table(summary, out.width))
    for line in summary.pointers:
        out.print(shown(line, "dim"))


def _short_table(summary: Summary, width: int) -> Table:
    """Return the columns of highest rank that there is room for; of a number nothing is cut off."""
    first, *others = summary.by_rank
    widths = {first: min(_width(summary, first), max(width // 3, LEAST_NAME))}
    room = width - widths[first]
    for place in others:
        needed = _width(summary, place)
        if GAP + needed > room:
            break
        widths[place] = needed
        room -= GAP + needed
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, GAP - 1, 0, 0), pad_edge=False, show_edge=False)
    for place in sorted(widths):
        # A name is broken where it is too long; a number never.
        grid.add_column(
            shown(summary.columns[place]),
            justify="left" if place == first else "right",
            overflow="fold",
            width=widths[place],
        )
    for cells, marked in zip(summary.rows, summary.marked, strict=True):
        row = [shown(cells[place]) for place in sorted(widths)]
        grid.add_row(*row, style="dim" if marked else None)
    return grid


def _width(summary: Summary, place: int) -> int:
    """Return the width of a column whose heading may be broken at spaces, and whose cells not."""
    words = summary.columns[place].split()
    return max(map(cell_len, (*words, *map(clean, summary.cells(place)))))


def show(document: document.Document, out: Console) -> None:
    """Print a document; a table that is wider than the terminal is continued below."""
    out.print(shown(document.title, "bold"))
    out.print(shown(" ".join(document.findings), "bold"))
    for warning in document.warnings:
        out.print(shown("! " + warning, "yellow"))
    facts = Table.grid(padding=(0, 2))
    for name, value in document.facts:
        facts.add_row(shown(name, "dim"), shown(value))
    out.print(facts)
    for table in document.tables:
        _show_table(table, out)
    for note in document.notes:
        out.print(shown(note, "dim"))


def show_comparison(found: comparison.Document, out: Console) -> None:
    """Print the comparison of two runs."""
    out.print(shown(" ".join(found.findings), "bold"))
    for warning in found.warnings:
        out.print(shown("! " + warning, "yellow"))
    _show_table(found.table, out)
    for note in found.notes:
        out.print(shown(note, "dim"))


def show_sweep(found: sweep.Document, out: Console) -> None:
    """Print the answer of a sweep; the best of a row is bold, and has a star."""
    out.print(shown(found.title, "dim"))
    out.print(shown(" ".join(found.findings), "bold"))
    for warning in found.warnings:
        out.print(shown("! " + warning, "yellow"))
    for line in found.crossovers:
        out.print(shown(line))
    for table in found.tables:
        rows = [
            [shown(f"{one.text} *", "bold") if one.best else shown(one.text) for one in row]
            for row in table.rows
        ]
        show_grid(table.title, table.columns, rows, out)
    for note in found.notes:
        out.print(shown(note, "dim"))


def _show_table(table: document.Table, out: Console) -> None:
    rows = [
        [shown(cell, "dim" if marked else "") for cell in cells]
        for cells, marked in zip(table.rows, table.marked, strict=True)
    ]
    show_grid(table.title, table.columns, rows, out)


def show_grid(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[Text]], out: Console
) -> None:
    """Print a table, continued below where it is wider than the terminal."""
    longest = max(LONGEST_CELL, out.width // 4)
    texts = [list(map(clean, columns)), *([cell.plain for cell in row] for row in rows)]
    widths = [_cell_width(cells, longest) for cells in zip(*texts, strict=True)]
    for number, places in enumerate(split(widths, out.width)):
        grid = Table(
            title=shown(f"{title} (continued)" if number else title),
            title_justify="left",
            title_style="bold",
        )
        for place in places:
            grid.add_column(
                shown(columns[place]),
                justify="right" if place else "left",
                overflow="fold",
                width=widths[place],
            )
        for cells in rows:
            grid.add_row(*(cells[place] for place in places))
        out.print(grid)


def split(widths: Sequence[int], width: int) -> list[list[int]]:
    """Return the columns of each part of a table, so that no part is wider than `width`.

    `widths` are those of the columns' texts. The first column stands in each part.
    """
    parts, room = [[0]], width - 1 - FRAME - widths[0]
    for place in range(1, len(widths)):
        if FRAME + widths[place] > room and parts[-1] != [0]:
            parts.append([0])
            room = width - 1 - FRAME - widths[0]
        parts[-1].append(place)
        room -= FRAME + widths[place]
    return parts


def _cell_width(texts: Sequence[str], most: int) -> int:
    """Return the width of a column, its heading first: words are broken only at spaces.

    Cells take one line, unless they are longer than `most`.
    """
    words = [word for text in texts for word in text.split()]
    longest = max(map(cell_len, texts[1:]), default=0)
    return max(min(longest, most), max(map(cell_len, words), default=0))

"""The answer as report.md."""

from lstmbench.report import comparison, sweep
from lstmbench.report.document import Document, Table
from lstmbench.report.text import clean

SAFE = {"&": "&amp;", "<": "&lt;", "](": "]\\(", "://": "&#58;//", "www.": "www&#46;"}
"""What would be HTML or a link, and how it is written to be shown as it is."""


def render(document: Document) -> str:
    """Return a document in Markdown, with GitHub's tables."""
    parts = [f"# {_safe(document.title)}", _safe(" ".join(document.findings))]
    if document.warnings:
        parts += ["## What to look out for", _list(document.warnings)]
    for table in document.tables:
        parts += [f"## {table.title}", _table(table)]
    facts = Table("", ["", ""], [list(fact) for fact in document.facts], [])
    parts += ["## What was run", _table(facts), "## What the numbers mean", _list(document.notes)]
    return "\n\n".join(parts) + "\n"


def render_comparison(document: comparison.Document) -> str:
    """Return the comparison of two runs in Markdown."""
    parts = [f"# {_safe(document.title)}", _safe(" ".join(document.findings))]
    if document.warnings:
        parts += ["## What to look out for", _list(document.warnings)]
    table = document.table
    parts += [f"## {table.title.capitalize()}", _table(table), *map(_safe, document.notes)]
    return "\n\n".join(parts) + "\n"


def render_sweep(document: sweep.Document) -> str:
    """Return the answer of a sweep in Markdown; the best of a row is bold."""
    parts = [f"# {_safe(document.title)}", _safe(" ".join(document.findings))]
    if document.warnings:
        parts += ["## What to look out for", _list(document.warnings)]
    changes = document.crossovers or ["No two contenders change places beyond doubt."]
    parts += ["## Where it changes", _list(changes)]
    for table in document.tables:
        lines = [table.columns, ["---"] + ["---:"] * (len(table.columns) - 1)]
        rows = [[_bold(_cell(one.text), one.best) for one in row] for row in table.rows]
        parts += [f"## {table.title}", _lines([*lines, *rows])]
    parts += ["## What the numbers mean", _list(document.notes)]
    return "\n\n".join(parts) + "\n"


def _bold(text: str, best: bool) -> str:
    return f"**{text}**" if best else text


def _list(items: list[str]) -> str:
    return "\n".join(f"- {_safe(item)}" for item in items)


def _table(table: Table) -> str:
    lines = [table.columns, ["---"] + ["---:"] * (len(table.columns) - 1), *table.rows]
    if not table.title:
        lines[1] = ["---"] * len(table.columns)
    return _lines([[_cell(text) for text in row] for row in lines])


def _lines(rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _cell(text: str) -> str:
    return _safe(text).replace("|", "\\|")


def _safe(text: str) -> str:
    """Return a text that may hold what others wrote, without HTML, links and new lines."""
    text = clean(text)
    for sign, written in SAFE.items():
        text = text.replace(sign, written)
    return text

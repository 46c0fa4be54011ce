"""The answer as report.md."""

from lstmbench.report import comparison
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


def _list(items: list[str]) -> str:
    return "\n".join(f"- {_safe(item)}" for item in items)


def _table(table: Table) -> str:
    lines = [table.columns, ["---"] + ["---:"] * (len(table.columns) - 1), *table.rows]
    if not table.title:
        lines[1] = ["---"] * len(table.columns)
    return "\n".join(
        "| " + " | ".join(_safe(c).replace("|", "\\|") for c in row) + " |" for row in lines
    )


def _safe(text: str) -> str:
    """Return a text that may hold what others wrote, without HTML, links and new lines."""
    text = clean(text)
    for sign, written in SAFE.items():
        text = text.replace(sign, written)
    return text

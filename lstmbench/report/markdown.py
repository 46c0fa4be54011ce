"""The answer as report.md."""

from lstmbench.report.document import Document, Table


def render(document: Document) -> str:
    """Return a document in Markdown, with GitHub's tables."""
    parts = [
        f"# {document.title}",
        _table(Table("", ["", ""], [list(f) for f in document.facts], [])),
    ]
    for table in document.tables:
        parts += [f"## {table.title}", _table(table)]
    if document.problems:
        parts += ["## What went wrong or is missing", _list(document.problems)]
    parts += ["## What the numbers mean", _list(document.notes)]
    return "\n\n".join(parts) + "\n"


def _list(items: list[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _table(table: Table) -> str:
    lines = [table.columns, ["---"] + ["---:"] * (len(table.columns) - 1), *table.rows]
    if not table.title:
        lines[1] = ["---"] * len(table.columns)
    return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in lines)

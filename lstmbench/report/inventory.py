"""The inventory of plugins in the terminal."""

from typing import Any

from rich.console import Console
from rich.table import Table

from lstmbench.report.terminal import shown


def show(found: dict[str, Any], out: Console) -> None:
    """Print an inventory; an empty status means usable."""
    for kind, entries in found.items():
        if not entries:
            continue
        table = Table(title=kind, title_justify="left", title_style="bold")
        columns = [name for name in entries[0] if name != "status"]
        for column in [*columns, "usable"]:
            table.add_column(column, overflow="fold")
        for entry in entries:
            usable = f"no: {entry['status']}" if entry["status"] else "yes"
            cells = [shown(_text(entry[name])) for name in columns]
            table.add_row(*cells, shown(usable), style="yellow" if entry["status"] else None)
        out.print(table)


def _text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)

"""What is installed and what it can be used on, without importing any of it."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lstmbench.host import environment
from lstmbench.interface import BackendInfo, TaskInfo
from lstmbench.plugins.registry import Registry, unusable


def take(registry: Registry) -> dict[str, Any]:
    """Backends, tasks, devices and broken plugins, as plain data."""
    return {
        "backends": [
            {
                **_entry(info, distribution),
                "devices": list(info.devices),
                "dtypes": list(info.dtypes),
                "status": registry.backends.conflict(name) or unusable(info, distribution),
            }
            for name in registry.backends
            for distribution, info in registry.backends.claims[name]
        ],
        "tasks": [
            {
                **_entry(info, distribution),
                "status": registry.tasks.conflict(name),
            }
            for name in registry.tasks
            for distribution, info in registry.tasks.claims[name]
        ],
        "devices": [
            {
                "name": "cpu",
                "status": "",
                "summary": f"{environment.usable_cores()} usable cores",
            },
            {
                "name": "cuda",
                "status": "" if environment.has_cuda() else "no NVIDIA GPU found",
                "summary": "NVIDIA GPU",
            },
        ],
        "broken": [
            {"name": b.plugin, "distribution": b.distribution, "status": b.error}
            for b in registry.broken
        ],
    }


def _entry(info: BackendInfo | TaskInfo, distribution: str) -> dict[str, Any]:
    return {"name": info.name, "distribution": distribution, "summary": info.summary}


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
            cells = [Text(_text(entry[name])) for name in columns]
            table.add_row(*cells, Text(usable), style="yellow" if entry["status"] else None)
        out.print(table)


def _text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)

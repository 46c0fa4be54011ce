"""What is installed and what it can be used on, without importing any of it."""

from typing import Any

from lstmbench.host import cpu, gpu
from lstmbench.interface import BackendInfo, TaskInfo
from lstmbench.plugins.registry import Registry, unusable


def take(registry: Registry) -> dict[str, Any]:
    """Return backends, tasks, devices and broken plugins, as plain data."""
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
                "summary": f"{cpu.usable_cores()} usable cores",
            },
            {
                "name": "cuda",
                "status": "" if gpu.has_cuda() else "no NVIDIA GPU found",
                "summary": ", ".join(one.name for one in gpu.gpus()) or "NVIDIA GPU",
            },
        ],
        "broken": [
            {"name": b.plugin, "distribution": b.distribution, "status": b.error}
            for b in registry.broken
        ],
    }


def _entry(info: BackendInfo | TaskInfo, distribution: str) -> dict[str, Any]:
    return {"name": info.name, "distribution": distribution, "summary": info.summary}

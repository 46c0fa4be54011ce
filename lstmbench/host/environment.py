"""What machine and which versions these are: what a reader of the results may ask for."""

import os
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from lstmbench.host import commands, cpu, gpu

GOVERNOR = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Return the installed version of each distribution that is installed."""
    found = {}
    for name in sorted(set(distributions)):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def describe(distributions: Iterable[str]) -> dict[str, Any]:
    """Return everything about machine and software that a reader of the results may ask for."""
    import cpuinfo
    import psutil

    processor = cpuinfo.get_cpu_info()
    return {
        "cpu": processor.get("brand_raw", platform.processor()),
        "cpu_flags": processor.get("flags", []),
        "l2_bytes": processor.get("l2_cache_size"),
        "l3_bytes": processor.get("l3_cache_size"),
        "cores_physical": psutil.cpu_count(logical=False),
        "cores_logical": psutil.cpu_count(),
        "cores_usable": cpu.usable_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "frequency_governor": commands.read(GOVERNOR),
        "gpus": gpu.gpus(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": versions(distributions),
        "git_commit": _commit(),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
    }


def machine(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return, of what `describe` tells, what makes a machine another one; None: it is not told."""
    return {
        "cpu": described.get("cpu"),
        "cores_usable": described.get("cores_usable"),
        "gpus": [one.get("name") for one in described.get("gpus") or []],
    }


def _commit() -> str | None:
    """Return the commit of the checkout that runs, marked if there are changes."""
    here = Path(__file__).parent
    git = ["git", "-C", str(here)]
    if commands.output([*git, "ls-files", "--error-unmatch", __file__]) is None:
        return None
    commit, changes = (
        commands.output([*git, "rev-parse", "HEAD"]),
        commands.output([*git, "status", "--short"]),
    )
    return commit and commit + ("+changes" if changes else "")

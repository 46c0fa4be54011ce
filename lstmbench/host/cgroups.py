"""What Linux's control groups, of version 1 or 2, leave this process of the machine.

`root` is the folder that /proc and /sys are in. Where nothing is told, there is no limit.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lstmbench.host import commands

ROOT = Path("/")
CONTROL_GROUPS = "sys/fs/cgroup"
UNLIMITED_BYTES = 1 << 60
"""Version 1 tells so much, or more, where there is no limit."""


class Throttling(NamedTuple):
    """In how many periods so far there was work to do, and in how many the quota was used up."""

    periods: int
    throttled: int


def cpu_quota(root: Path = ROOT) -> float | None:
    """Return the time of how many cores may be used, such as 0.5; None without a limit."""
    return min(_quotas(root), default=None)


def memory_limit(root: Path = ROOT) -> int | None:
    """Return how many bytes of memory may be used; None without a limit."""
    told = [
        number
        for folder in _folders("memory", root)
        for name in ("memory.max", "memory.limit_in_bytes")
        if (number := _number(folder / name)) is not None and 0 <= number < UNLIMITED_BYTES
    ]
    return min(told, default=None)


def throttling(root: Path = ROOT) -> Throttling | None:
    """Return how often this process's groups have been throttled; None if that is not told."""
    counts = [_counters(folder / "cpu.stat") for folder in _folders("cpu", root)]
    told = [one for one in counts if "nr_periods" in one and "nr_throttled" in one]
    if not told:
        return None
    return Throttling(sum(c["nr_periods"] for c in told), sum(c["nr_throttled"] for c in told))


def _quotas(root: Path) -> Iterator[float]:
    for folder in _folders("cpu", root):
        quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        if (words := (commands.read(folder / "cpu.max") or "").split()) and len(words) == 2:
            quota, period = (int(word) if word.isdecimal() else None for word in words)
        if quota is not None and period and quota > 0:
            yield quota / period


def _folders(controller: str, root: Path) -> Iterator[Path]:
    """Yield the folders of the groups that this process is in, the innermost first."""
    for line in (commands.read(root / "proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:  # version 2
            yield from _upwards(root / CONTROL_GROUPS, path)
        elif controller in controllers.split(","):
            for name in dict.fromkeys((controllers, controller)):
                yield from _upwards(root / CONTROL_GROUPS / name, path)


def _upwards(base: Path, path: str) -> Iterator[Path]:
    """Yield a group's folder and those above it; a container may see only the last of them."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for count in range(len(parts), -1, -1):
        folder = base.joinpath(*parts[:count])
        if folder.is_dir():
            yield folder


def _counters(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in (commands.read(path) or "").splitlines())
    return {p[0]: int(p[1]) for p in pairs if len(p) == 2 and p[1].isdecimal()}


def _number(path: Path) -> int | None:
    text = commands.read(path) or ""
    return int(text) if text.removeprefix("-").isdecimal() else None

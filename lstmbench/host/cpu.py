"""The cores of this machine that may be used, and keeping a process on some of them.

`root` is the folder that /proc and /sys are in.
"""

import os
from pathlib import Path
from typing import NamedTuple

from lstmbench.host import cgroups, commands

ROOT = Path("/")
CORES = "sys/devices/system/cpu"
FAST = 0.85
"""Cores are of the fastest kind that have at least this share of the best one's speed."""


class Core(NamedTuple):
    """A physical core: the numbers that the system counts it under, and its speed, if known.

    With simultaneous multithreading it has several numbers, of which one does most of the work
    that all together do.
    """

    numbers: tuple[int, ...]
    speed: float


def usable_cores(root: Path = ROOT) -> int:
    """Return how many threads that compute are worth starting.

    One for each physical core of the fastest kind that this process may run on, and no more than a
    control group leaves time for.
    """
    found = cores(root)
    fast = [core for core in found if core.speed >= FAST * found[0].speed]
    quota = cgroups.cpu_quota(root)
    return max(1, len(fast) if quota is None else min(len(fast), int(quota)))


def allowed() -> list[int]:
    """Return the numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def cores(root: Path = ROOT) -> list[Core]:
    """Return the physical cores that this process may run on, the fastest first."""
    groups: dict[str, list[int]] = {}
    for number in allowed():
        siblings = _told(root, number, "topology/thread_siblings_list")
        groups.setdefault(siblings or str(number), []).append(number)
    found = [Core(tuple(numbers), _speed(root, numbers[0])) for numbers in groups.values()]
    return sorted(found, key=lambda core: (-core.speed, core.numbers))


def limit_cores(threads: int, root: Path = ROOT) -> None:
    """Keep this process on `threads` cores, for libraries that count cores and not variables."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, in_order(root)[:threads])


def in_order(root: Path = ROOT) -> list[int]:
    """Return the numbers of all cores in the order in which they are to be used.

    No physical core is used twice before all have been.
    """
    found = cores(root)
    most = max(len(core.numbers) for core in found)
    return [core.numbers[n] for n in range(most) for core in found if n < len(core.numbers)]


def online(root: Path = ROOT) -> list[int] | None:
    """Return the numbers of all cores that are switched on; None if it is not told."""
    told = commands.read(root / CORES / "online")
    return None if told is None else _numbers(told)


def _speed(root: Path, number: int) -> float:
    """Return what the system tells of a core's speed, in any unit; 0 if nothing."""
    for name in ("cpu_capacity", "cpufreq/cpuinfo_max_freq"):
        if told := _told(root, number, name):
            return float(told) if told.isdecimal() else 0.0
    return 0.0


def _numbers(told: str) -> list[int] | None:
    """Return the numbers in a list such as "0-3,8"."""
    result: list[int] = []
    for part in told.split(","):
        first, _, last = part.partition("-")
        if not (first.isdecimal() and (last or first).isdecimal()):
            return None
        result += range(int(first), int(last or first) + 1)
    return result


def _told(root: Path, number: int, name: str) -> str | None:
    return commands.read(root / CORES / f"cpu{number}" / name)

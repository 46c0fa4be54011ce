"""How much of the machine others used while something was timed."""

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import psutil

from lstmbench.host import cgroups, cpu

LEAST_SECONDS = 1e-3
"""Of what is watched: a coarse clock may not have moved on."""


class Load(NamedTuple):
    """What was used of the cores that this process may run on, as shares of their time.

    None where the system does not tell.
    """

    others: float
    """By processes that are not ours. What one of ours used that has died counts as others'."""
    stolen: float | None
    """By other machines on this host."""
    throttled: float | None
    """In how many of the control group's periods its time was used up, as a share of all."""


class LoadMonitor:
    """Who else used the processors since this was made; `pids` are the processes that are ours."""

    def __init__(self, pids: Iterable[int]) -> None:
        self.pids = list(pids)
        self._start = time.monotonic()
        self._busy, self._stolen = _used_of_cores()
        self._ours = _processor_seconds(self.pids)
        self._throttling = cgroups.throttling()

    def load(self) -> Load:
        """Return what was used since."""
        capacity = max(time.monotonic() - self._start, LEAST_SECONDS) * len(cpu.allowed())
        busy, stolen = _used_of_cores()
        others = busy - self._busy - (_processor_seconds(self.pids) - self._ours)
        return Load(
            max(0.0, others) / capacity,
            None if stolen is None else max(0.0, stolen - (self._stolen or 0.0)) / capacity,
            self._throttled(),
        )

    def _throttled(self) -> float | None:
        before, now = self._throttling, cgroups.throttling()
        if before is None or now is None or now.periods <= before.periods:
            return None
        return (now.throttled - before.throttled) / (now.periods - before.periods)


def _used_of_cores() -> tuple[float, float | None]:
    """Return the seconds that the cores this process may run on were busy, and that were stolen."""
    every, ours = psutil.cpu_times(percpu=True), cpu.allowed()
    numbers = cpu.online() or list(range(len(every)))
    times = [one for number, one in zip(numbers, every, strict=False) if number in ours] or every
    busy = sum(one.user + getattr(one, "nice", 0.0) + one.system for one in times)
    stolen = [getattr(one, "steal", None) for one in times]
    known = [seconds for seconds in stolen if seconds is not None]
    return busy, sum(known) if known else None


def _processor_seconds(pids: Sequence[int]) -> float:
    """Return the processor time that this process and others have used so far."""
    own = psutil.Process().cpu_times()
    return float(own.user + own.system) + sum(map(_used, pids))


def _used(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)

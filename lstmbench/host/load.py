"""How much of the machine others used while something was timed."""

import time
from collections.abc import Iterable, Sequence

import psutil

from lstmbench.host import cpu


class LoadMonitor:
    """Who else used the processors since this was made; `pids` are the processes that are ours."""

    def __init__(self, pids: Iterable[int]) -> None:
        self.pids = list(pids)
        self._start = time.monotonic()
        self._system, self._ours = psutil.cpu_times(), _processor_seconds(self.pids)

    def shares(self) -> tuple[float, float | None]:
        """Return what other processes, and other machines on this host, used meanwhile.

        As shares of the time of all usable cores; None where the system does not tell. What a
        process of ours used that has died counts as others'.
        """
        capacity = (time.monotonic() - self._start) * cpu.usable_cores()
        now = psutil.cpu_times()
        busy = sum(getattr(now, n) - getattr(self._system, n) for n in ("user", "nice", "system"))
        other = busy - (_processor_seconds(self.pids) - self._ours)
        stolen = getattr(now, "steal", None)
        return (
            max(0.0, other) / capacity,
            None if stolen is None else (stolen - self._system.steal) / capacity,
        )


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

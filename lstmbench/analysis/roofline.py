"""How near to the machine's limit a contender came, and what holds it back."""

from typing import Literal, NamedTuple

from lstmbench.interface.operations import Work
from lstmbench.protocol.observations import MachinePeaks
from lstmbench.statistics import Estimate

Bottleneck = Literal["arithmetic", "bandwidth", "dispatch"]
"""What holds a contender back; dispatch is the calls and small operations around the arithmetic."""

NEAR = 0.5
"""Nearer to the limit than this share, the limit itself holds back; else dispatch does."""
IMPOSSIBLE = 2.0
"""Beyond so many times the measured limit, work has been left out. The limit is that of a BLAS,
which may be built for vectors half as wide as the machine's, but hardly for less."""


class Share(NamedTuple):
    """The least time that the work takes at the machine's peaks, over the time taken."""

    estimate: Estimate
    """With the interval of the time alone."""
    bottleneck: Bottleneck

    @property
    def beats_limit(self) -> bool:
        """Whether the whole interval is beyond the measured limit, which is then too low."""
        return self._beyond(1.0)

    @property
    def impossible(self) -> bool:
        """Whether the whole interval is beyond what a machine can do: an error, not a record."""
        return self._beyond(IMPOSSIBLE)

    def _beyond(self, share: float) -> bool:
        return self.estimate.value > share and not self.estimate.low <= share


class Peaks(NamedTuple):
    """The best rates of a device: a limit is what the machine can do. None: not known."""

    matrix_flops_per_second: float | None
    memory_bytes_per_second: float | None


def share(work: Work, seconds: Estimate, peaks: Peaks) -> Share | None:
    """Return how near to the limit a unit of work came that took `seconds`; None without one."""
    if not peaks.matrix_flops_per_second or not peaks.memory_bytes_per_second:
        return None
    arithmetic = work.operations / peaks.matrix_flops_per_second
    bandwidth = work.bytes / peaks.memory_bytes_per_second
    least = max(arithmetic, bandwidth)
    if not least:
        return None
    estimate = Estimate(least / seconds.value, least / seconds.high, least / seconds.low)
    limit: Bottleneck = "arithmetic" if arithmetic >= bandwidth else "bandwidth"
    return Share(estimate, limit if estimate.value >= NEAR else "dispatch")


def best(probes: list[MachinePeaks]) -> dict[str, Peaks]:
    """Return the best rates, of all launches and libraries, of each device that was measured."""
    devices = dict.fromkeys(probe.device for probe in probes)
    return {device: _best([p for p in probes if p.device == device]) for device in devices}


def _best(probes: list[MachinePeaks]) -> Peaks:
    return Peaks(
        max(p.matrix_flops_per_second or 0.0 for p in probes) or None,
        max(p.memory_bytes_per_second or 0.0 for p in probes) or None,
    )


def in_words(workload: str, found: Share) -> str:
    """Return what to know of a workload that was done faster than the measured limit."""
    what = f"{workload} is {found.estimate.value:.2f} times as fast as the measured limit"
    if found.impossible:
        return f"{what}: work left out, or an error in the timing"
    return f"{what}: the library that measures it is not at its best here"

"""How near to the machine's limit a contender came, and what holds it back."""

import math
from typing import Literal, NamedTuple

from lstmbench.interface.operations import Work
from lstmbench.protocol.observations import MachinePeaks
from lstmbench.statistics import Estimate

Bottleneck = Literal["arithmetic", "bandwidth", "dispatch"]
"""What holds a contender back; dispatch is the calls and small operations around the arithmetic."""

NEAR = 0.5
"""Nearer to the limit than this share, the limit itself holds back; else dispatch does."""


class Share(NamedTuple):
    """The least time that the work takes at the machine's peaks, over the time taken."""

    estimate: Estimate
    """With the interval of the time alone."""
    bottleneck: Bottleneck

    @property
    def too_fast(self) -> bool:
        """Whether the whole interval beats the limit: an error, not a record."""
        low = self.estimate.low
        return self.estimate.value > 1 and not low <= 1


def least_seconds(work: Work, peaks: MachinePeaks) -> tuple[float, float]:
    """Return the seconds that the operations take at their peak, and the bytes at theirs."""
    return (
        work.operations / peaks.matrix_flops_per_second,
        work.bytes / peaks.memory_bytes_per_second,
    )


def share(work: Work, seconds: Estimate, peaks: MachinePeaks) -> Share | None:
    """Return how near to the limit a unit of work came that took `seconds`; None without one."""
    arithmetic, bandwidth = least_seconds(work, peaks)
    least = max(arithmetic, bandwidth)
    if not least:
        return None
    estimate = Estimate(least / seconds.value, least / seconds.high, least / seconds.low)
    limit: Bottleneck = "arithmetic" if arithmetic >= bandwidth else "bandwidth"
    return Share(estimate, limit if estimate.value >= NEAR else "dispatch")


def best(probes: list[MachinePeaks]) -> MachinePeaks | None:
    """Return the best rates of all launches: a limit is what the machine can do."""
    if not probes:
        return None
    return MachinePeaks(
        launch=probes[0].launch,
        matrix_flops_per_second=max(p.matrix_flops_per_second for p in probes),
        memory_bytes_per_second=max(p.memory_bytes_per_second for p in probes),
    )


def in_words(workload: str, found: Share) -> str:
    """Return what to know of a workload that was done faster than the machine can."""
    value = found.estimate.value
    if math.isnan(value):
        return ""
    return (
        f"{workload} is {value:.2f} times as fast as this machine's limit allows: work left out, "
        "an error in the timing, or too low a limit"
    )

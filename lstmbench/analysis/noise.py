"""What an A/A run shows: the noise floor of this machine."""

import math
from dataclasses import dataclass, field

import numpy as np

from lstmbench import statistics
from lstmbench.protocol.settings import Settings
from lstmbench.statistics import Estimate

NOMINAL = 1 - statistics.CONFIDENCE


@dataclass
class Comparisons:
    """Ratios between equal things, each with its interval, and the seconds that they took."""

    ratios: list[Estimate] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def excluding_one(self) -> int:
        """How many intervals say that equal things differ."""
        return sum(not r.low <= 1 <= r.high for r in self.ratios)

    @property
    def share_excluding_one(self) -> Estimate:
        """What share of the intervals say so."""
        return statistics.share_of(self.excluding_one, len(self.ratios))

    @property
    def half_width(self) -> float:
        """The median half-width, as a share of the ratio."""
        return float(np.median([r.half_width for r in self.ratios]))

    @property
    def largest(self) -> float:
        """The largest difference from 1 that a ratio shows."""
        return max(abs(math.expm1(abs(math.log(r.value)))) for r in self.ratios)


@dataclass
class SelfTestResult:
    """What an A/A run shows: one backend against itself, and against a slowed replica."""

    backend: str
    settings: Settings
    injected: float
    """The speed ratio that the slowed replica truly has."""
    launches: list[int] = field(default_factory=list)
    """How many launches each experiment took."""
    paired: Comparisons = field(default_factory=Comparisons)
    """Interleaved in fresh processes, as in a run."""
    sequential: Comparisons = field(default_factory=Comparisons)
    """The same number of blocks, one process after the other."""
    slowed: list[Estimate] = field(default_factory=list)
    """The measured ratio of the slowed replica, one an experiment."""
    other_share: float = 0.0
    """The most of the cores' time that other processes used during a launch."""

    @property
    def found(self) -> int:
        """In how many experiments the slowdown was seen as one."""
        return sum(ratio.high < 1 for ratio in self.slowed)

    @property
    def passed(self) -> bool:
        """Whether intervals hold what they promise, and the injected slowdown was found.

        The share of intervals that exclude 1 may be NOMINAL by its own 95 % interval, and the
        slowdown was seen in most experiments.
        """
        return self.paired.share_excluding_one.low <= NOMINAL and 2 * self.found > len(self.slowed)

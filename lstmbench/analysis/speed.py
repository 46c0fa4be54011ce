"""Times and their ratios, estimated from the blocks of a run.

The median over the rounds of a launch is one observation of that launch; the estimate is the
geometric mean over launches, and its 95 % interval Student's t over launches. Launches, not
rounds, are independent: two identical processes can differ for their whole lives, so the interval
takes in what varies between processes and what varies within them. A ratio is formed first within
each round, where both contenders ran one after the other.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from statistics import median

import numpy as np

from lstmbench import statistics
from lstmbench.protocol.observations import Block
from lstmbench.statistics import Estimate

Place = tuple[int, int]
"""Launch and round."""
CLOCK_SECONDS = 1e-9
"""No clock tells less."""
LATE_SHARE = 0.3
"""Of the call's own time."""
LATE_SECONDS = 1e-4
"""What fetching some arrays may take however small they are."""


@dataclass(frozen=True)
class LaunchEstimate:
    """An estimate over launches, and the launches' own values that it was made from."""

    estimate: Estimate
    launches: list[float]


@dataclass
class Blocks:
    """The blocks of one contender on one workload."""

    seconds: dict[Place, float]
    """Seconds of one unit, by launch and round."""
    calls: dict[int, list[float]]
    """Seconds of one unit in each call or group of calls that was timed by itself, by launch."""
    staging: dict[Place, float]
    """Seconds of staging the inputs of one call, outside the clock, where they were noted."""
    rests: list[tuple[float, float]]
    """Seconds of fetching the rest of one call's result, after the clock, and of copying it."""

    @classmethod
    def of(cls, blocks: Iterable[Block]) -> "Blocks":
        """Return the times of some blocks; of two in one place the later counts."""
        by_place = {(block.launch, block.round): block for block in blocks}
        return cls(
            {place: block.median_seconds_per_unit for place, block in by_place.items()},
            _calls(by_place.values()),
            {
                place: max(block.stage_seconds, CLOCK_SECONDS) / (block.calls + block.extra_calls)
                for place, block in by_place.items()
                if block.stage_seconds is not None
            },
            [
                (block.rest_seconds, block.copy_seconds)
                for block in by_place.values()
                if block.rest_seconds is not None and block.copy_seconds is not None
            ],
        )

    def time(self) -> LaunchEstimate:
        """Return the seconds of one unit."""
        return _over_launches(self.seconds)

    def staging_time(self) -> Estimate | None:
        """Return the seconds of staging the inputs of one call; None where they were not noted."""
        return _over_launches(self.staging).estimate if self.staging else None

    def late(self, units_per_call: int, copies: float) -> float | None:
        """Return the seconds that one call's result came late; None if it was there in time.

        Late is what takes a good part of the call, and longer than bringing as many bytes to the
        host does: as long as `copies` copies on the host.
        """
        if not self.rests:
            return None
        rest = median(rest for rest, _ in self.rests)
        copy = median(copy for _, copy in self.rests)
        call = median(chain.from_iterable(self.calls.values())) * units_per_call
        return rest if rest > max(LATE_SHARE * call, copies * copy + LATE_SECONDS) else None

    def percentile(self, percent: float) -> Estimate | None:
        """Return the seconds of one unit that so many percent of a launch's calls do not exceed.

        The percentile is taken in each launch, so that one that was disturbed does not own it. None
        where a launch has too few calls to tell it: fewer than one that exceeds it.
        """
        if min(map(len, self.calls.values())) * (100 - percent) < 100:
            return None
        found = [float(np.percentile(calls, percent)) for calls in self.calls.values()]
        return statistics.geometric_mean(found)

    def speed_over(self, baseline: "Blocks") -> LaunchEstimate | None:
        """Return the speed over a baseline's, paired by round: above 1 is faster.

        None where the two have no round in common.
        """
        shared = self.seconds.keys() & baseline.seconds.keys()
        if not shared:
            return None
        places = sorted(shared)
        return _over_launches({p: baseline.seconds[p] / self.seconds[p] for p in places})

    def without(self, part: "Blocks") -> Estimate | None:
        """Return what is left of the seconds without another workload's, paired by round.

        It may be negative, where the part is not as cheap by itself as inside the whole. None
        where the two have no round in common.
        """
        launches = defaultdict(list)
        for place, seconds in self.seconds.items():
            if place in part.seconds:
                launches[place[0]].append(seconds - part.seconds[place])
        if not launches:
            return None
        return statistics.mean([float(np.median(values)) for values in launches.values()])


def _calls(blocks: Iterable[Block]) -> dict[int, list[float]]:
    launches: dict[int, list[float]] = defaultdict(list)
    for block in blocks:
        launches[block.launch] += block.seconds_per_unit
    return dict(launches)


def _over_launches(values: Mapping[Place, float]) -> LaunchEstimate:
    return LaunchEstimate(statistics.over_launches(values), statistics.launch_medians(values))

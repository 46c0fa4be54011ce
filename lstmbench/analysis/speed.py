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

import numpy as np

from lstmbench import statistics
from lstmbench.protocol.observations import Block
from lstmbench.statistics import Estimate

Place = tuple[int, int]
"""Launch and round."""


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
    calls: list[float]
    """Seconds of one unit in each call or group of calls that was timed by itself."""

    @classmethod
    def of(cls, blocks: Iterable[Block]) -> "Blocks":
        """Return the times of some blocks; of two in one place the later counts."""
        by_place = {(block.launch, block.round): block for block in blocks}
        return cls(
            {place: block.median_seconds_per_unit for place, block in by_place.items()},
            [seconds for block in by_place.values() for seconds in block.seconds_per_unit],
        )

    def time(self) -> LaunchEstimate:
        """Return the seconds of one unit."""
        return _over_launches(self.seconds)

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


def _over_launches(values: Mapping[Place, float]) -> LaunchEstimate:
    return LaunchEstimate(statistics.over_launches(values), statistics.launch_medians(values))

"""When to stop timing: intervals as narrow as asked, or the time used up."""

import math
import statistics as plain_statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lstmbench import statistics
from lstmbench.interface.workloads import MAIN
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import Block, Finished, Limit, Record
from lstmbench.protocol.settings import Settings

Pair = tuple[Contender, Contender]
"""Two contenders whose ratio is to be known: the baseline, and another."""
Rounds = dict[int, float]
"""Seconds of the main workload by round."""


@dataclass
class StoppingRule:
    """Says when there are enough launches, from records that it is fed as they are made.

    `pairs` are those whose ratios are to be as precise as `settings.precision`; a contender's own
    time counts where there is no pair. What a launch adds is worked out once, when it has finished.
    """

    settings: Settings
    pairs: Sequence[Pair]
    launches: int = 0
    seconds: float = 0.0
    """That all finished launches took."""
    last_seconds: float = 0.0
    _blocks: dict[int, dict[Contender, Rounds]] = field(default_factory=dict)
    """Of launches that have not finished."""
    _ratios: dict[Pair, list[float]] = field(default_factory=lambda: defaultdict(list))
    _times: dict[Contender, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, record: Record) -> None:
        """Take in a record; those that do not matter are passed over."""
        if isinstance(record, Block) and record.workload == MAIN.name:
            launch = self._blocks.setdefault(record.launch, {})
            rounds = launch.setdefault(record.contender, {})
            rounds[record.round] = record.median_seconds_per_unit
        elif isinstance(record, Finished) and record.phase == "timing":
            assert record.launch is not None
            self._end_launch(self._blocks.pop(record.launch, {}), record.seconds or 0.0)

    def _end_launch(self, blocks: dict[Contender, Rounds], seconds: float) -> None:
        self.launches += 1
        self.seconds += seconds
        self.last_seconds = seconds
        for contender, rounds in blocks.items():
            self._times[contender].append(plain_statistics.median(rounds.values()))
        for pair in self.pairs:
            base, other = (blocks.get(contender, {}) for contender in pair)
            ratios = [base[n] / other[n] for n in other if n in base]
            if ratios:
                self._ratios[pair].append(plain_statistics.median(ratios))

    def half_width(self, contenders: Iterable[Contender]) -> float | None:
        """Return the widest interval among these contenders, as +- a share of its value.

        None while no interval is known.
        """
        wanted = set(contenders)
        samples = [values for pair, values in self._ratios.items() if wanted.issuperset(pair)]
        if not samples:
            samples = [values for one, values in self._times.items() if one in wanted]
        widths = [statistics.geometric_mean(values).half_width for values in samples]
        return max((width for width in widths if not math.isnan(width)), default=None)

    def reason(self, contenders: Iterable[Contender]) -> Limit | None:
        """Return why timing is to stop now, or None.

        One more launch is not begun if, taking as long as the last one, it would go over the
        budget.
        """
        if self.launches < self.settings.launches:
            return None
        width = self.half_width(contenders)
        if width is not None and width <= self.settings.precision:
            return "precision"
        over = self.seconds + self.last_seconds > self.settings.time_budget
        return "time budget" if over else None

"""A/A: the same backend under several names, through the very same machinery as a run.

It tells this machine's noise floor: how wide an interval between equal things is, and how often
it excludes 1, which it should about once in twenty times. For comparison, the same work is also
timed one process after the other. One replica is slowed by one extra call, which is not counted,
for each 20 that are: 5 % more of the very same work, which must be found.
"""

import itertools
import time
from collections.abc import Sequence

import msgspec

from lstmbench import statistics
from lstmbench.analysis.noise import SelfTestResult
from lstmbench.analysis.speed import Blocks
from lstmbench.execution.launch import SLOWDOWN_EVERY, Launch
from lstmbench.execution.loop import TimingLoop
from lstmbench.execution.stopping import Pair, StoppingRule
from lstmbench.execution.workers import WorkerFactory, WorkerFailed
from lstmbench.interface.errors import RunFailed
from lstmbench.interface.workloads import MAIN
from lstmbench.plugins.registry import Registry
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import Block, Disturbance, Record
from lstmbench.protocol.progress import Progress, Report, silent
from lstmbench.protocol.settings import Settings
from lstmbench.statistics import Estimate

REPLICAS = 3
DEFAULTS = {"backend": "numpy", "device": "cpu", "time_budget": 90.0}
"""What a self-test changes of the default settings, unless it is given."""


def run(
    settings: Settings, registry: Registry, experiments: int, report: Report = silent
) -> SelfTestResult:
    """Make `experiments` A/A runs, each as long as a run would be; raises RunFailed."""
    injected = SLOWDOWN_EVERY / (SLOWDOWN_EVERY + 1)
    result = SelfTestResult(settings.backend[0], settings, injected)
    progress = Progress("A/A", experiments, report)
    with WorkerFactory(registry) as factory:
        for _ in range(experiments):
            _Experiment(factory, result).run()
            progress.advance()
    return result


def _fail(contender: Contender, error: WorkerFailed) -> None:
    name = contender.backend
    raise RunFailed(
        f"backend {name!r} failed: {error.kind}: {error.message}; "
        f"`lstmbench check {name}` tells more"
    )


class _Experiment:
    """One A/A run, which adds what it finds to a result."""

    def __init__(self, factory: WorkerFactory, result: SelfTestResult) -> None:
        self.factory, self.result, self.settings = factory, result, result.settings
        self.first = 1 + sum(result.launches) + len(result.launches)
        names = (Contender(backend=result.backend, replica=n + 1) for n in range(REPLICAS + 1))
        *self.equal, self.base = names
        self.slowed = Contender(backend=result.backend, injected_slowdown=True)

    def run(self) -> None:
        """Time equal replicas, then a pair of which one is slowed, then replicas one by one."""
        pairs = list(itertools.combinations(self.equal, 2))
        start = time.monotonic()
        records, launches = self._interleaved(pairs)
        self.result.paired.seconds += time.monotonic() - start
        self.result.paired.ratios += [_ratio(records, pair) for pair in pairs]
        self.result.launches.append(launches)
        injected = (self.base, self.slowed)
        records, _ = self._interleaved([injected])
        self.result.slowed.append(_ratio(records, injected))
        self._one_after_the_other(launches)

    def _interleaved(self, pairs: list[Pair]) -> tuple[list[Record], int]:
        """Time all that stand in `pairs`, until their ratios are precise enough.

        Each group has the part of the time budget that its number of contenders is of all.
        Returns the records, and how many launches it took.
        """
        contenders = list(dict.fromkeys(one for pair in pairs for one in pair))
        share = len(contenders) / (len(self.equal) + 2)
        budget = self.settings.time_budget * share
        settings = msgspec.structs.replace(self.settings, time_budget=budget)
        rule = StoppingRule(settings, pairs)
        records: list[Record] = []
        loop = TimingLoop(
            self.factory, settings, rule, records.append, _fail, workloads=[MAIN.name]
        )
        loop.run(lambda: contenders, self.first)
        others = (r.other_share or 0.0 for r in records if isinstance(r, Disturbance))
        self.result.other_share = max(self.result.other_share, *others)
        return records, rule.launches

    def _one_after_the_other(self, launches: int) -> None:
        """Time the same number of blocks, all of one process and then all of the next."""
        start, alone = time.monotonic(), []
        for contender in self.equal:
            records: list[Record] = []
            launch = Launch(
                self.factory,
                self.settings,
                self.first + launches,
                records.append,
                _fail,
                workloads=[MAIN.name],
                rounds=launches * self.settings.rounds,
            )
            launch.run([contender])
            alone.append([b.median_seconds_per_unit for b in _blocks(records, contender)])
        self.result.sequential.ratios += [
            statistics.ratio_of_means(x, y) for x, y in itertools.combinations(alone, 2)
        ]
        self.result.sequential.seconds += time.monotonic() - start


def _ratio(records: Sequence[Record], pair: Pair) -> Estimate:
    """Return the speed of the second over the first, estimated as in a run."""
    base, other = (Blocks.of(_blocks(records, contender)) for contender in pair)
    ratio = other.speed_over(base)
    assert ratio is not None
    return ratio.estimate


def _blocks(records: Sequence[Record], contender: Contender) -> list[Block]:
    return [r for r in records if isinstance(r, Block) and r.contender == contender]

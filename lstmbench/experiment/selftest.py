"""A/A: the same backend under several names, through the very same machinery as a run.

It tells this machine's noise floor: how wide an interval between equal things is, and how often
it excludes 1, which it should about once in twenty times. Beside it stands what timing the same
work one process after the other would have said. One row is slowed on purpose, by one uncounted
call for each 20 that are counted: 5 % more of the very same work, which must be found.
"""

import itertools
import time
from collections.abc import Iterator

from rich.progress import Progress

from lstmbench import statistics
from lstmbench.execution.launch import SLOWED_EVERY, Launch, limit
from lstmbench.execution.workers import Bench, WorkerFailed
from lstmbench.plugins.registry import Registry
from lstmbench.protocol.messages import Block, Disturbance, Record, Row
from lstmbench.protocol.settings import Settings
from lstmbench.report.noise import Result
from lstmbench.statistics import Estimate

COPIES = 3


def run(settings: Settings, registry: Registry, experiments: int, progress: Progress) -> Result:
    """Make `experiments` A/A runs, each as long as a run would be; raises WorkerFailed."""
    result = Result(settings.backend[0], settings, planted=SLOWED_EVERY / (SLOWED_EVERY + 1))
    bar = progress.add_task("A/A", total=experiments)
    with Bench(settings, registry) as bench:
        numbers = itertools.count(1)
        for _ in range(experiments):
            _turn_by_turn(bench, numbers, result)
            _one_after_the_other(bench, next(numbers), result)
            progress.advance(bar)
    return result


def _copies(result: Result) -> list[Row]:
    return [Row(backend=result.backend, device="cpu", copy=n + 1) for n in range(COPIES)]


def _turn_by_turn(bench: Bench, numbers: Iterator[int], result: Result) -> None:
    """Launches of equal rows, and of a pair one of which is slowed, until they are enough."""
    copies = _copies(result)
    base = Row(backend=result.backend, device="cpu", copy=COPIES + 1)
    slowed = Row(backend=result.backend, device="cpu", slowed=True)
    blocks: list[Block] = []
    began = time.monotonic()
    for launches in itertools.count(1):
        start, number = time.monotonic(), next(numbers)
        records = _time(bench, number, copies)
        result.paired.seconds += time.monotonic() - start
        records += _time(bench, number, [base, slowed])
        blocks += [r for r in records if isinstance(r, Block)]
        result.other_share = max(result.other_share, _others(records))
        equal = [_paired(blocks, a, b) for a, b in itertools.combinations(copies, 2)]
        planted = _paired(blocks, base, slowed)
        widest = max(ratio.half_width for ratio in [*equal, planted])
        now = time.monotonic()
        if limit(bench.settings, launches, widest, now - began, now - start):
            break
    result.launches.append(launches)
    result.paired.ratios += equal
    result.slowed.append(planted)


def _one_after_the_other(bench: Bench, number: int, result: Result) -> None:
    """The same number of blocks, all of one process and then all of the next."""
    start, alone = time.monotonic(), []
    for row in _copies(result):
        records = _time(bench, number, [row], result.launches[-1] * bench.settings.rounds)
        alone.append([_step(r) for r in records if isinstance(r, Block)])
    result.sequential.ratios += [_unpaired(x, y) for x, y in itertools.combinations(alone, 2)]
    result.sequential.seconds += time.monotonic() - start


def _time(bench: Bench, number: int, rows: list[Row], rounds: int = 0) -> list[Record]:
    """The records of one launch of training steps."""
    records: list[Record] = []

    def fail(row: Row, error: WorkerFailed) -> None:
        raise error

    Launch(bench, number, records.append, fail, workloads=["train"], rounds=rounds).run(rows)
    return records


def _others(records: list[Record]) -> float:
    return max((r.other_share or 0.0 for r in records if isinstance(r, Disturbance)), default=0.0)


def _step(block: Block) -> float:
    """Seconds a counted step."""
    return block.seconds[0] / block.calls


def _paired(blocks: list[Block], base: Row, other: Row) -> Estimate:
    """Seconds of `base` over those of `other`, estimated as in a run."""
    by_row = {
        row: {(b.launch, b.round): _step(b) for b in blocks if b.row == row}
        for row in (base, other)
    }
    mine, theirs = by_row[other], by_row[base]
    return statistics.over_launches({place: theirs[place] / mine[place] for place in mine})


def _unpaired(base: list[float], other: list[float]) -> Estimate:
    """The ratio as usually made: all blocks of one, then all of the other; Welch's interval."""
    return statistics.ratio_of_means(base, other)

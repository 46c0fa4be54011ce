"""A/A: the same backend under several names, through the very same machinery as a run.

It tells this machine's noise floor: how wide an interval between equal things is, and how often
it excludes 1, which it should about once in twenty times. Beside it stands what timing the same
work one process after the other would have said. One row is slowed on purpose, by one uncounted
call for each 20 that are counted: 5 % more of the very same work, which must be found.
"""

import itertools
import time

import numpy as np
from rich.progress import Progress

from lstmbench import statistics
from lstmbench.launcher import Bench, WorkerFailed
from lstmbench.messages import Block, Disturbance, Record, Row
from lstmbench.pairing import SLOWED_EVERY, Launch
from lstmbench.plugins import Registry
from lstmbench.report.noise import Result
from lstmbench.settings import Settings
from lstmbench.statistics import Estimate

COPIES = 3


def run(settings: Settings, registry: Registry, experiments: int, progress: Progress) -> Result:
    """Make `experiments` A/A runs of settings.launches launches; raises WorkerFailed."""
    backend = settings.backend[0]
    copies = [Row(backend=backend, device="cpu", copy=n + 1) for n in range(COPIES)]
    slowed = Row(backend=backend, device="cpu", slowed=True)
    result = Result(backend, settings, planted=SLOWED_EVERY / (SLOWED_EVERY + 1))
    launches = settings.launches
    bar = progress.add_task("A/A", total=experiments * (launches + COPIES))
    with Bench(settings, registry) as bench:
        for experiment in range(experiments):
            start = time.monotonic()
            blocks: list[Block] = []
            for launch in range(launches):
                records = _time(bench, experiment * launches + launch, [*copies, slowed])
                blocks += [r for r in records if isinstance(r, Block)]
                result.other_share = max(result.other_share, _others(records))
                progress.advance(bar)
            for a, b in itertools.combinations(copies, 2):
                result.paired.ratios.append(_paired(blocks, a, b))
            result.slowed.append(_paired(blocks, copies[0], slowed))
            result.paired.seconds += time.monotonic() - start
            start, alone = time.monotonic(), []
            for row in copies:
                records = _time(bench, experiment, [row], rounds=launches * settings.rounds)
                alone.append([_step(r) for r in records if isinstance(r, Block)])
                progress.advance(bar)
            for x, y in itertools.combinations(alone, 2):
                result.sequential.ratios.append(_unpaired(x, y))
            result.sequential.seconds += time.monotonic() - start
    return result


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
    x, y = np.log(base), np.log(other)
    return statistics.exponential(statistics.welch(x, y))

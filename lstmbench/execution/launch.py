"""One launch: every backend started afresh, then timed in turn, block by block.

Two identical processes timed one after the other differ by what else the machine did meanwhile;
timed in turn, in an order that alternates, they are disturbed alike. And two identical processes
can differ for their whole lives, so there are several launches.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack

import numpy as np
import psutil

from lstmbench import parity
from lstmbench.execution import parity as ladder
from lstmbench.execution.workers import Bench, Worker, WorkerFailed
from lstmbench.host import environment
from lstmbench.interface import parameters
from lstmbench.interface.parameters import random_generator
from lstmbench.protocol.messages import (
    Block,
    Checked,
    Disturbance,
    Expected,
    Limit,
    Machine,
    Measure,
    Outputs,
    Prepare,
    Probe,
    Recompute,
    Record,
    Row,
    Show,
    Startup,
    Workload,
)
from lstmbench.protocol.settings import Settings
from lstmbench.worker import timing

CHECKED: tuple[Workload, ...] = ("train", "forward", "gradients", "generate")
CHECKED_CALLS = 40
SHOWN_CALLS = 6
SLOWED_EVERY = 20  # a slowed row makes one uncounted call for each 20: 5 % more work
CHECK_KEY = 99


class Launch:
    """The workers of one launch, by row, and what is asked of them."""

    def __init__(
        self,
        bench: Bench,
        number: int,
        record: Callable[[Record], None],
        fail: Callable[[Row, WorkerFailed], None],
        advance: Callable[[], None] = lambda: None,
        workloads: Iterable[Workload] = tuple(timing.CAPABILITIES),
        rounds: int = 0,
    ) -> None:
        self.bench, self.number, self.workloads = bench, number, tuple(workloads)
        self.rounds = rounds or bench.settings.rounds
        self.record, self.fail, self.advance = record, fail, advance
        self.workers: dict[Row, Worker] = {}
        self.calls: dict[Row, dict[Workload, int]] = {}

    def run(self, rows: list[Row], oracle: Worker | None = None) -> None:
        """Start all rows and time all rounds; with an oracle, check what one round computed."""
        seed = self.bench.settings.seed
        checked = random_generator(seed, CHECK_KEY, self.number).integers(self.rounds)
        gpu_processes = environment.gpu_processes()  # before there are any of ours
        with ExitStack() as stack:
            for row in rows:
                self.start(row, stack)
                self.advance()
            self.level(rows)
            watch = Watch([*self.workers.values(), *([oracle] if oracle else [])])
            for round_ in range(self.rounds):
                for workload in self.workloads:
                    check = oracle if round_ == checked and workload in CHECKED else None
                    self.round(rows, round_, workload, check)
            self.record(watch.disturbance(self.number, gpu_processes))

    def start(self, row: Row, stack: ExitStack) -> None:
        """Start one row's worker and bring it to full speed."""
        try:
            worker = stack.enter_context(self.bench.open(row))
            startup = worker.ask(
                Prepare(launch=self.number, workloads=list(self.workloads)), Startup
            )
        except WorkerFailed as error:
            self.fail(row, error)
            return
        self.record(startup)
        self.workers[row], self.calls[row] = worker, startup.calls

    def level(self, rows: list[Row]) -> None:
        """Where a row is slowed, all make the same number of calls, a multiple of SLOWED_EVERY."""
        if not any(row.slowed for row in rows):
            return
        for workload in self.workloads:
            most = max(calls[workload] for calls in self.calls.values())
            whole = -(-most // SLOWED_EVERY) * SLOWED_EVERY
            for calls in self.calls.values():
                calls[workload] = whole

    def round(
        self, rows: list[Row], round_: int, workload: Workload, oracle: Worker | None
    ) -> None:
        """One block of each row; what an oracle is to check is fetched once all have been timed."""
        timed = []
        for position, row in enumerate(in_turn(rows, self.number, round_)):
            if row in self.workers and workload in self.calls[row]:
                calls = self.calls[row][workload]
                request = Measure(
                    launch=self.number,
                    round=round_,
                    position=position,
                    workload=workload,
                    calls=calls,
                    uncounted=calls // SLOWED_EVERY if row.slowed else 0,
                )
                try:
                    self.record(self.workers[row].ask(request, Block))
                    timed.append(row)
                except WorkerFailed as error:
                    self.fail(row, error)
                    del self.workers[row]
            self.advance()
        if oracle and timed:
            self.check(oracle, round_, workload, timed)

    def check(self, oracle: Worker, round_: int, workload: Workload, rows: list[Row]) -> None:
        """Hold some of what each row computed inside the clock against the float64 reference."""
        random = random_generator(self.bench.settings.seed, CHECK_KEY, self.number, round_)
        shown = {}
        for row in rows:
            last = min(self.calls[row][workload], CHECKED_CALLS)
            chosen = random.choice(last, size=min(last, SHOWN_CALLS), replace=False)
            shown[row] = sorted(int(n) + timing.WARM_UP_CALLS for n in chosen)
        every = sorted({n for calls in shown.values() for n in calls})
        request = Recompute(launch=self.number, round=round_, workload=workload, calls=every)
        expected = ladder.reference(oracle.ask(request, Expected))
        for row, calls in shown.items():
            try:
                outputs = self.workers[row].ask(Show(calls=calls), Outputs)
            except WorkerFailed as error:
                self.fail(row, error)
                del self.workers[row]
                continue
            mine = _part(expected, every, calls)
            arrays = parameters.from_bytes(outputs.arrays)
            verdict = parity.compare(mine, arrays)
            self.record(
                Checked(
                    row=row,
                    launch=self.number,
                    round=round_,
                    workload=workload,
                    verdict="agrees" if verdict.agrees else "differs",
                    error=verdict.error if np.isfinite(verdict.error) else None,
                    note=f"{verdict.tensor} {verdict.note}".strip(),
                )
            )


def _part(expected: parity.Reference, every: list[int], calls: list[int]) -> parity.Reference:
    """The reference for some of the calls that it was made for."""
    places = [every.index(n) for n in calls]
    arrays = {}
    for name, array in expected.arrays.items():
        by_call = array.reshape(len(every), -1, *array.shape[1:])
        arrays[name] = by_call[places].reshape(-1, *array.shape[1:])
    return parity.Reference(expected.rung, arrays, expected.bands)


def probe(bench: Bench, launch: int) -> Machine:
    """What the machine can do, measured in a worker of its own at the run's threads."""
    with bench.open(ladder.ORACLE) as worker:
        return worker.ask(Probe(launch=launch), Machine)


def limit(
    settings: Settings, launches: int, half_width: float | None, elapsed: float, last: float
) -> Limit | None:
    """Why timing is to stop after so many launches, if it is.

    `half_width` is of the widest interval; `elapsed` seconds have passed, `last` of them for the
    latest launch, and one more is not begun if it would go over the budget.
    """
    if launches < settings.launches:
        return None
    if half_width is not None and half_width <= settings.precision:
        return "precision"
    return "time budget" if elapsed + last > settings.time_budget else None


def in_turn(rows: list[Row], launch: int, round_: int) -> list[Row]:
    """The order of a round: forth and back (A B, B A), each launch starting with another row."""
    start = launch % len(rows)
    order = rows[start:] + rows[:start]
    return order[::-1] if round_ % 2 else order


class Watch:
    """Who else used the processors between its making and `disturbance`."""

    def __init__(self, workers: Iterable[Worker]) -> None:
        self.workers = list(workers)
        self.start, self.system, self.ours = (
            time.monotonic(),
            psutil.cpu_times(),
            self._ours(),
        )

    def _ours(self) -> float:
        own = psutil.Process().cpu_times()
        workers = sum(worker.processor_seconds() for worker in self.workers)
        return float(own.user + own.system) + workers

    def disturbance(self, launch: int, gpu_processes: int | None) -> Disturbance:
        """Shares of the time of all cores; what a worker that has died used counts as others'."""
        capacity = (time.monotonic() - self.start) * environment.usable_cores()
        now = psutil.cpu_times()
        busy = sum(getattr(now, n) - getattr(self.system, n) for n in ("user", "nice", "system"))
        stolen = getattr(now, "steal", None)
        return Disturbance(
            launch=launch,
            other_share=max(0.0, busy - (self._ours() - self.ours)) / capacity,
            stolen_share=None if stolen is None else (stolen - self.system.steal) / capacity,
            gpu_processes=gpu_processes,
        )

"""One launch: every contender started afresh, then timed in interleaved rounds of blocks.

Two identical processes timed one after the other differ by what else the machine did meanwhile;
timed in turn, in an order that alternates, they are disturbed alike. And two identical processes
can differ for their whole lives, so there are several launches.
"""

from collections.abc import Callable, Iterable
from contextlib import ExitStack

import numpy as np

from lstmbench.execution.workers import OracleWorker, Worker, WorkerFactory, WorkerFailed
from lstmbench.host import gpu
from lstmbench.host.gpu import GpuMonitor
from lstmbench.host.load import LoadMonitor
from lstmbench.interface.parameters import random_generator
from lstmbench.interface.workloads import WORKLOADS
from lstmbench.parity import Expected
from lstmbench.parity.activations import Level
from lstmbench.parity.comparing import compare_arrays
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.messages import (
    ExpectBlock,
    Measure,
    Opened,
    Outputs,
    Prepare,
    Probe,
    ProbeLibrary,
    Show,
)
from lstmbench.protocol.observations import (
    Block,
    BlockCheck,
    Disturbance,
    MachinePeaks,
    Record,
    Startup,
)
from lstmbench.protocol.settings import Settings
from lstmbench.worker.timing import WARM_UP_CALLS
from lstmbench.worker.verification import in_common

SHOWN_CALLS = 6
"""How many calls of a block are verified; of steps, all up to one of them."""
SLOWDOWN_EVERY = 20
"""An injected slowdown is one extra call for each so many: 5 % more work."""
CHECK_KEY = 99
"""The spawn key of what is drawn to be verified."""

Fail = Callable[[Contender, WorkerFailed], None]
LevelOf = Callable[[Contender], Level]


class Launch:
    """The workers of one launch, by contender, and what is asked of them.

    `record` takes what is observed, `fail` what went wrong with a contender, and `advance` is
    called after each block. `workloads` are names; `rounds` are the settings' unless given; `level`
    says how good a contender's activations have to be. With `together`, all libraries are imported
    at the same time, which takes less, and import times are worth nothing.
    """

    def __init__(
        self,
        factory: WorkerFactory,
        settings: Settings,
        number: int,
        record: Callable[[Record], None],
        fail: Fail,
        advance: Callable[[], None] = lambda: None,
        workloads: Iterable[str] = tuple(WORKLOADS),
        rounds: int = 0,
        level: LevelOf = lambda contender: "approximate",
        together: bool = False,
    ) -> None:
        self.factory, self.settings, self.number = factory, settings, number
        self.workloads, self.rounds = tuple(workloads), rounds or settings.rounds
        self.record, self.fail, self.advance, self.level = record, fail, advance, level
        self.together = together
        self.loading: dict[Contender, Worker] = {}
        self.workers: dict[Contender, Worker] = {}
        self.calls: dict[Contender, dict[str, int]] = {}

    def run(self, contenders: list[Contender], oracle: OracleWorker | None = None) -> None:
        """Start all contenders and time all rounds.

        With an oracle, what one round, drawn at random, computed inside the clock is verified.
        """
        draw = random_generator(self.settings.seed, CHECK_KEY, self.number)
        checked_round = draw.integers(self.rounds)
        gpu_processes = gpu.processes()  # before there are any of ours
        with ExitStack() as stack:
            if self.together:
                for contender in contenders:
                    self._load(contender, stack)
            for contender in contenders:
                self._start(contender, stack)
                self.advance()
            self._level(contenders)
            gpus = GpuMonitor(
                {one.device for one in self.workers if gpu.kind(one.device) == gpu.CUDA}
            )
            ours = [worker.pid for worker in self.workers.values()]
            monitor = LoadMonitor([*ours, *([oracle.pid] if oracle else [])])
            for round_ in range(self.rounds):
                check = oracle if round_ == checked_round else None
                for workload in self.workloads:
                    self._round(contenders, round_, workload, check)
                gpus.sample()
            load = monitor.load()
        self.record(
            Disturbance(
                launch=self.number,
                other_share=load.others,
                stolen_share=load.stolen,
                throttled_share=load.throttled,
                gpu_processes=gpu_processes,
                gpus=gpus.states(),
            )
        )

    def _load(self, contender: Contender, stack: ExitStack) -> None:
        """Start one contender's worker, which is then loading its library."""
        try:
            worker = stack.enter_context(self.factory.start(contender, self.settings))
        except WorkerFailed as error:
            self.fail(contender, error)
        else:
            self.loading[contender] = worker

    def _start(self, contender: Contender, stack: ExitStack) -> None:
        """Start one contender's worker, unless that was done, and bring it to full speed."""
        request = Prepare(launch=self.number, workloads=list(self.workloads))
        if not self.together:
            self._load(contender, stack)
        worker = self.loading.pop(contender, None)
        if worker is None:
            return
        try:
            worker.receive(Opened)
            startup = worker.ask(request, Startup)
            peaks = self._library_peaks(worker, contender)
        except WorkerFailed as error:
            self.fail(contender, error)
            return
        self.record(startup)
        if peaks:
            self.record(peaks)
        self.workers[contender], self.calls[contender] = worker, dict(startup.calls)

    def _library_peaks(self, worker: Worker, contender: Contender) -> MachinePeaks | None:
        """Return the rates of a contender's library, where NumPy cannot measure them."""
        if contender.device == "cpu" and not self.settings.arithmetic.products:
            return None
        return worker.ask(ProbeLibrary(launch=self.number), MachinePeaks)

    def _level(self, contenders: list[Contender]) -> None:
        """Where one is slowed, have all make the same number of calls: whole SLOWDOWN_EVERYs."""
        if not any(contender.injected_slowdown for contender in contenders):
            return
        for workload in self.workloads:
            most = max(calls[workload] for calls in self.calls.values())
            whole = -(-most // SLOWDOWN_EVERY) * SLOWDOWN_EVERY
            for calls in self.calls.values():
                calls[workload] = whole

    def _round(
        self, contenders: list[Contender], round_: int, workload: str, oracle: OracleWorker | None
    ) -> None:
        """Time one block of each contender; then verify them, if there is an oracle."""
        timed = []
        for position, contender in enumerate(in_turn(contenders, self.number, round_)):
            claimed = contender in self.workers and workload in self.calls[contender]
            if claimed and self._block(contender, round_, position, workload):
                timed.append(contender)
            self.advance()
        if oracle and timed and WORKLOADS[workload].verified:
            self._check(oracle, round_, workload, timed)

    def _block(self, contender: Contender, round_: int, position: int, workload: str) -> bool:
        """Time one block; whether it was finished."""
        calls = self.calls[contender][workload]
        request = Measure(
            launch=self.number,
            round=round_,
            position=position,
            workload=workload,
            calls=calls,
            extra_calls=calls // SLOWDOWN_EVERY if contender.injected_slowdown else 0,
        )
        try:
            self.record(self.workers[contender].ask(request, Block))
        except WorkerFailed as error:
            self._drop(contender, error)
            return False
        return True

    def _drop(self, contender: Contender, error: WorkerFailed) -> None:
        self.fail(contender, error)
        del self.workers[contender]

    def _check(
        self, oracle: OracleWorker, round_: int, workload: str, contenders: list[Contender]
    ) -> None:
        """Compare some of what each contender computed inside the clock with the oracle's."""
        random = random_generator(self.settings.seed, CHECK_KEY, self.number, round_)
        shown = {}
        for contender in contenders:
            calls = self.drawn(random, workload, self.calls[contender][workload])
            try:
                request = Show(workload=workload, calls=calls)
                shown[contender] = self.workers[contender].ask(request, Outputs)
            except WorkerFailed as error:
                self._drop(contender, error)
        if not shown:
            return
        expected = oracle.ask(self._expected(round_, workload, list(shown.values())), Expected)
        for contender, outputs in shown.items():
            result = compare_arrays(*in_common(expected, outputs.arrays), self.level(contender))
            self.record(
                BlockCheck(
                    contender=contender,
                    launch=self.number,
                    round=round_,
                    workload=workload,
                    result=result,
                )
            )

    @staticmethod
    def drawn(random: np.random.Generator, workload: str, calls: int) -> list[int]:
        """Return which calls of a block are verified; any may be, warm-up calls being the first.

        Where each call goes on from the one before, all up to one that is drawn log-uniformly.
        """
        if WORKLOADS[workload].carries_over:
            last = int(np.exp(random.uniform(0, np.log(calls + 1))))
            return list(range(WARM_UP_CALLS + min(last, calls)))
        chosen = random.choice(calls, size=min(calls, SHOWN_CALLS), replace=False)
        return sorted(int(n) + WARM_UP_CALLS for n in chosen)

    def _expected(self, round_: int, workload: str, shown: list[Outputs]) -> ExpectBlock:
        return ExpectBlock(
            launch=self.number,
            round=round_,
            workload=workload,
            calls=sorted({n for outputs in shown for n in outputs.calls}),
            ends=sorted({outputs.end for outputs in shown if outputs.end is not None}),
        )


def measure_peaks(factory: WorkerFactory, settings: Settings, launch: int) -> MachinePeaks:
    """Measure what the machine can do, in a worker of its own at the run's threads."""
    with factory.open_oracle(settings, settings.threads) as worker:
        return worker.ask(Probe(launch=launch), MachinePeaks)


def in_turn(contenders: list[Contender], launch: int, round_: int) -> list[Contender]:
    """Return the order of a round: forth and back (A B, B A).

    Each launch starts with another contender.
    """
    start = launch % len(contenders)
    order = contenders[start:] + contenders[:start]
    return order[::-1] if round_ % 2 else order

"""The timing loop: launch after launch, until a stopping rule says that it is enough."""

import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lstmbench.execution.launch import Fail, Launch, LevelOf, measure_peaks
from lstmbench.execution.stopping import StoppingRule
from lstmbench.execution.workers import OracleWorker, WorkerFactory
from lstmbench.interface.workloads import WORKLOADS
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import Finished, Record, Stopped
from lstmbench.protocol.settings import Settings


@dataclass
class TimingLoop:
    """Times contenders in launches, each recorded as it is made.

    `record` takes every record, and `fail` what went wrong with a contender. `advance` is called
    after each block. With an `oracle`, results are verified and the machine's peaks measured.
    """

    factory: WorkerFactory
    settings: Settings
    rule: StoppingRule
    record: Callable[[Record], None]
    fail: Fail
    oracle: OracleWorker | None = None
    advance: Callable[[], None] = lambda: None
    workloads: Iterable[str] = tuple(WORKLOADS)
    level: LevelOf = lambda contender: "approximate"  # a field's default
    together: bool = False
    """Whether the workers of a launch are opened at the same time."""

    def run(self, contenders: Callable[[], list[Contender]], first: int = 1) -> Stopped:
        """Time contenders, interleaved, in as many launches as it takes.

        `contenders` is asked before and after each launch which are still to be timed; `first` is
        the number of the first launch.
        """
        for number in itertools.count(first):
            timed = contenders()
            if not timed:
                return self._stop(Stopped(reason="nothing to time", half_width=None))
            self._launch(number, timed)
            left = contenders()
            if why := self.rule.reason(left):
                return self._stop(Stopped(reason=why, half_width=self.rule.half_width(left)))
        raise AssertionError("numbers do not end")

    def _launch(self, number: int, contenders: list[Contender]) -> None:
        start = time.monotonic()
        if self.oracle and any(one.device == "cpu" for one in contenders):
            self._keep(measure_peaks(self.factory, self.settings, number))
        launch = Launch(
            self.factory,
            self.settings,
            number,
            self._keep,
            self.fail,
            self.advance,
            self.workloads,
            level=self.level,
            together=self.together,
        )
        launch.run(contenders, self.oracle)
        seconds = time.monotonic() - start
        self._keep(Finished(phase="timing", launch=number, seconds=seconds))

    def _keep(self, record: Record) -> None:
        self.rule.add(record)
        self.record(record)

    def _stop(self, stopped: Stopped) -> Stopped:
        self.record(stopped)
        return stopped

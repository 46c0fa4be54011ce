"""The result of a run: what its records come to, for each contender and for the whole."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lstmbench.analysis.roofline import Peaks, Share
from lstmbench.analysis.speed import Blocks
from lstmbench.analysis.verdict import Verdict
from lstmbench.host.environment import Environment
from lstmbench.host.gpu import GpuState
from lstmbench.interface.workloads import MAIN, WORKLOADS
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import (
    BlockCheck,
    Ceiling,
    DeviceMemory,
    Epoch,
    Failure,
    RungResult,
    Stopped,
    TrainingCheck,
)
from lstmbench.protocol.settings import Settings
from lstmbench.records.folder import Header, Run
from lstmbench.records.frame import frame
from lstmbench.statistics import Estimate

if TYPE_CHECKING:
    import pandas


@dataclass
class ContenderResult:
    """Everything found out about one contender; None, or no entry, where it is not known.

    Estimates are a value with its 95 % confidence interval. Mappings are by the name of the
    workload (`train`, `forward`, ...).
    """

    contender: Contender
    verdict: Verdict = field(default_factory=lambda: Verdict("not run"))
    rungs: list[RungResult] = field(default_factory=list)
    """Every rung of the parity ladder that was reached."""
    checks: list[BlockCheck] = field(default_factory=list)
    """Every comparison of results that were computed inside the clock."""
    training_checks: list[TrainingCheck] = field(default_factory=list)
    """Every comparison of a training with the oracle's."""
    failure: Failure | None = None
    """The first failure."""
    description: dict[str, str] = field(default_factory=dict)
    """Versions and code paths, as the backend describes itself; under "computed in", the kinds of
    numbers, where they are not the run's dtype throughout."""

    blocks: dict[str, Blocks] = field(default_factory=dict)
    """Every timed block."""
    seconds: dict[str, Estimate] = field(default_factory=dict)
    """Seconds of one unit: a training step, a forward pass, a generated digit, ..."""
    launch_seconds: dict[str, list[float]] = field(default_factory=dict)
    """The launches' values that `seconds` is made from."""
    staging_seconds: dict[str, Estimate] = field(default_factory=dict)
    """Seconds of staging the inputs of one call, which are outside the clock."""
    speed_ratio: dict[str, Estimate] = field(default_factory=dict)
    """Speed over the baseline's, paired by round: above 1 is faster."""
    launch_ratios: dict[str, list[float]] = field(default_factory=dict)
    """The launches' values that `speed_ratio` is made from."""
    roofline: dict[str, Share] = field(default_factory=dict)
    """The least time at the machine's peaks over the time taken, and what holds it back."""
    parts: dict[str, Estimate] = field(default_factory=dict)
    """Seconds of the parts of a training step, `backward` and `optimiser`, as differences."""
    digit_seconds_p50: Estimate | None = None
    digit_seconds_p99: Estimate | None = None
    """Percentiles, over the calls of a launch, of the time of a generated digit."""
    digit_calls: int = 0
    """Over how many calls: in the launch that has the fewest."""

    clock_seconds: float | None = None
    """The least time that its clock tells."""
    import_seconds: float | None = None
    build_seconds: float | None = None
    compile_seconds: float | None = None
    first_step_seconds: float | None = None
    """What the first start cost, with nothing compiled yet."""
    steps_to_repay_startup: float | None = None
    """Training steps until a slower start than the baseline's is made up for; None for never."""
    peak_bytes: int | None = None
    peak_bytes_above_import: int | None = None
    device_memory: DeviceMemory | None = None
    dispatch_seconds: float | None = None
    """From one small operation of its library to the next, at best."""

    forward_error: float | None = None
    """Relative error of the run's own logits against float64."""
    epochs: list[Epoch] = field(default_factory=list)
    """Every epoch of training, in order."""
    train_loss: float | None = None
    """Of the last epoch's teacher-forced batches, nats."""
    free_running_loss: float | None = None
    mean_loss: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    """What the trained model is worth on the test split."""
    training_seconds: float | None = None
    seconds_to_target: float | None = None

    def computed_in(self, settings: Settings) -> str:
        """Return the kinds of numbers it computed in, as it tells itself; TF32 only if it does."""
        own = "float32" if settings.dtype == "tf32" else settings.dtype
        return self.description.get("computed in", own)

    @property
    def main_seconds(self) -> float:
        """Seconds of a training step; infinite where there is no time."""
        return self.seconds[MAIN.name].value if MAIN.name in self.seconds else math.inf

    @property
    def slow_staging(self) -> list[str]:
        """The workloads whose inputs take longer to stage than a call takes."""
        return [
            name
            for name, staging in self.staging_seconds.items()
            if WORKLOADS[name].verified
            and staging.value > self.seconds[name].value * WORKLOADS[name].units_per_call
        ]

    @property
    def startup_seconds(self) -> float:
        """Seconds from a fresh process until after the first step."""
        return sum(
            part or 0.0
            for part in (
                self.import_seconds,
                self.build_seconds,
                self.compile_seconds,
                self.first_step_seconds,
            )
        )


@dataclass
class RunResult:
    """A run in numbers, finished or not."""

    run: Run
    contenders: list[ContenderResult]
    """Fastest training step first; those that did not pass last."""
    baseline: Contender | None
    """The contender that speed ratios refer to; None if it did not pass."""
    ceiling: Ceiling | None
    """What is possible on the task."""
    peaks: dict[str, Peaks]
    """The best rates of each device."""
    complete: bool
    stopped: Stopped | None
    """Why timing ended."""
    launches: int
    other_share: float | None
    stolen_share: float | None
    throttled_share: float | None
    gpu_processes: int | None
    """The most that others used of the machine during any launch."""
    gpus: list[GpuState]
    """How each GPU did at its worst."""
    other_failures: list[Failure]
    """Those of the oracle's process."""
    measured_share: float | None
    """Seconds inside timed regions as a share of those that the finished launches took."""

    @property
    def header(self) -> Header:
        """What was to be done, where, and with which versions."""
        return self.run.header

    @property
    def folder(self) -> Path | None:
        """Where the run is on disk, if it was read from there."""
        return self.run.folder

    @property
    def settings(self) -> Settings:
        """The settings of the run."""
        return self.header.settings

    @property
    def environment(self) -> Environment:
        """The machine and its software."""
        return self.header.environment

    @property
    def passed(self) -> bool:
        """Whether every contender passed."""
        return all(one.verdict.passed for one in self.contenders)

    @property
    def succeeded(self) -> bool:
        """Whether the run is finished, nothing of its own failed, and every contender passed."""
        return self.passed and self.complete and not self.other_failures

    @property
    def approximate(self) -> bool:
        """Whether a contender passed only as approximate."""
        return any(one.verdict.status == "passed as approximate" for one in self.contenders)

    def __getitem__(self, label: str) -> ContenderResult:
        """Return a contender's result by its label, such as "numba" or "torch:cuda"."""
        for one in self.contenders:
            if one.contender.label == label:
                return one
        known = ", ".join(one.contender.label for one in self.contenders)
        raise KeyError(f"{label!r} (contenders: {known})")

    def frame(self) -> "pandas.DataFrame":
        """Return all observations as a tidy DataFrame, one a row; see `lstmbench.load`."""
        return frame(self.run)

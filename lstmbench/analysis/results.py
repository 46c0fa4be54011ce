"""A run's records boiled down to one line of numbers a row.

Speed: the median over the rounds of a launch is one observation of that launch; the estimate is
the geometric mean over launches, and its 95 % interval Student's t over launches. Launches, not
rounds, are independent: two identical processes can differ for their whole lives, so the interval
takes in what varies between processes and what varies within them. A ratio is formed first within
each round, where both backends ran one after the other.
"""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from lstmbench import statistics
from lstmbench.analysis import limits
from lstmbench.analysis.verdict import first_difference
from lstmbench.protocol.messages import (
    Block,
    Ceiling,
    Checked,
    Disturbance,
    Epoch,
    Failure,
    Finished,
    Machine,
    Row,
    Rung,
    Startup,
    Stopped,
    Trained,
    Workload,
)
from lstmbench.records.folder import Header, Run
from lstmbench.statistics import Estimate

TARGET_ACCURACY = 0.925
NEAR_BOUND = 0.5  # nearer than this, the limit itself holds a row back; else what is around it
WORKLOADS: tuple[Workload, ...] = ("stage", "forward", "gradients", "train", "generate")

Kind = TypeVar("Kind")
Number = TypeVar("Number", int, float)


@dataclass
class Line:
    """What was found out about one row; None where it was not, or could not be."""

    row: Row
    rungs: list[Rung] = field(default_factory=list)
    checks: list[Checked] = field(default_factory=list)
    failure: Failure | None = None
    description: dict[str, str] = field(default_factory=dict)
    seconds: dict[Workload, Estimate] = field(default_factory=dict)
    launch_seconds: dict[Workload, list[float]] = field(default_factory=dict)
    speed_ratio: dict[Workload, Estimate] = field(default_factory=dict)
    launch_ratios: dict[Workload, list[float]] = field(default_factory=dict)
    share_of_bound: dict[Workload, Estimate] = field(default_factory=dict)
    held_back_by: dict[Workload, str] = field(default_factory=dict)
    backward_seconds: Estimate | None = None
    optimiser_seconds: Estimate | None = None
    steps_to_repay_startup: float | None = None
    forward_error: float | None = None
    digit_microseconds_p50: float | None = None
    digit_microseconds_p99: float | None = None
    digit_calls: int = 0
    import_seconds: float | None = None
    build_seconds: float | None = None
    compile_seconds: float | None = None
    first_step_seconds: float | None = None
    peak_bytes: int | None = None
    peak_bytes_above_import: int | None = None
    train_loss: float | None = None
    free_running_loss: float | None = None
    mean_loss: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    training_seconds: float | None = None
    seconds_to_target: float | None = None

    @property
    def first_difference(self) -> Rung | None:
        """The lowest rung on which the backend leaves the reference."""
        return first_difference(self.rungs)

    @property
    def first_wrong_result(self) -> Checked | None:
        """The first timed block whose results were not the reference's."""
        return next((c for c in self.checks if c.verdict == "differs"), None)

    @property
    def impossible(self) -> list[Workload]:
        """Workloads all of whose interval beats the machine's limit: an error, not a record."""
        return [w for w, s in self.share_of_bound.items() if np.fmin(s.value, s.low) > 1]

    @property
    def sound(self) -> bool:
        """Whether the row agrees with the reference, nothing failed and all is possible."""
        return self.agrees and not self.impossible

    @property
    def agrees(self) -> bool:
        """Whether the row agrees with the reference and nothing failed, whatever its times."""
        wrong = self.first_difference or self.first_wrong_result or self.failure
        return bool(self.rungs) and not wrong


@dataclass
class Summary:
    """A run in numbers; `lines` fastest first, those without a sound result last."""

    header: Header
    lines: list[Line]
    ceiling: Ceiling | None
    baseline: Row | None
    complete: bool
    truncated: bool
    launches: int
    machine: Machine | None
    stopped: Stopped | None
    other_share: float | None
    stolen_share: float | None
    gpu_processes: int | None
    measured_share: float | None


def summarise(run: Run) -> Summary:
    """Boil down a run, finished or not."""
    rows = run.header.rows
    blocks = _blocks(run)
    machine = _machine(_of(run, Machine))
    baseline = next((r for r in rows if r.backend == run.header.settings.baseline), None)
    lines = [_line(run, row, blocks, machine) for row in rows]
    reference = next((line for line in lines if line.row == baseline), None)
    if reference and reference.sound:
        for line in lines:
            _compare(line, reference, blocks)
    else:
        baseline = None
    lines.sort(key=lambda line: (not line.sound, _step(line)))
    ceilings, stops = _of(run, Ceiling), _of(run, Stopped)
    disturbances = _of(run, Disturbance)
    return Summary(
        header=run.header,
        lines=lines,
        ceiling=ceilings[0] if ceilings else None,
        baseline=baseline,
        complete=_complete(run),
        truncated=run.truncated,
        launches=len({launch for by in blocks.values() for launch, _ in by}),
        machine=machine,
        stopped=stops[-1] if stops else None,
        other_share=_highest([d.other_share for d in disturbances]),
        stolen_share=_highest([d.stolen_share for d in disturbances]),
        gpu_processes=_highest([d.gpu_processes for d in disturbances]),
        measured_share=_measured_share(run),
    )


def half_width(summary: Summary) -> float | None:
    """The widest interval of training speed, as +- a share of its value; None without any.

    Of ratios to the baseline, or of the time itself where there is nothing to compare.
    """
    estimates = [n.speed_ratio["train"] for n in summary.lines if "train" in n.speed_ratio]
    if not estimates:
        estimates = [n.seconds["train"] for n in summary.lines if "train" in n.seconds]
    widths = [e.half_width for e in estimates if e.low == e.low]
    return max(widths, default=None)


def _highest(values: list[Number | None]) -> Number | None:
    return max((v for v in values if v is not None), default=None)


def _measured_share(run: Run) -> float | None:
    """Seconds inside timed regions as a share of those that the finished launches took."""
    launches = {f.launch: f.seconds for f in _of(run, Finished) if f.phase == "timing"}
    inside = sum(sum(b.seconds) for b in _of(run, Block) if b.launch in launches)
    whole = sum(seconds or 0.0 for seconds in launches.values())
    return inside / whole if whole else None


def _machine(probes: list[Machine]) -> Machine | None:
    """The best of all launches: a limit is what the machine can do."""
    if not probes:
        return None
    return Machine(
        launch=probes[0].launch,
        matrix_flops_per_second=max(p.matrix_flops_per_second for p in probes),
        memory_bytes_per_second=max(p.memory_bytes_per_second for p in probes),
    )


def _of(run: Run, kind: type[Kind], row: Row | None = None) -> list[Kind]:
    found: list[Any] = [r for r in run.records if isinstance(r, kind)]
    return [r for r in found if row is None or r.row == row]


def _complete(run: Run) -> bool:
    finished = {(f.phase, f.row) for f in _of(run, Finished)}
    wanted = {(phase, row) for phase in ("parity", "training") for row in run.header.rows}
    return bool(_of(run, Stopped)) and wanted <= finished


Blocks = dict[tuple[Row, Workload], dict[tuple[int, int], Block]]


def _blocks(run: Run) -> Blocks:
    """Every block by row and workload, then by launch and round."""
    result: Blocks = defaultdict(dict)
    for block in _of(run, Block):
        result[block.row, block.workload][block.launch, block.round] = block
    return result


def _per_call(block: Block) -> float:
    """Seconds a step, a forward pass or a generated digit."""
    if block.digits:
        return float(np.median(block.seconds)) / block.digits
    return block.seconds[0] / block.calls


def _difference(
    whole: dict[tuple[int, int], Block], part: dict[tuple[int, int], Block]
) -> Estimate | None:
    """What is left of one workload's seconds without another's, by round, over launches.

    It may be negative, where the part is not as cheap by itself as inside the whole.
    """
    launches = defaultdict(list)
    for place in whole:
        if place in part:
            launches[place[0]].append(_per_call(whole[place]) - _per_call(part[place]))
    if not launches:
        return None
    return statistics.mean([float(np.median(v)) for v in launches.values()])


def _ratios(
    mine: dict[tuple[int, int], Block], base: dict[tuple[int, int], Block]
) -> dict[tuple[int, int], float]:
    """The baseline's seconds over mine, round by round: above 1 is faster than the baseline."""
    return {p: _per_call(base[p]) / _per_call(mine[p]) for p in mine if p in base}


def _line(run: Run, row: Row, blocks: Blocks, machine: Machine | None) -> Line:
    failures = _of(run, Failure, row)
    line = Line(
        row,
        rungs=_of(run, Rung, row),
        checks=_of(run, Checked, row),
        failure=failures[0] if failures else None,
    )
    forward = next((r for r in line.rungs if (r.fixture, r.rung) == ("run", "forward")), None)
    if forward and forward.error is not None and forward.band is not None:
        line.forward_error = forward.error * forward.band
    _add_startup(line, _of(run, Startup, row))
    _add_speed(line, blocks)
    if machine and row.device == "cpu":
        _add_limits(line, run, machine)
    _add_training(line, _of(run, Epoch, row), _of(run, Trained, row))
    return line


def _add_startup(line: Line, startups: list[Startup]) -> None:
    """The first start is the one that compiled with nothing cached."""
    if startups:
        first = startups[0]
        line.description = first.description
        line.import_seconds = first.import_seconds
        line.build_seconds = first.build_seconds
        line.compile_seconds = first.compile_seconds
        line.first_step_seconds = first.first_step_seconds
        line.peak_bytes = startups[-1].peak_bytes
        line.peak_bytes_above_import = startups[-1].peak_bytes - startups[-1].imported_bytes


def _add_speed(line: Line, blocks: Blocks) -> None:
    row = line.row
    for workload in WORKLOADS:
        seconds = {p: _per_call(b) for p, b in blocks[row, workload].items()}
        if seconds:
            line.seconds[workload] = statistics.over_launches(seconds)
            line.launch_seconds[workload] = statistics.launch_medians(seconds)
    line.backward_seconds = _difference(blocks[row, "gradients"], blocks[row, "forward"])
    line.optimiser_seconds = _difference(blocks[row, "train"], blocks[row, "gradients"])
    calls = [s / b.digits * 1e6 for b in blocks[row, "generate"].values() for s in b.seconds]
    if calls:
        line.digit_calls = len(calls)
        line.digit_microseconds_p50, line.digit_microseconds_p99 = (
            float(q) for q in np.percentile(calls, [50, 99])
        )


def _add_limits(line: Line, run: Run, machine: Machine) -> None:
    """How near to the machine's limit each workload came, and what it was that held it back."""
    s = run.header.settings
    itemsize = np.dtype(s.dtype).itemsize
    for workload, seconds in line.seconds.items():
        least = limits.work(workload, s.batch, s.seq_len, s.hidden, s.layers, itemsize)
        arithmetic, bandwidth = limits.bound_seconds(least, machine)
        bound = max(arithmetic, bandwidth)
        if bound:
            share = Estimate(bound / seconds.value, bound / seconds.high, bound / seconds.low)
            line.share_of_bound[workload] = share
            nearest = "arithmetic" if arithmetic >= bandwidth else "bandwidth"
            line.held_back_by[workload] = nearest if share.value >= NEAR_BOUND else "dispatch"


def _compare(line: Line, baseline: Line, blocks: Blocks) -> None:
    """Speeds over the baseline's, and when a slow start has paid for itself."""
    if line is baseline:
        return
    for workload in WORKLOADS:
        ratios = _ratios(blocks[line.row, workload], blocks[baseline.row, workload])
        if ratios:
            line.speed_ratio[workload] = statistics.over_launches(ratios)
            line.launch_ratios[workload] = statistics.launch_medians(ratios)
    if "train" in line.speed_ratio:
        extra = _startup_seconds(line) - _startup_seconds(baseline)
        gain = baseline.seconds["train"].value - line.seconds["train"].value
        if extra <= 0 <= gain:
            line.steps_to_repay_startup = 0.0
        elif gain > 0:
            line.steps_to_repay_startup = extra / gain


def _startup_seconds(line: Line) -> float:
    parts = (
        line.import_seconds,
        line.build_seconds,
        line.compile_seconds,
        line.first_step_seconds,
    )
    return sum(part or 0.0 for part in parts)


def _add_training(line: Line, epochs: list[Epoch], trained: list[Trained]) -> None:
    latest = {epoch.epoch: epoch for epoch in epochs}  # a resumed training starts over
    if latest:
        ordered = [latest[n] for n in sorted(latest)]
        last = ordered[-1]
        line.train_loss = last.teacher_forced_loss_nats
        line.free_running_loss = last.free_running_loss_nats
        line.mean_loss = last.loss_nats
        line.training_seconds = sum(epoch.seconds for epoch in ordered)
        line.seconds_to_target = _to_target(ordered)
    if trained:
        found = trained[-1].metrics
        line.metrics = {k: v for k, v in found.items() if v is not None and math.isfinite(v)}
        line.peak_bytes = trained[-1].peak_bytes
        line.peak_bytes_above_import = trained[-1].peak_bytes - trained[-1].imported_bytes


def _to_target(epochs: list[Epoch]) -> float | None:
    """Seconds of training steps up to the end of the first epoch at the target accuracy."""
    total = 0.0
    for epoch in epochs:
        total += epoch.seconds
        if epoch.validation_accuracy >= TARGET_ACCURACY:
            return total
    return None


def _step(line: Line) -> float:
    return line.seconds["train"].value if "train" in line.seconds else float("inf")


def exit_status(summary: Summary) -> int:
    """0 if every row is sound, 1 if a backend failed or disagreed."""
    return 0 if all(line.sound for line in summary.lines) else 1

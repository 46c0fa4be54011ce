"""From the records of a run to its result."""

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, TypeVar

from lstmbench.analysis import roofline
from lstmbench.analysis.results import ContenderResult, RunResult
from lstmbench.analysis.roofline import Peaks
from lstmbench.analysis.speed import Blocks
from lstmbench.analysis.verdict import Evidence, verdict_on
from lstmbench.host.gpu import GpuState
from lstmbench.interface.workloads import MAIN, PARTS, WORKLOADS
from lstmbench.parity.cases import RUN
from lstmbench.parity.known_failures import KnownFailures
from lstmbench.protocol.contender import Contender, named
from lstmbench.protocol.observations import (
    Block,
    BlockCheck,
    Ceiling,
    Disturbance,
    Epoch,
    Failure,
    Finished,
    MachinePeaks,
    Record,
    RungResult,
    Startup,
    Stopped,
    Trained,
    TrainingCheck,
)
from lstmbench.protocol.settings import Settings
from lstmbench.records.folder import Header, Run
from lstmbench.records.settled import settled

TARGET_ACCURACY = 0.925
"""The validation accuracy that `seconds_to_target` is about: that of the published tutorial."""

HOST_COPIES, DEVICE_COPIES = 4, 20
"""As many copies on the host take as long as fetching from it, and from a device, may."""

Kind = TypeVar("Kind")
Number = TypeVar("Number", int, float)


class _Records:
    """A run's records by kind and contender, sorted once."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._by_kind: dict[type, list[Any]] = defaultdict(list)
        self._by_contender: dict[tuple[type, Contender], list[Any]] = defaultdict(list)
        for record in records:
            self._by_kind[type(record)].append(record)
            if contender := getattr(record, "contender", None):
                self._by_contender[type(record), contender].append(record)

    def all(self, kind: type[Kind]) -> list[Kind]:
        return self._by_kind[kind]

    def of(self, contender: Contender, kind: type[Kind]) -> list[Kind]:
        return self._by_contender[kind, contender]


def analyse(run: Run, known: dict[str, KnownFailures] | None = None) -> RunResult:
    """Return what the records of a run come to.

    `known` are differences that are expected, by backend.
    """
    records = _Records(settled(run.records))
    contenders = run.header.contenders
    peaks = roofline.best(records.all(MachinePeaks))
    results = [
        _contender_result(run.header, one, records, peaks, known or {}) for one in contenders
    ]
    baseline = _baseline(run.header.settings, results)
    if baseline:
        for result in results:
            _compare(result, baseline)
    results.sort(key=lambda one: (not one.verdict.passed, one.main_seconds))
    disturbances = records.all(Disturbance)
    return RunResult(
        run=run,
        contenders=results,
        baseline=baseline.contender if baseline else None,
        ceiling=next(iter(records.all(Ceiling)), None),
        peaks=peaks,
        complete=_complete(run.header, records),
        stopped=next(reversed(records.all(Stopped)), None),
        launches=len({block.launch for block in records.all(Block)}),
        other_share=_highest([d.other_share for d in disturbances]),
        stolen_share=_highest([d.stolen_share for d in disturbances]),
        throttled_share=_highest([d.throttled_share for d in disturbances]),
        gpu_processes=_highest([d.gpu_processes for d in disturbances]),
        gpus=_gpus(disturbances),
        other_failures=_other_failures(records, contenders),
        measured_share=_measured_share(records),
    )


def _highest(values: list[Number | None]) -> Number | None:
    return max((v for v in values if v is not None), default=None)


def _gpus(disturbances: list[Disturbance]) -> list[GpuState]:
    """Return how each GPU did at its worst, over all launches."""
    result: dict[str, GpuState] = {}
    for state in (state for one in disturbances for state in one.gpus):
        known = result.get(state.device)
        result[state.device] = state.worst(known) if known else state
    return list(result.values())


def _other_failures(records: _Records, contenders: list[Contender]) -> list[Failure]:
    """Return the failures of the oracle's process, if the survey has not been done since."""
    failures = [one for one in records.all(Failure) if one.contender not in contenders]
    return [] if records.all(Ceiling) else failures


def _measured_share(records: _Records) -> float | None:
    launches = {f.launch: f.seconds for f in records.all(Finished) if f.phase == "timing"}
    inside = sum(sum(b.seconds) for b in records.all(Block) if b.launch in launches)
    whole = sum(seconds or 0.0 for seconds in launches.values())
    return inside / whole if whole else None


def _complete(header: Header, records: _Records) -> bool:
    finished = {(f.phase, f.contender) for f in records.all(Finished)}
    wanted = {(phase, one) for phase in ("parity", "training") for one in header.contenders}
    return bool(records.all(Stopped)) and wanted <= finished


def _blocks(blocks: list[Block]) -> dict[str, Blocks]:
    """Return one contender's blocks by workload."""
    by_workload = defaultdict(list)
    for block in blocks:
        by_workload[block.workload].append(block)
    return {name: Blocks.of(found) for name, found in by_workload.items()}


def _contender_result(
    header: Header,
    contender: Contender,
    records: _Records,
    peaks: dict[str, Peaks],
    known: dict[str, KnownFailures],
) -> ContenderResult:
    failures, blocks = records.of(contender, Failure), _blocks(records.of(contender, Block))
    result = ContenderResult(
        contender,
        rungs=records.of(contender, RungResult),
        checks=records.of(contender, BlockCheck),
        training_checks=records.of(contender, TrainingCheck),
        failure=failures[0] if failures else None,
        blocks=blocks,
    )
    _add_precision(result)
    _add_startup(result, records.of(contender, Startup), bool(header.cell))
    _add_speed(result, blocks)
    dispatches = [probe.dispatch_seconds for probe in records.of(contender, MachinePeaks)]
    result.dispatch_seconds = min((d for d in dispatches if d is not None), default=None)
    if contender.device in peaks:
        _add_roofline(result, header.settings, peaks[contender.device])
    _add_training(result, records.of(contender, Epoch), records.of(contender, Trained))
    evidence: list[Evidence] = [
        *failures,
        *result.rungs,
        *result.checks,
        *result.training_checks,
    ]
    not_believed = [*impossible(result), *late(result, blocks)]
    result.verdict = verdict_on(evidence, known.get(contender.backend), not_believed)
    return result


def impossible(result: ContenderResult) -> list[str]:
    """Return what to know of each workload that was done faster than a machine can."""
    return [
        roofline.in_words(name, share)
        for name, share in result.roofline.items()
        if share.impossible
    ]


def late(result: ContenderResult, blocks: dict[str, Blocks]) -> list[str]:
    """Return what to know of each workload whose results were not there when the clock stopped."""
    copies = HOST_COPIES if result.contender.device == "cpu" else DEVICE_COPIES
    found = {
        name: some.late(WORKLOADS[name].units_per_call, copies) for name, some in blocks.items()
    }
    return [
        f"{name}: results were not computed when the clock stopped: to fetch the rest of one "
        f"call's took {1e3 * seconds:.3g} ms"
        for name, seconds in found.items()
        if seconds is not None
    ]


def _baseline(settings: Settings, results: list[ContenderResult]) -> ContenderResult | None:
    """Return the result of the baseline, if it passed."""
    found = named([one.contender for one in results], settings.baseline)
    return next((one for one in results if one.contender == found and one.verdict.passed), None)


def _add_precision(result: ContenderResult) -> None:
    for rung in result.rungs:
        if (rung.case, rung.rung) == (RUN, "forward"):
            found = rung.result
            if found.error is not None and found.tolerance is not None:
                result.forward_error = found.error * found.tolerance


def _add_startup(result: ContenderResult, startups: list[Startup], cell: bool) -> None:
    """The first start is the one that compiled with nothing cached; not so in a sweep's cells."""
    if startups:
        first, last = startups[0], startups[-1]
        result.description = first.description
        if not cell:
            result.import_seconds = first.import_seconds
            result.build_seconds = first.build_seconds
            result.compile_seconds = first.compile_seconds
            result.first_step_seconds = first.first_step_seconds
        ticks = [one.clock_seconds for one in startups if one.clock_seconds is not None]
        result.clock_seconds = max(ticks, default=None)
        result.peak_bytes = last.peak_bytes
        result.peak_bytes_above_import = last.peak_bytes - last.imported_bytes
        result.device_memory = last.device_memory


def _add_speed(result: ContenderResult, blocks: dict[str, Blocks]) -> None:
    for name in WORKLOADS:
        if name in blocks:
            time = blocks[name].time()
            result.seconds[name] = time.estimate
            result.launch_seconds[name] = time.launches
            if staging := blocks[name].staging_time():
                result.staging_seconds[name] = staging
    for part in PARTS:
        if part.whole.name in blocks and part.without.name in blocks:
            left = blocks[part.whole.name].without(blocks[part.without.name])
            if left is not None:
                result.parts[part.name] = left
    if "generate" in blocks:
        digits = blocks["generate"]
        result.digit_calls = min(map(len, digits.calls.values()))
        result.digit_seconds_p50, result.digit_seconds_p99 = map(digits.percentile, (50, 99))


def _add_roofline(result: ContenderResult, settings: Settings, peaks: Peaks) -> None:
    for name, seconds in result.seconds.items():
        work = WORKLOADS[name].least_work(settings.model, settings.shape, settings.arithmetic)
        if found := roofline.share(work, seconds, peaks):
            result.roofline[name] = found


def _compare(result: ContenderResult, baseline: ContenderResult) -> None:
    """Speeds over the baseline's, and when a slow start has paid for itself."""
    if result is baseline:
        return
    mine, theirs = result.blocks, baseline.blocks
    for name in WORKLOADS:
        ratio = mine[name].speed_over(theirs[name]) if name in mine and name in theirs else None
        if ratio:
            result.speed_ratio[name] = ratio.estimate
            result.launch_ratios[name] = ratio.launches
    if MAIN.name in result.speed_ratio and result.import_seconds is not None:
        extra = result.startup_seconds - baseline.startup_seconds
        gain = baseline.main_seconds - result.main_seconds
        if extra <= 0 <= gain:
            result.steps_to_repay_startup = 0.0
        elif gain > 0:
            result.steps_to_repay_startup = extra / gain


def _add_training(result: ContenderResult, epochs: list[Epoch], trained: list[Trained]) -> None:
    latest = {epoch.epoch: epoch for epoch in epochs}  # a resumed training starts over
    if latest:
        result.epochs = ordered = [latest[n] for n in sorted(latest)]
        last = ordered[-1]
        result.train_loss = last.teacher_forced_loss_nats
        result.free_running_loss = last.free_running_loss_nats
        result.mean_loss = last.loss_nats
        result.training_seconds = sum(epoch.seconds for epoch in ordered)
        result.seconds_to_target = _to_target(ordered)
    if trained:
        found = trained[-1].metrics
        result.metrics = {k: v for k, v in found.items() if v is not None and math.isfinite(v)}
        result.peak_bytes = trained[-1].peak_bytes
        result.peak_bytes_above_import = trained[-1].peak_bytes - trained[-1].imported_bytes


def _to_target(epochs: list[Epoch]) -> float | None:
    """Return seconds of training steps up to the end of the first epoch at the target accuracy."""
    total = 0.0
    for epoch in epochs:
        total += epoch.seconds
        if epoch.validation_accuracy >= TARGET_ACCURACY:
            return total
    return None

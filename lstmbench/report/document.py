"""The result of a run in words: a heading, tables of strings and notes, for any format."""

from dataclasses import dataclass

from lstmbench.analysis import roofline
from lstmbench.analysis.analyse import TARGET_ACCURACY
from lstmbench.analysis.results import RunResult
from lstmbench.host.environment import Environment
from lstmbench.host.gpu import GpuState
from lstmbench.interface.errors import LONGEST_LINE, shortened
from lstmbench.interface.workloads import GENERATED_DIGITS, PROMPT_DIGITS
from lstmbench.parity.tolerances import honest_factor
from lstmbench.report.columns import PRECISION, TABLES, Column

PUBLISHED_LOSS = 0.28
PUBLISHED_ACCURACY = 0.925
DISTURBED_SHARE = 0.05
COARSE_SHARE = 0.01
"""Of a block: a clock that tells no less is too coarse for it."""


@dataclass
class Table:
    """Columns' headings and rows' cells; `marked` are the rows of contenders that did not pass."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    marked: list[bool]


@dataclass
class Document:
    """What a reader is shown, from top to bottom."""

    title: str
    facts: list[tuple[str, str]]
    tables: list[Table]
    problems: list[str]
    notes: list[str]


def document(run: RunResult) -> Document:
    """Return the result of a run in words."""
    settings = run.header.settings
    state = "" if run.complete else " (not finished)"
    return Document(
        title=f"lstmbench: {settings.task}, {settings.dtype}, {run.header.created}{state}",
        facts=_facts(run),
        tables=[_table(title, columns, run) for title, columns in TABLES.items()],
        problems=_problems(run),
        notes=_notes(run),
    )


def _facts(run: RunResult) -> list[tuple[str, str]]:
    header, env = run.header, run.header.environment
    s = header.settings
    gpus = "; ".join(f"{g.name}, driver {g.driver_version or 'not told'}" for g in env.gpus)
    facts = [
        ("machine", _machine(env)),
        ("GPU", gpus or "none"),
        ("system", f"{env.platform}, Python {env.python}"),
        ("versions", ", ".join(f"{k} {v}" for k, v in env.versions.items())),
        (
            "model",
            f"{s.layers} LSTM layers of {s.hidden}, batch {s.batch}, {s.seq_len} time steps, "
            f"{s.dtype}, {s.threads} threads a worker",
        ),
        (
            "training",
            f"{s.epochs} epochs of {s.batches_per_epoch} batches, learning rate "
            f"{s.learning_rate:g}, teacher forcing {s.teacher_forcing:g}, clip {s.clip:g}, "
            f"seed {s.seed}",
        ),
        (
            "timing",
            f"{run.launches} launches, each of {s.rounds} rounds of "
            f"{s.block_seconds * 1e3:g} ms blocks, interleaved; {_stopped(run)}; "
            f"{_measured(run)}",
        ),
    ]
    facts += [(f"peaks, {device}", _peaks(run, device)) for device in run.peaks]
    facts += [(f"GPU, {one.device}", _gpu_state(one)) for one in run.gpus]
    if env.load_average:
        governor = env.frequency_governor or "not told"
        load = f"{env.load_average[0]:.2f} processes; frequency governor {governor}"
        facts.append(("load at start", load))
    if env.variables:
        told = " ".join(f"{name}={value}" for name, value in env.variables.items())
        facts.append(("variables", shortened(told, LONGEST_LINE)))
    if env.git_commit:
        facts.append(("commit", env.git_commit))
    return facts


def _machine(env: Environment) -> str:
    cores = "cores not told" if env.cores_usable is None else f"{env.cores_usable} usable cores"
    parts = [env.cpu, cores]
    if env.memory_bytes is not None:
        parts.append(f"{env.memory_bytes / 2**30:.0f} GiB")
    if env.cpu_quota is not None:
        parts.append(f"limited to the time of {env.cpu_quota:g} cores by its control group")
    return ", ".join(parts)


def _peaks(run: RunResult, device: str) -> str:
    """Return the best rates of a device, and what its libraries need to start an operation."""
    peaks, precision = run.peaks[device], run.settings.arithmetic
    kind = precision.dtype if device == "cpu" and precision.products == "tf32" else precision.name
    rate, width = peaks.matrix_flops_per_second, peaks.memory_bytes_per_second
    arithmetic = f"{rate / 1e9:,.0f} GFLOP/s" if rate else "rate not known"
    what = (
        "copying or reading as many bytes as the weights take"
        if device == "cpu"
        else "copying on the device"
    )
    parts = [f"{arithmetic} of {kind} matrix products"]
    parts += [f"{width / 1e9:,.0f} GB/s of {what}"] if width else []
    starts = [
        f"{one.dispatch_seconds * 1e6:.3g} µs ({one.contender.label})"
        for one in run.contenders
        if one.dispatch_seconds is not None and one.contender.device == device
    ]
    parts += [f"from one smallest operation to the next {', '.join(starts)}"] if starts else []
    return ", ".join(parts)


def _gpu_state(one: GpuState) -> str:
    """Return how a GPU did while it was timed, at its worst."""
    parts = []
    if one.sm_clock_mhz is not None:
        parts.append(f"clock at least {one.sm_clock_mhz} MHz")
    if one.temperature_celsius is not None:
        parts.append(f"at most {one.temperature_celsius} °C")
    if one.power_limit_watts is not None:
        parts.append(f"power limit {one.power_limit_watts:.0f} W")
    throttles = f"held down by {', '.join(one.throttles)}" if one.throttles else "not throttled"
    return ", ".join([*parts, throttles]) if parts else "the driver does not tell"


def _stopped(run: RunResult) -> str:
    stopped, settings = run.stopped, run.header.settings
    if stopped is None:
        return "not finished"
    if stopped.reason == "nothing to time":
        return "no contender passed, so none was timed"
    width = "" if stopped.half_width is None else f", widest interval ± {stopped.half_width:.1%}"
    if stopped.reason == "precision":
        return f"stopped at the precision asked for (± {settings.precision:.1%}){width}"
    return f"stopped at the time budget ({settings.time_budget:g} s){width}"


def _measured(run: RunResult) -> str:
    if run.measured_share is None:
        return "no launch finished"
    return f"{run.measured_share:.0%} of the launches' time was inside timed regions"


def _table(title: str, columns: tuple[Column, ...], run: RunResult) -> Table:
    columns = tuple(column for column in columns if column.told(run))
    return Table(
        title=title,
        columns=[column.heading(run) for column in columns],
        rows=[[column.text(one, run) for column in columns] for one in run.contenders],
        marked=[not one.verdict.passed for one in run.contenders],
    )


def _problems(run: RunResult) -> list[str]:
    result = []
    for one in run.contenders:
        label = one.contender.label
        result += [f"{label}: {reason}" for reason in one.verdict.reasons]
        result += [f"{label}: expected to differ at {excused}" for excused in one.verdict.excused]
        result += [f"{label}: could not be compared at {unseen}" for unseen in one.verdict.unseen]
        if one.verdict.status == "passed as approximate":
            precision = PRECISION.text(one, run)
            result.append(
                f"{label}: its activations are approximate; it needs the wider tolerance that "
                f"these are allowed (effective precision: {precision})"
            )
        result += [
            f"{label}: {roofline.in_words(name, share)}"
            for name, share in one.roofline.items()
            if share.beats_limit and not share.impossible
        ]
        result += [
            f"{label}: staging the inputs of one call of {name} takes longer than the call; what "
            "is done there is outside the clock"
            for name in one.slow_staging
        ]
        tick, block = one.clock_seconds, run.settings.block_seconds
        if tick is not None and tick > COARSE_SHARE * block:
            result.append(
                f"{label}: its clock tells no less than {1e3 * tick:.3g} ms: a block of "
                f"{1e3 * block:g} ms is known to ± {tick / block:.0%}, a shorter call less well"
            )
        if run.settings.dtype == "tf32" and one.computed_in(run.settings) == "float32":
            result.append(f"{label}: has no TF32 here; it computed in float32")
        if one.verdict.status == "not claimed":
            result.append(f"{label}: offers nothing that could be compared")
    result += [f"{one.contender.label}: {one.message}" for one in run.other_failures]
    result += [f"{name}: left out: {why}" for name, why in run.header.skipped.items()]
    result += _disturbances(run)
    if run.run.truncated:
        result.append("the last record was cut off in writing and is left out")
    if not run.complete:
        result.append("this run is not finished; `lstmbench run --resume DIR` does what is missing")
    return result


def _disturbances(run: RunResult) -> list[str]:
    result = [
        f"disturbed: {who} used up to {share:.0%} of the cores' time during a launch"
        for share, who in (
            (run.other_share, "other processes"),
            (run.stolen_share, "other machines on this host"),
        )
        if share is not None and share > DISTURBED_SHARE
    ]
    if run.throttled_share:
        result.append(
            "disturbed: the processor time that the control group allows was used up in "
            f"{run.throttled_share:.0%} of its periods during a launch"
        )
    if run.gpu_processes:
        result.append(f"disturbed: {run.gpu_processes} other processes used a GPU before a launch")
    result += [
        f"disturbed: the clocks of {one.device} were held down by {', '.join(one.throttles)}"
        for one in run.gpus
        if one.throttles
    ]
    return result


def _notes(run: RunResult) -> list[str]:
    counted = [one for one in run.contenders if one.digit_calls]
    calls = ", ".join(f"{one.digit_calls:,} ({one.contender.label})" for one in counted)
    notes = [
        "[low, high] is a 95 % confidence interval: of speeds, over launches (every contender "
        "started afresh; median over a launch's rounds); of accuracies, over test sequences.",
        "parity: every rung agrees with a float64 oracle to within "
        f"{honest_factor(run.settings.arithmetic)} times the error of plain arithmetic in the same "
        "precision; ≈: of approximate activations. A contender that does not agree is not timed. "
        "Results of timed blocks are verified in the same way"
        f"{_verified_training(run)}.",
        "staging its inputs: bringing the batch of one training step to the device, which is "
        "outside the clock.",
        "speed ÷ baseline's: training steps a second over the baseline's in the same round; "
        "above 1 is faster. tokens/s: predicted digits a second in training.",
        f"µs/digit: greedy generation of one sequence, {GENERATED_DIGITS} digits a call after a "
        f"prompt of {PROMPT_DIGITS}, with weights of each block's own, seconds "
        f"of a call ÷ {GENERATED_DIGITS}; percentiles of a launch's calls, which are at least "
        f"{calls or 'none'}, then over launches; p99 needs 100 of them.",
        "share of roofline: the least time that the operations and bytes of the formulas take at "
        "this machine's measured peaks, over the time taken; in brackets the bottleneck "
        "(dispatch: the calls and small operations around the arithmetic).",
        "backward: loss and gradients less forward pass; clip + Adam: training step less loss and "
        "gradients. They are differences, so they may be below zero (a step need not hand "
        "gradients out). start repaid after: training steps until import, build, compile and "
        "first step are made up for, compared with the baseline.",
        "effective precision: by the relative error of the logits against float64, in brackets. "
        "computed in: as the backend tells; arrays handed over are of the run's dtype.",
        "import: of the backend's libraries, beyond what a worker itself needs, NumPy among it; "
        "build: constructing the backend and loading parameters; compile and 1st step: of the "
        "first launch, with nothing cached. peak: resident memory of the worker after training "
        "(without training, after a launch's first calls); above import: beyond what it held "
        "once the library was loaded. on GPU: the most that the worker's arrays took there, as "
        "the library counts; marked ≥, what the driver saw the whole process hold just then.",
        "train loss: teacher-forced batches of the last epoch, by the model as it was at each; "
        "free-running: batches in which the model reads its own digits; mean: over all batches.",
        "generated: cross-entropy, under the task's own process, of digits that the model wrote. "
        f"s to {TARGET_ACCURACY:.1%}: seconds of training steps to the end of the first epoch "
        "with that validation accuracy.",
    ]
    return notes + _ceiling_notes(run) + _task_notes(run)


def _verified_training(run: RunResult) -> str:
    """Return how far the losses of training were compared, as the end of a sentence."""
    notes = {
        check.result.note
        for one in run.contenders
        for check in one.training_checks
        if check.check == "losses"
    }
    return f", and losses in training, {'; '.join(sorted(notes))}" if notes else ""


def _ceiling_notes(run: RunResult) -> list[str]:
    if not run.ceiling:
        return []
    c = run.ceiling
    accuracies = ", ".join(f"{k}: {100 * v:.1f} %" for k, v in c.ngram_accuracy.items())
    return [
        f"Ceiling of task {c.task}: Bayes accuracy {100 * c.bayes_accuracy:.2f} % expected, "
        f"{100 * c.test_bayes_accuracy:.2f} % on these test tokens (÷ Bayes is by the latter); "
        f"entropy floor {c.entropy_floor_nats:.5f} nats, {c.test_cross_entropy_nats:.5f} here.",
        f"n-gram accuracy, guessing from the last k digits alone, counted on the same training "
        f"data: {accuracies}. An accuracy near these shows no use of a longer context.",
    ]


def _task_notes(run: RunResult) -> list[str]:
    if run.settings.task != "digits":
        return []
    return [
        f"The tutorial that this experiment repairs reports train loss {PUBLISHED_LOSS} and "
        f"accuracy {PUBLISHED_ACCURACY:.2%} on 50 sequences; a test of 50 swings by ± 3 points."
    ]

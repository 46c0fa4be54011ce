"""The summary in words: a heading, tables of strings and notes, for any format to lay out."""

from collections.abc import Callable
from dataclasses import dataclass

from lstmbench.analysis.results import TARGET_ACCURACY, Line, Summary
from lstmbench.parity import precision_of
from lstmbench.protocol.messages import Workload
from lstmbench.report import verdicts
from lstmbench.statistics import Estimate

NOTHING = "–"
PUBLISHED_LOSS = 0.28
PUBLISHED_ACCURACY = 0.925
DISTURBED_SHARE = 0.05


@dataclass
class Table:
    """Columns' headings and rows' cells; `marked` are the rows that have no sound result."""

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


def document(summary: Summary) -> Document:
    """Put a summary into words."""
    settings = summary.header.settings
    state = "" if summary.complete else " (not finished)"
    return Document(
        title=f"lstmbench: {settings.task}, {settings.dtype}, {summary.header.created}{state}",
        facts=_facts(summary),
        tables=[_speed(summary), _parts(summary), _learning(summary)],
        problems=_problems(summary),
        notes=_notes(summary),
    )


def _facts(summary: Summary) -> list[tuple[str, str]]:
    header, env = summary.header, summary.header.environment
    s = header.settings
    memory = env["memory_bytes"] / 2**30
    machine = f"{env['cpu']}, {env['cores_usable']} usable cores, {memory:.0f} GiB"
    gpus = "; ".join(f"{g['name']}, driver {g['driver_version']}" for g in env["gpus"])
    load = env["load_average"]
    facts = [
        ("machine", machine),
        ("GPU", gpus or "none"),
        ("system", f"{env['platform']}, Python {env['python']}"),
        ("versions", ", ".join(f"{k} {v}" for k, v in env["versions"].items())),
        (
            "model",
            f"{s.layers} LSTM layers of {s.hidden}, batch {s.batch}, {s.seq_len} time steps, "
            f"{s.dtype}, TF32 {'allowed' if s.tf32 else 'off'}, {s.threads} threads a worker",
        ),
        (
            "training",
            f"{s.epochs} epochs of {s.batches_per_epoch} batches, learning rate "
            f"{s.learning_rate:g}, teacher forcing {s.teacher_forcing:g}, clip {s.clip:g}, "
            f"seed {s.seed}",
        ),
        (
            "timing",
            f"{summary.launches} launches, each of {s.rounds} rounds of "
            f"{s.block_seconds * 1e3:g} ms blocks, backends in turn; {_stopped(summary)}; "
            f"{_measured(summary)}",
        ),
    ]
    if summary.machine:
        m = summary.machine
        facts.append(
            (
                "limits here",
                f"{m.matrix_flops_per_second / 1e9:.0f} GFLOP/s of {s.dtype} matrix products, "
                f"{m.memory_bytes_per_second / 1e9:.0f} GB/s of copying or reading as many "
                "bytes as the weights take",
            )
        )
    if load:
        governor = env.get("frequency_governor") or "not told"
        facts.append(("load at start", f"{load[0]:.2f} processes; frequency governor {governor}"))
    if env.get("git_commit"):
        facts.append(("commit", env["git_commit"]))
    return facts


def _stopped(summary: Summary) -> str:
    stopped, settings = summary.stopped, summary.header.settings
    if stopped is None:
        return "not finished"
    if stopped.reason == "nothing to time":
        return "no sound backend to time"
    width = "" if stopped.half_width is None else f", widest interval ± {stopped.half_width:.1%}"
    if stopped.reason == "precision":
        return f"stopped at the precision asked for (± {settings.precision:.1%}){width}"
    return f"stopped at the time budget ({settings.time_budget:g} s){width}"


def _measured(summary: Summary) -> str:
    if summary.measured_share is None:
        return "no launch finished"
    return f"{summary.measured_share:.0%} of the launches' time was inside timed regions"


def _table(title: str, columns: list[tuple[str, Callable[[Line], str]]], summary: Summary) -> Table:
    return Table(
        title=title,
        columns=[heading for heading, _ in columns],
        rows=[[cell(line) for _, cell in columns] for line in summary.lines],
        marked=[not line.sound for line in summary.lines],
    )


def _speed(summary: Summary) -> Table:
    s = summary.header.settings
    tokens = s.batch * s.seq_len
    baseline = summary.baseline.label if summary.baseline else "baseline"
    return _table(
        "Agreement and speed",
        [
            ("backend", lambda n: n.row.label),
            ("parity", _parity),
            ("training step, ms", lambda n: interval(n.seconds.get("train"), 1e3)),
            (f"speed ÷ {baseline}'s", lambda n: _ratio(n, summary)),
            ("tokens/s", lambda n: _tokens(n, tokens)),
            ("share of bound, %", lambda n: _bound(n, "train")),
            ("µs/digit p50, p99", _latency),
            ("share of bound, %", lambda n: _bound(n, "generate")),
            ("compile + 1st step, s", _compile),
            ("peak MiB (+import)", _memory),
        ],
        summary,
    )


def _parts(summary: Summary) -> Table:
    return _table(
        "Where the time goes",
        [
            ("backend", lambda n: n.row.label),
            ("import, s", lambda n: number(n.import_seconds, ".2f")),
            ("build, s", lambda n: number(n.build_seconds, ".3f")),
            ("compile, s", lambda n: number(n.compile_seconds, ".2f")),
            ("1st step, s", lambda n: number(n.first_step_seconds, ".3f")),
            ("staging, ms", lambda n: interval(n.seconds.get("stage"), 1e3)),
            ("forward, ms", lambda n: interval(n.seconds.get("forward"), 1e3)),
            ("backward, ms", lambda n: interval(n.backward_seconds, 1e3)),
            ("clip + Adam, ms", lambda n: interval(n.optimiser_seconds, 1e3)),
            ("start repaid after, steps", _repaid),
            ("computed in", _precision),
        ],
        summary,
    )


def _learning(summary: Summary) -> Table:
    return _table(
        "Learning",
        [
            ("backend", lambda n: n.row.label),
            ("train loss, nats", lambda n: number(n.train_loss, ".3f")),
            ("free-running", lambda n: number(n.free_running_loss, ".3f")),
            ("mean", lambda n: number(n.mean_loss, ".3f")),
            ("test accuracy, %", lambda n: _accuracy(n, "test_accuracy")),
            ("÷ Bayes, %", lambda n: _percent(n, "test_accuracy_share_of_bayes")),
            ("first 50, %", lambda n: _accuracy(n, "small_test_accuracy")),
            (
                "agrees with best guess, %",
                lambda n: _percent(n, "agreement_with_best_guess"),
            ),
            (
                "KL, nats",
                lambda n: number(n.metrics.get("divergence_from_process_nats"), ".3f"),
            ),
            (
                "generated, nats",
                lambda n: number(n.metrics.get("generated_cross_entropy_nats"), ".3f"),
            ),
            (
                f"s to {TARGET_ACCURACY:.1%}",
                lambda n: number(n.seconds_to_target, ".1f"),
            ),
            ("s in all", lambda n: number(n.training_seconds, ".1f")),
        ],
        summary,
    )


def number(value: float | None, form: str) -> str:
    """A number, or a dash where there is none."""
    return NOTHING if value is None else format(value, form)


def interval(estimate: Estimate | None, scale: float = 1) -> str:
    """Value and 95 % interval, to three digits."""
    if estimate is None:
        return NOTHING
    value, low, high = (v * scale for v in estimate)
    return f"{_three(value)} [{_three(low)}, {_three(high)}]"


def _three(value: float) -> str:
    if value != value:
        return "?"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _parity(line: Line) -> str:
    worst = line.first_difference
    if worst:
        return f"✗ {worst.place}: {verdicts.what_differs(worst)}"
    if line.failure and line.failure.phase == "parity":
        return f"✗ {line.failure.reason}"
    if not line.rungs:
        return NOTHING
    unclaimed = sorted({r.rung for r in line.rungs if r.verdict == "not claimed"})
    agreed = sum(r.verdict == "agrees" for r in line.rungs)
    extra = f"; not claimed: {', '.join(unclaimed)}" if unclaimed else ""
    return f"✓ {agreed} rungs{extra}"


def _ratio(line: Line, summary: Summary) -> str:
    if line.row == summary.baseline:
        return "1 (baseline)"
    ratio = line.speed_ratio.get("train")
    if ratio is None or not line.sound:
        return NOTHING
    unclear = ratio.low <= 1 <= ratio.high or ratio.low != ratio.low
    return interval(ratio) + (" no difference seen" if unclear else "")


def _tokens(line: Line, tokens: int) -> str:
    return (
        NOTHING if "train" not in line.seconds else f"{tokens / line.seconds['train'].value:,.0f}"
    )


def _bound(line: Line, workload: Workload) -> str:
    if workload not in line.share_of_bound:
        return NOTHING
    return f"{interval(line.share_of_bound[workload], 100)} ({line.held_back_by[workload]})"


def _repaid(line: Line) -> str:
    steps = line.steps_to_repay_startup
    if "train" not in line.speed_ratio:
        return NOTHING
    return "never" if steps is None else f"{steps:,.0f}"


def _precision(line: Line) -> str:
    if line.forward_error is None:
        return NOTHING
    return f"{precision_of(line.forward_error)} ({line.forward_error:.0e})"


def _latency(line: Line) -> str:
    if line.digit_microseconds_p50 is None:
        return NOTHING
    return f"{line.digit_microseconds_p50:.1f}, {line.digit_microseconds_p99:.1f}"


def _compile(line: Line) -> str:
    if line.compile_seconds is None or line.first_step_seconds is None:
        return NOTHING
    return f"{line.compile_seconds:.2f} + {line.first_step_seconds:.2f}"


def _memory(line: Line) -> str:
    if line.peak_bytes is None or line.peak_bytes_above_import is None:
        return NOTHING
    return f"{line.peak_bytes / 2**20:.0f} (+{line.peak_bytes_above_import / 2**20:.0f})"


def _percent(line: Line, name: str) -> str:
    value = line.metrics.get(name)
    return NOTHING if value is None else f"{100 * value:.2f}"


def _accuracy(line: Line, name: str) -> str:
    if name not in line.metrics:
        return NOTHING
    value, low, high = (100 * line.metrics[name + end] for end in ("", "_low", "_high"))
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def beyond_limits(line: Line) -> list[str]:
    """What to know of each workload that a row did faster than the machine can."""
    return [
        f"{line.row.label}: {w} is {line.share_of_bound[w].value:.2f} times as fast as this "
        "machine's limit allows: work left out, an error in the timing, or too low a limit"
        for w in line.impossible
    ]


def _problems(summary: Summary) -> list[str]:
    result = []
    for line in summary.lines:
        if line.failure:
            failure = line.failure
            result.append(
                f"{line.row.label}: {failure.reason} in {failure.phase}: {failure.message}"
            )
        elif difference := line.first_difference:
            what = verdicts.difference(difference)
            result.append(f"{line.row.label}: {what}; so it was not timed")
        elif wrong := line.first_wrong_result:
            size = (
                "not finite or not comparable"
                if wrong.error is None
                else f"{wrong.error:.3g} × band"
            )
            result.append(
                f"{line.row.label}: what it computed inside the clock ({wrong.workload}, launch "
                f"{wrong.launch}, round {wrong.round}) is not the reference's: {wrong.note}, {size}"
            )
        result += beyond_limits(line)
    result += [f"{name}: left out: {why}" for name, why in summary.header.skipped.items()]
    for share, who in (
        (summary.other_share, "other processes"),
        (summary.stolen_share, "other machines on this host"),
    ):
        if share is not None and share > DISTURBED_SHARE:
            result.append(
                f"disturbed: {who} used up to {share:.0%} of the cores' time during a launch"
            )
    if summary.gpu_processes:
        result.append(
            f"disturbed: {summary.gpu_processes} other processes used a GPU before a launch"
        )
    if summary.truncated:
        result.append("the last record was cut off in writing and is left out")
    if not summary.complete:
        result.append("this run is not finished; `lstmbench run --resume DIR` does what is missing")
    return result


def _notes(summary: Summary) -> list[str]:
    notes = [
        "[low, high] is a 95 % confidence interval: of speeds, over launches (every backend "
        "started afresh; median over a launch's rounds); of accuracies, over test sequences.",
        "parity: every rung agrees with a float64 reference to within 16 times the error of "
        "plain arithmetic in the same precision. What does not agree is not timed. Results of the "
        "timed blocks are checked in the same way.",
        "speed ÷ baseline's: training steps a second over the baseline's in the same round; "
        "above 1 is faster. tokens/s: predicted digits a second in training.",
        "µs/digit: greedy generation of one sequence, 64 digits a call, seconds of a call ÷ 64; "
        "percentiles over "
        + ", ".join(
            f"{n.digit_calls} calls ({n.row.label})" for n in summary.lines if n.digit_calls
        )
        + ".",
        "share of bound: the least time that the operations and bytes of the formulas take at this "
        "machine's measured limits, over the time taken; in brackets what holds it back "
        "(dispatch: the calls and small operations around the arithmetic).",
        "backward: loss and gradients less forward; clip + Adam: training step less loss and "
        "gradients; differences, so they may come out below zero (a step need not hand gradients "
        "out). start repaid: training steps until import, build, compile and first step are made "
        "up for against the baseline.",
        "computed in: by the relative error of its logits against float64, in brackets.",
        "import: of the backend's libraries, beyond what a worker itself needs, NumPy among it; "
        "build: constructing the backend and loading parameters; "
        "compile + 1st step: of the first launch, nothing cached. peak MiB: resident memory of "
        "the worker after training (of one that does not train, after a launch's first calls); "
        "(+import): above what it held once the library was loaded.",
        "train loss: teacher-forced batches of the last epoch, by the model as it was at each; "
        "free-running: batches that the model feeds itself; mean: over all batches.",
        "generated: cross-entropy under the task's own process of digits that the model wrote. "
        f"s to {TARGET_ACCURACY:.1%}: seconds of training steps to the end of the first epoch "
        "with that validation accuracy.",
    ]
    if summary.ceiling:
        c = summary.ceiling
        ladder = ", ".join(f"{k}: {100 * v:.1f} %" for k, v in c.ladder.items())
        notes.append(
            f"Ceiling of task {c.task}: Bayes accuracy {100 * c.bayes_accuracy:.2f} % expected, "
            f"{100 * c.test_bayes_accuracy:.2f} % on these test tokens (÷ Bayes is by the latter); "
            f"entropy floor {c.entropy_floor_nats:.5f} nats, {c.test_cross_entropy_nats:.5f} here."
        )
        notes.append(
            f"Guessing from the last k digits alone, counted on the same training data: {ladder}. "
            "An accuracy near these shows no use of a longer context."
        )
    if summary.header.settings.task == "digits":
        notes.append(
            f"The tutorial that this experiment repairs reports train loss {PUBLISHED_LOSS} and "
            f"accuracy {PUBLISHED_ACCURACY:.2%} on 50 sequences; a test of 50 swings by ± 3 points."
        )
    return notes

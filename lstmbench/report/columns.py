"""The columns of results: one registry, which every format reads.

The terminal and Markdown lay out TABLES, in which every column has a heading and its values are
rounded; summary.csv and JSON hold EVERYTHING, unrounded, under each column's key.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from lstmbench.analysis.analyse import TARGET_ACCURACY
from lstmbench.analysis.results import ContenderResult, RunResult
from lstmbench.analysis.verdict import first_difference, what_differs
from lstmbench.interface.workloads import MAIN, PARTS, WORKLOADS, Workload
from lstmbench.parity.comparing import effective_precision
from lstmbench.report.signs import SIGNS
from lstmbench.statistics import Estimate

NOTHING = "–"

Value = Estimate | float | int | str | bool | list[str] | None
"""What a column may hold; an estimate becomes three: the value, its low and its high end."""


@dataclass(frozen=True)
class Column:
    """One column: where its values come from, and how they are shown.

    `title` is the heading with the unit in it; BASELINE in it stands for the baseline's name.
    `cell` gives the text of a cell where rounding the value is not enough. Where no contender has
    anything to say, a `rare` column is left out of tables.
    """

    key: str
    value: Callable[[ContenderResult, RunResult], Value]
    title: str = ""
    scale: float = 1
    form: str = ".3g"
    cell: Callable[[ContenderResult, RunResult], str] | None = None
    rare: bool = False

    def text(self, one: ContenderResult, run: RunResult) -> str:
        """Return what stands in a table: a rounded number with its interval, or a dash."""
        if self.cell:
            return self.cell(one, run)
        value = self.value(one, run)
        if value is None:
            return NOTHING
        if isinstance(value, Estimate):
            return interval(value, self.scale)
        if isinstance(value, int | float):
            return format(value * self.scale, self.form)
        return str(value)

    def told(self, run: RunResult) -> bool:
        """Return whether the column belongs into a table."""
        return not self.rare or any(self.text(one, run) != NOTHING for one in run.contenders)

    def heading(self, run: RunResult) -> str:
        """Return the heading."""
        name = run.baseline.label if run.baseline else "baseline"
        return self.title.replace("BASELINE", name)

    def fields(self, one: ContenderResult, run: RunResult) -> dict[str, Any]:
        """Return the raw value by key, or three of an estimate; None where there is no number."""
        value = self.value(one, run)
        if self.key in ESTIMATED:
            parts = value if isinstance(value, Estimate) else (None, None, None)
            ends = ("", "_low", "_high")
            return {self.key + end: finite(p) for end, p in zip(ends, parts, strict=True)}
        return {self.key: value}


def finite(value: float | None) -> float | None:
    """Return a number, or None where it is none: JSON has no NaN."""
    return None if value is None or value != value else value


def interval(estimate: Estimate | None, scale: float = 1) -> str:
    """Return a value with its 95 % interval, to three digits."""
    if estimate is None:
        return NOTHING
    value, low, high = (three_digits(v * scale) for v in estimate)
    return f"{value} [{low}, {high}]"


def three_digits(value: float) -> str:
    """Return a number to three digits, or "?" where it is not known."""
    if value != value:
        return "?"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


# How columns are made


def _of(name: str) -> Callable[[ContenderResult, RunResult], Value]:
    """Return the field of a contender's result."""
    return lambda one, run: getattr(one, name)


def _metric(key: str, title: str = "", scale: float = 100, form: str = ".2f") -> Column:
    return Column(key, lambda one, run: one.metrics.get(key), title, scale, form)


def _share(key: str, title: str) -> Column:
    """Return a share with its interval, in percent, from a metric and its two ends."""

    def cell(one: ContenderResult, run: RunResult) -> str:
        parts = [one.metrics.get(key + end) for end in ("", "_low", "_high")]
        if any(part is None for part in parts):
            return NOTHING
        value, low, high = (100 * (part or 0.0) for part in parts)
        return f"{value:.2f} [{low:.2f}, {high:.2f}]"

    return Column(key, lambda one, run: one.metrics.get(key), title, cell=cell)


def _time(workload: Workload) -> Column:
    title = f"{workload.title}, {workload.display_unit}"
    return Column(
        workload.metric,
        lambda one, run: one.seconds.get(workload.name),
        title,
        workload.display_scale,
    )


def _staging(workload: Workload) -> Column:
    """Return the time of staging the inputs of one call, outside the clock."""
    return Column(
        f"{workload.name}_staging_seconds_per_call",
        lambda one, run: one.staging_seconds.get(workload.name),
        "staging its inputs, ms",
        1e3,
    )


def _speed(workload: Workload) -> Column:
    key = f"{workload.name}_speed_over_baseline"

    def cell(one: ContenderResult, run: RunResult) -> str:
        if one.contender == run.baseline:
            return "1 (baseline)"
        ratio = one.speed_ratio.get(workload.name)
        if ratio is None or not one.verdict.passed:
            return NOTHING
        unclear = ratio.low <= 1 <= ratio.high or ratio.low != ratio.low
        return interval(ratio) + (" no difference seen" if unclear else "")

    return Column(
        key, lambda one, run: one.speed_ratio.get(workload.name), "speed ÷ BASELINE's", cell=cell
    )


def _roofline(workload: Workload) -> Column:
    key, name = f"{workload.name}_share_of_bound", workload.name

    def value(one: ContenderResult, run: RunResult) -> Value:
        return one.roofline[name].estimate if name in one.roofline else None

    def cell(one: ContenderResult, run: RunResult) -> str:
        if name not in one.roofline:
            return NOTHING
        share = one.roofline[name]
        return f"{interval(share.estimate, 100)} ({share.bottleneck})"

    return Column(key, value, f"{workload.title}: share of roofline, %", cell=cell)


def _part(name: str, title: str, metric: str) -> Column:
    return Column(metric, lambda one, run: one.parts.get(name), f"{title}, ms", 1e3)


# Cells that say more than a number


def _parity_cell(one: ContenderResult, run: RunResult) -> str:
    worst = first_difference(one.rungs)
    if worst and worst.place not in " ".join(one.verdict.excused):
        return f"✗ {worst.place}: {what_differs(worst.result)}"
    if one.failure and one.failure.phase == "parity":
        return f"✗ {one.failure.kind}"
    if not one.rungs:
        return NOTHING
    unclaimed = sorted({r.rung for r in one.rungs if r.result.outcome == "not claimed"})
    outcomes = [r.result.outcome for r in one.rungs]
    agreed = sum(outcome.startswith("passed") for outcome in outcomes)
    extra = f"; not claimed: {', '.join(unclaimed)}" if unclaimed else ""
    if one.verdict.status == "passed as approximate":
        return f"≈ {agreed} rungs, {outcomes.count('passed as approximate')} as approximate{extra}"
    return f"✓ {agreed} rungs{extra}"


def _repaid_cell(one: ContenderResult, run: RunResult) -> str:
    if MAIN.name not in one.speed_ratio or one.import_seconds is None:
        return NOTHING
    steps = one.steps_to_repay_startup
    return "never" if steps is None else f"{steps:,.0f}"


def _precision_cell(one: ContenderResult, run: RunResult) -> str:
    if one.forward_error is None:
        return NOTHING
    return f"{effective_precision(one.forward_error)} ({one.forward_error:.0e})"


def _tokens(one: ContenderResult, run: RunResult) -> Value:
    if MAIN.name not in one.seconds:
        return None
    return run.settings.shape.tokens / one.seconds[MAIN.name].value


def _plain_speed_cell(one: ContenderResult, run: RunResult) -> str:
    if one.contender == run.baseline:
        return "1"
    return interval(one.speed_ratio.get(MAIN.name)) if one.verdict.passed else NOTHING


def _bare(
    key: str,
    title: str,
    estimate: Callable[[ContenderResult, RunResult], Value],
    scale: float,
    form: str = ".3g",
) -> Column:
    """Return a column of estimates without their intervals, for where there is little room."""

    def value(one: ContenderResult, run: RunResult) -> Value:
        found = estimate(one, run)
        return found.value if isinstance(found, Estimate) else None

    return Column(key, value, title, scale, form)


def _roofline_share(one: ContenderResult, run: RunResult) -> Value:
    return one.roofline[MAIN.name].estimate if MAIN.name in one.roofline else None


def _accuracy(one: ContenderResult, run: RunResult) -> Value:
    return one.metrics.get("test_accuracy")


def _startup(one: ContenderResult, run: RunResult) -> Value:
    return None if one.import_seconds is None else one.startup_seconds


def _first_failing_rung(one: ContenderResult, run: RunResult) -> Value:
    worst = first_difference(one.rungs)
    return f"{worst.place}/{worst.result.array}" if worst else None


def _failure(one: ContenderResult, run: RunResult) -> Value:
    return f"{one.failure.kind}: {one.failure.message}" if one.failure else None


def _device_bytes(one: ContenderResult, run: RunResult) -> Value:
    return one.device_memory.peak_bytes if one.device_memory else None


def _device_memory_cell(one: ContenderResult, run: RunResult) -> str:
    if one.device_memory is None:
        return NOTHING
    mark = "≥ " if one.device_memory.told_by == "driver" else ""
    return f"{mark}{one.device_memory.peak_bytes / 2**20:.0f}"


def _computed_in_cell(one: ContenderResult, run: RunResult) -> str:
    told = one.computed_in(run.settings)
    return NOTHING if told == run.settings.dtype else told


def _is_part(workload: Workload) -> bool:
    """Return whether a workload's time belongs beside the parts of a training step."""
    return workload is not MAIN and not workload.timed_apart


# The registry

NAME = Column("contender", lambda one, run: one.contender.label, "contender")
IDENTITY = (
    Column("backend", lambda one, run: one.contender.backend),
    Column("device", lambda one, run: one.contender.device),
    Column("passed", lambda one, run: one.verdict.passed),
    Column("status", lambda one, run: one.verdict.status),
    Column("reasons", lambda one, run: list(one.verdict.reasons)),
    Column("excused", lambda one, run: list(one.verdict.excused)),
    Column("first_failing_rung", _first_failing_rung),
    Column("failure", _failure),
    Column("baseline", lambda one, run: run.baseline.label if run.baseline else None),
)
STATUS = Column(
    "agreement",
    lambda one, run: f"{SIGNS[one.verdict.status]} {one.verdict.status}",
    "agreement with float64",
)
PARITY = Column("parity", lambda one, run: None, "parity", cell=_parity_cell)
TOKENS = Column("tokens_per_second", _tokens, "tokens/s", form=",.0f")
TIMES = {name: _time(workload) for name, workload in WORKLOADS.items()}
SPEEDS = {name: _speed(workload) for name, workload in WORKLOADS.items()}
ROOFLINES = {name: _roofline(workload) for name, workload in WORKLOADS.items()}
STAGING = {name: _staging(workload) for name, workload in WORKLOADS.items() if workload.verified}
PARTS_OF_STEP = tuple(_part(part.name, part.title, part.metric) for part in PARTS)
LATENCY = (
    Column("seconds_per_digit_p50", _of("digit_seconds_p50"), "µs/digit, p50", 1e6),
    Column("seconds_per_digit_p99", _of("digit_seconds_p99"), "p99, µs", 1e6),
)
DIGIT_CALLS = Column("digit_calls_per_launch", lambda one, run: one.digit_calls or None)
STARTUP = (
    Column("import_seconds", _of("import_seconds"), "import, s", form=".2f"),
    Column("build_seconds", _of("build_seconds"), "build, s", form=".3f"),
    Column("compile_seconds", _of("compile_seconds"), "compile, s", form=".2f"),
    Column("first_step_seconds", _of("first_step_seconds"), "1st step, s", form=".3f"),
)
START = Column("startup_seconds", _startup, "start, s", form=".2g")
REPAID = Column(
    "steps_to_repay_startup",
    _of("steps_to_repay_startup"),
    "start repaid after, steps",
    cell=_repaid_cell,
)
COMPUTED_IN = Column(
    "computed_in",
    lambda one, run: one.computed_in(run.settings),
    "computed in",
    cell=_computed_in_cell,
    rare=True,
)
DISPATCH = Column("dispatch_seconds", _of("dispatch_seconds"))
PRECISION = Column(
    "forward_error", _of("forward_error"), "effective precision", cell=_precision_cell
)
MEMORY = (
    Column("peak_bytes", _of("peak_bytes"), "peak, MiB", 2**-20, ".0f"),
    Column(
        "peak_bytes_above_import", _of("peak_bytes_above_import"), "above import", 2**-20, ".0f"
    ),
    Column("device_peak_bytes", _device_bytes, "on GPU, MiB", cell=_device_memory_cell, rare=True),
)
LOSSES = (
    Column("train_loss_nats", _of("train_loss"), "train loss, nats", form=".3f"),
    Column("free_running_loss_nats", _of("free_running_loss"), "free-running", form=".3f"),
    Column("mean_loss_nats", _of("mean_loss"), "mean", form=".3f"),
)
TEST_ACCURACY = _share("test_accuracy", "test accuracy, %")
ACCURACY = (
    TEST_ACCURACY,
    _metric("test_accuracy_share_of_bayes", "÷ Bayes, %"),
    _share("small_test_accuracy", "first 50, %"),
    _metric("agreement_with_best_guess", "agrees with best guess, %"),
    _metric("divergence_from_process_nats", "KL, nats", 1, ".3f"),
    _metric("generated_cross_entropy_nats", "generated, nats", 1, ".3f"),
)
TRAINING = (
    Column(
        "seconds_to_target_accuracy",
        _of("seconds_to_target"),
        f"s to {TARGET_ACCURACY:.1%}",
        form=".1f",
    ),
    Column("training_seconds", _of("training_seconds"), "s in all", form=".1f"),
)

ESTIMATED = {
    column.key
    for column in (
        *TIMES.values(),
        *SPEEDS.values(),
        *ROOFLINES.values(),
        *STAGING.values(),
        *PARTS_OF_STEP,
        *LATENCY,
    )
}
"""The keys of the columns that hold estimates."""

TABLES: dict[str, tuple[Column, ...]] = {
    "Agreement and speed": (
        NAME,
        PARITY,
        TIMES[MAIN.name],
        STAGING[MAIN.name],
        SPEEDS[MAIN.name],
        TOKENS,
        ROOFLINES[MAIN.name],
        *LATENCY,
        *(ROOFLINES[name] for name, workload in WORKLOADS.items() if workload.timed_apart),
        *MEMORY,
    ),
    "Where the time goes": (
        NAME,
        *STARTUP,
        *(TIMES[name] for name, workload in WORKLOADS.items() if _is_part(workload)),
        *PARTS_OF_STEP,
        REPAID,
        COMPUTED_IN,
        PRECISION,
    ),
    "Learning": (NAME, *LOSSES, *ACCURACY, *TRAINING),
}
"""The tables for reading, by title."""

SUMMARY: tuple[tuple[int, Column], ...] = (
    (0, NAME),
    (1, Column("agrees", lambda one, run: SIGNS[one.verdict.status], "agrees")),
    (3, replace(TIMES[MAIN.name], title=f"{MAIN.title}, {MAIN.display_unit}")),
    (2, replace(SPEEDS[MAIN.name], cell=_plain_speed_cell)),
    (8, replace(TOKENS, title="tokens/s")),
    (6, _bare("of_roofline", "% of limit", _roofline_share, 100, ".0f")),
    (5, _bare("digit_p50", "µs a digit", _of("digit_seconds_p50"), 1e6)),
    (7, _bare("digit_p99", "p99, µs", _of("digit_seconds_p99"), 1e6)),
    (4, Column("accuracy", _accuracy, "test right, %", 100, ".2f")),
    (9, START),
    (10, replace(MEMORY[0], title="peak, MiB")),
)
"""The columns of the short table, each with its rank: where there is no room, the last go first."""

EVERYTHING: tuple[Column, ...] = (
    *IDENTITY,
    TOKENS,
    *(column for name in WORKLOADS for column in (TIMES[name], SPEEDS[name], ROOFLINES[name])),
    *STAGING.values(),
    *PARTS_OF_STEP,
    *LATENCY,
    DIGIT_CALLS,
    *STARTUP,
    REPAID,
    COMPUTED_IN,
    PRECISION,
    DISPATCH,
    *MEMORY,
    *LOSSES,
    *ACCURACY,
    *TRAINING,
)
"""What summary.csv and JSON hold of each contender."""


def row(one: ContenderResult, run: RunResult) -> dict[str, Any]:
    """Return everything about a contender as one flat mapping, metrics without a column too."""
    columns = {key: v for column in EVERYTHING for key, v in column.fields(one, run).items()}
    return columns | {name: v for name, v in one.metrics.items() if name not in columns}

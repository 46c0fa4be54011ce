"""Where the time of a training step goes, and when a slow start has paid for itself."""

import math
from collections.abc import Iterator

import altair as alt

from lstmbench.analysis.results import ContenderResult, RunResult
from lstmbench.interface.workloads import MAIN, PARTS, WORKLOADS
from lstmbench.report.charts.chart import Cast, Chart, Numbers, Row, data, draw, name_of, of
from lstmbench.report.columns import REPAID, interval, three_digits
from lstmbench.statistics import Estimate

ROW_HEIGHT, GAP, AXIS_HEIGHT = 13, 20, 50
POINTS = 41
"""Of each line of break-even."""
LEAST_STEPS, MOST_STEPS = 1e4, 1e8


def charts(run: RunResult, cast: Cast) -> list[Chart]:
    """Return the charts for which there is something to draw."""
    return [one for one in (_parts(run, cast), _break_even(run, cast)) if one]


def _named_parts(one: ContenderResult) -> Iterator[tuple[str, Estimate]]:
    if "forward" in one.seconds:
        yield WORKLOADS["forward"].title, one.seconds["forward"]
    for part in PARTS:
        if part.name in one.parts:
            yield part.title, one.parts[part.name]


def _parts(run: RunResult, cast: Cast) -> Chart | None:
    found = [
        (name_of(one.contender), part, Estimate(*(1e3 * v for v in estimate)))
        for one in run.contenders
        for part, estimate in _named_parts(one)
    ]
    if not found:
        return None
    values = [
        {
            **cast.mark(name),
            "part": part,
            "value": estimate.value,
            "low": estimate.low if estimate.low == estimate.low else estimate.value,
            "high": estimate.high if estimate.high == estimate.high else estimate.value,
        }
        for name, part, estimate in found
    ]
    order = list(dict.fromkeys(part for _, part, _ in found))
    names = list(dict.fromkeys(name for name, _, _ in found))
    x = alt.X("value:Q", title="ms of a training step", scale=alt.Scale(zero=True, nice=True))
    y = alt.Y("part:N", sort=order, title=None)
    offset = alt.YOffset("contender:N", sort=names)
    chart = alt.Chart(data(values))
    layers = (
        alt.Chart(data([{"value": 0}])).mark_rule().encode(x),
        chart.mark_rule(strokeWidth=2).encode(
            of(x, "low"),
            alt.X2("high:Q"),
            y,
            offset,
            cast.colour(),
            description=cast.tag(),
        ),
        chart.mark_point(size=45, filled=True, opacity=1).encode(
            x, y, offset, cast.colour(), cast.shape(), description=cast.tag()
        ),
    )
    rows = [
        Row((name, part, interval(estimate)), cast.tags[name]) for name, part, estimate in found
    ]
    return Chart(
        name="parts-of-a-step",
        title="Parts of a training step: ms",
        caption="Backward and clip + Adam are differences of separate timings, so they may be "
        "negative, and are not stacked. Line: 95 % interval.",
        alternative="Parts of a training step in ms. "
        + "; ".join(" ".join(row.cells) for row in rows)
        + ".",
        picture=draw(
            *layers, height=(ROW_HEIGHT * len(names) + GAP) * len(order) + AXIS_HEIGHT, labels=order
        ),
        numbers=Numbers(("contender", "part", "ms [low, high]"), rows),
    )


def _break_even(run: RunResult, cast: Cast) -> Chart | None:
    known = [
        one for one in run.contenders if one.import_seconds is not None and MAIN.name in one.seconds
    ]
    if not known:
        return None
    repaid = [one.steps_to_repay_startup or 0.0 for one in known]
    most = min(max(LEAST_STEPS, 10 * max(repaid)), MOST_STEPS)
    counts = [10 ** (math.log10(most) * n / (POINTS - 1)) for n in range(POINTS)]
    values = [
        {
            **cast.mark(name_of(one.contender)),
            "steps": steps,
            "seconds": one.startup_seconds + (steps - 1) * one.main_seconds,
        }
        for one in known
        for steps in counts
    ]
    log = alt.Scale(type="log", nice=False)
    lines = (
        alt.Chart(data(values))
        .mark_line()
        .encode(
            alt.X("steps:Q", title="training steps, log", scale=log, axis=alt.Axis(format="~s")),
            alt.Y("seconds:Q", title="seconds since start, log", scale=alt.Scale(type="log")),
            cast.colour(),
            cast.dash(),
            description=cast.tag(),
        )
    )
    rows = [
        Row(
            (
                name_of(one.contender),
                three_digits(one.startup_seconds),
                three_digits(1e3 * one.main_seconds),
                "baseline" if one.contender == run.baseline else REPAID.text(one, run),
            ),
            cast.tags[name_of(one.contender)],
        )
        for one in known
    ]
    columns = ("contender", "start, s", "step, ms", "start repaid after, steps")
    return Chart(
        name="break-even",
        title="When does a slow start pay? (log axes)",
        caption="Import, build, compile and first step of one fresh process with nothing cached, "
        "then steps at their mean time. Where two lines cross, the slower start is repaid.",
        alternative="Seconds since the start of a process against training steps. "
        + "; ".join(
            f"{name}: {start} s to start, {step} ms a step, repaid: {when}"
            for name, start, step, when in (row.cells for row in rows)
        )
        + ".",
        picture=draw(lines, height=260),
        numbers=Numbers(columns, rows),
    )

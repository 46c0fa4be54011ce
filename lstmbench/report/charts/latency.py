"""Latency: which share of calls takes longer than a given time."""

import math
from collections.abc import Iterator, Sequence

import altair as alt
import numpy as np

from lstmbench.analysis.results import ContenderResult, RunResult
from lstmbench.interface.workloads import WORKLOADS, Workload
from lstmbench.report.charts.chart import (
    MOST_MARKS,
    Cast,
    Chart,
    Numbers,
    Row,
    data,
    draw,
    name_of,
    of,
)
from lstmbench.report.columns import NOTHING, interval, three_digits

POINTS = 40
"""At most, of one launch's line."""
MARKED = (50, 99)
"""The percentiles that are marked."""

Curve = list[tuple[float, float]]
"""Times, and the share of calls that take at least as long."""


def charts(run: RunResult, cast: Cast) -> list[Chart]:
    """Return a chart for each workload of which somebody waits for every result."""
    found = (_chart(run, one, cast) for one in WORKLOADS.values() if one.timed_apart)
    return [one for one in found if one]


def shares(calls: Sequence[float]) -> Curve:
    """Return some calls' times, and the share of calls that take at least as long.

    Of many calls those are left out that lie close together on a logarithmic axis of shares; the
    shortest and the longest are among them.
    """
    ordered, count = np.sort(calls), len(calls)
    places = np.geomspace(1, count, min(POINTS, count)).round().astype(int)
    longer = np.unique(places)[::-1]  # how many calls take at least as long
    return [(float(ordered[count - n]), float(n / count)) for n in longer]


def _chart(run: RunResult, workload: Workload, cast: Cast) -> Chart | None:
    name, scale = workload.name, workload.display_scale
    known = [one for one in run.contenders if name in one.blocks]
    if not known:
        return None
    curves = [
        (name_of(one.contender), launch, [(scale * t, share) for t, share in shares(calls)])
        for one in known
        for launch, calls in sorted(one.blocks[name].calls.items())
    ]
    crowded = sum(len(curve) for _, _, curve in curves) > MOST_MARKS
    unit = f"{workload.display_unit} a {workload.title}"
    lines = _bands(curves, cast, unit) if crowded else [_lines(curves, cast, unit)]
    lowest = min(share for _, _, curve in curves for _, share in curve)
    marks = [
        {"share": 1 - percent / 100, "text": f"p{percent}"}
        for percent in MARKED
        if 1 - percent / 100 >= lowest
    ]
    y = _y()
    rules = alt.Chart(data(marks)).mark_rule(strokeDash=[2, 3]).encode(y)
    texts = (
        alt.Chart(data(marks))
        .mark_text(align="right", dy=-6)
        .encode(y, x=alt.value("width"), text="text:N")
    )
    title = f"Calls of one {workload.title}: share that takes longer, by {unit} (log axes)"
    rows = list(_rows(known, workload, cast))
    return Chart(
        name=f"latency-{name}",
        title=title,
        caption="Further left is faster; a flat foot is a long tail. "
        + (
            "Line and band: median and range over launches (too many lines to draw each)."
            if crowded
            else "A line for each launch."
        ),
        alternative=f"{title}. "
        + "; ".join(
            f"{row.cells[0]}, launch {row.cells[1]}: median {row.cells[3]}, p99 {row.cells[4]}"
            for row in rows[:20]
        )
        + ".",
        picture=draw(rules, *lines, texts, height=280),
        numbers=Numbers(
            ("contender", "launch", "calls", f"p50, {workload.display_unit}", "p99", "longest"),
            rows,
        ),
    )


def _y() -> alt.Y:
    title = "share of calls that take longer, log"
    scale = alt.Scale(type="log", nice=False)
    return alt.Y("share:Q", title=title, scale=scale, axis=alt.Axis(format="~g"))


def _x(unit: str) -> alt.X:
    return alt.X("value:Q", title=f"{unit}, log", scale=alt.Scale(type="log", nice=False))


def _lines(curves: list[tuple[str, int, Curve]], cast: Cast, unit: str) -> alt.Chart:
    values = [
        {**cast.mark(name), "launch": launch, "value": time, "share": share, "order": order}
        for name, launch, curve in curves
        for order, (time, share) in enumerate(curve)
    ]
    lines: alt.Chart = (
        alt.Chart(data(values))
        .mark_line(strokeWidth=1.25)
        .encode(
            _x(unit),
            _y(),
            cast.colour(),
            cast.dash(),
            detail="launch:N",
            order="order:Q",
            description=cast.tag(),
        )
    )
    return lines


def _bands(curves: list[tuple[str, int, Curve]], cast: Cast, unit: str) -> list[alt.Chart]:
    """Return the median and the range over launches, at shares that all launches reach."""
    values = []
    for name in dict.fromkeys(name for name, _, _ in curves):
        own = [curve for other, _, curve in curves if other == name]
        lowest = max(curve[-1][1] for curve in own)
        for share in np.geomspace(1, lowest, POINTS // 2):
            times = [_time_at(curve, float(share)) for curve in own]
            values.append(
                {
                    **cast.mark(name),
                    "share": float(share),
                    "value": float(np.median(times)),
                    "low": min(times),
                    "high": max(times),
                }
            )
    chart = alt.Chart(data(values))
    order = alt.Order("share:Q")
    return [
        chart.mark_area(opacity=0.2, orient="horizontal").encode(
            of(_x(unit), "low"),
            alt.X2("high:Q"),
            _y(),
            cast.colour(),
            description=cast.tag(),
        ),
        chart.mark_line(strokeWidth=1.25).encode(
            _x(unit), _y(), cast.colour(), cast.dash(), order, description=cast.tag()
        ),
    ]


def _time_at(curve: Curve, share: float) -> float:
    times, found = zip(*curve, strict=True)
    logs = np.interp(-math.log(share), -np.log(found), np.log(times))
    return float(np.exp(logs))


def _rows(known: list[ContenderResult], workload: Workload, cast: Cast) -> Iterator[Row]:
    scale = workload.display_scale
    for one in known:
        name = name_of(one.contender)
        over = [one.digit_seconds_p50, one.digit_seconds_p99]
        if any(over):
            means = [interval(estimate, scale) for estimate in over]
            yield Row((name, "all", "", *means, ""), cast.tags[name])
        for launch, calls in sorted(one.blocks[workload.name].calls.items()):
            times = scale * np.array(calls)
            told = [percent for percent in MARKED if len(calls) * (100 - percent) >= 100]
            found = [three_digits(float(np.percentile(times, percent))) for percent in told]
            found += [NOTHING] * (len(MARKED) - len(told))
            cells = (f"{len(calls):,}", *found, three_digits(float(times.max())))
            yield Row((name, str(launch), *cells), cast.tags[name])

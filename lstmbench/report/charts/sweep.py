"""Time, and speed over the baseline's, along each axis of a sweep; a map for a grid."""

from collections.abc import Iterator
from typing import Any

import altair as alt

from lstmbench.analysis.sweep import CellResult, Line, SweepResult
from lstmbench.interface.workloads import MAIN, Workload
from lstmbench.report.charts import theme
from lstmbench.report.charts.chart import (
    Cast,
    Chart,
    Numbers,
    Row,
    Section,
    data,
    draw,
    of,
)
from lstmbench.report.charts.ticks import log_ticks
from lstmbench.report.columns import interval
from lstmbench.report.sweep import number, option
from lstmbench.report.text import clean
from lstmbench.statistics import Estimate

MARGIN = 1.08
"""By which factor axes go beyond what is drawn."""
MAP_ROW = 44


def sections(sweep: SweepResult, cast: Cast) -> list[Section]:
    """Return the charts of training steps by axis, and of a grid the map of who is fastest."""
    found = []
    for axis in sweep.plan.axes:
        charts = []
        for place, line in enumerate(sweep.lines(axis)):
            name = f"{axis}-{place}"
            charts += [
                one
                for one in (_times(line, MAIN, cast, name), _speeds(line, MAIN, cast, name))
                if one
            ]
        found.append(Section(f"Along {option(axis)}", charts))
    if sweep.plan.design == "grid" and len(sweep.plan.axes) == 2:
        found.insert(0, Section("Who is fastest where", [_map(sweep, cast)]))
    return [one for one in found if one.charts]


def _points(line: Line, workload: Workload, cast: Cast, ratio: bool) -> Iterator[dict[str, Any]]:
    for cell in line.cells:
        for one in cell.timed(workload.name):
            if ratio:
                estimate = one.speed_ratio.get(workload.name)
            else:
                estimate = Estimate(
                    *(workload.display_scale * v for v in one.seconds[workload.name])
                )
            if estimate is None:
                continue
            value, low, high = (estimate.value if v != v else v for v in estimate)
            yield {
                **cast.mark(clean(one.contender.label)),
                "place": cell.value(line.axis),
                "value": value,
                "low": low,
                "high": high,
                "text": interval(estimate),
            }


def _times(line: Line, workload: Workload, cast: Cast, name: str) -> Chart | None:
    unit = f"{workload.display_unit} a {workload.title}"
    values = list(_points(line, workload, cast, ratio=False))
    return _chart(f"sweep-time-{name}", unit, "", line, values, cast) if values else None


def _speeds(line: Line, workload: Workload, cast: Cast, name: str) -> Chart | None:
    baselines = {cell.run.baseline.label for cell in line.cells if cell.run.baseline}
    values = list(_points(line, workload, cast, ratio=True))
    if len(baselines) != 1 or not values:
        return None
    what = f"speed ÷ {clean(baselines.pop())}'s in {workload.title}s"
    return _chart(f"sweep-speed-{name}", what, "above 1 is faster; ", line, values, cast, 1.0)


def _chart(
    name: str,
    what: str,
    hint: str,
    line: Line,
    values: list[dict[str, Any]],
    cast: Cast,
    reference: float | None = None,
) -> Chart:
    axis = option(line.axis)
    numeric = all(not isinstance(one["place"], str) for one in values)
    at = f", at {line.place}" if line.place else ""
    axes = "log axes" if numeric else "log axis"
    title = f"{what[0].upper()}{what[1:]} along {axis}{at} ({axes})"
    rows = [
        Row((number(one["place"]), one["contender"], one["text"]), one["tag"]) for one in values
    ]
    return Chart(
        name=name,
        title=title,
        caption=f"{hint.capitalize()}Marks: measured cells; band: 95 % interval.",
        alternative=f"{title}. " + "; ".join(" ".join(row.cells) for row in rows[:60]) + ".",
        picture=_picture(axis, what, values, cast, numeric, reference),
        numbers=Numbers((axis, "contender", f"{what} [low, high]"), rows),
    )


def _picture(
    axis: str,
    what: str,
    values: list[dict[str, Any]],
    cast: Cast,
    numeric: bool,
    reference: float | None,
) -> dict[str, Any]:
    ends = [one[end] for one in values for end in ("low", "high")]
    ends += [reference] if reference is not None else []
    low, high = min(ends) / MARGIN, max(ends) * MARGIN
    y = alt.Y(
        "value:Q",
        title=f"{what}, log",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(format="~g", values=log_ticks(low, high)),
    )
    x: Any
    if numeric and all(one["place"] > 0 for one in values):
        places = sorted({float(one["place"]) for one in values})
        x = alt.X(
            "place:Q",
            title=f"{axis}, log",
            scale=alt.Scale(type="log", nice=False),
            axis=alt.Axis(values=places, format="~g"),
        )
    else:
        order = list(dict.fromkeys(one["place"] for one in values))
        x = alt.X("place:N", title=axis, sort=order, axis=alt.Axis(labelAngle=0))
    chart = alt.Chart(data(values))
    layers = [
        chart.mark_area(opacity=0.2).encode(
            x, of(y, "low"), alt.Y2("high:Q"), cast.colour(), description=cast.tag()
        ),
        chart.mark_line().encode(x, y, cast.colour(), cast.dash(), description=cast.tag()),
        chart.mark_point(size=40, filled=True, opacity=1).encode(
            x, y, cast.colour(), cast.shape(), description=cast.tag()
        ),
    ]
    if reference is not None:
        rule = alt.Chart(data([{"value": reference}])).mark_rule(strokeDash=[4, 3])
        layers.insert(0, rule.encode(y))
    return draw(*layers, height=260)


def _map(sweep: SweepResult, cast: Cast) -> Chart:
    """Return a map of two axes: who is fastest in each cell, or that it cannot be told."""
    across, down = sweep.plan.axes
    values = [one for cell in sweep.cells for one in _map_cell(cell, across, down, cast)]
    first = values[0] if values else {}
    x = alt.X("x:O", title=option(across), sort=None, axis=alt.Axis(labelAngle=0))
    y = alt.Y("y:O", title=option(down), sort=None)
    chart = alt.Chart(data(values))
    layers = (
        chart.mark_rect(stroke=theme.PAPER, opacity=0.35).encode(
            x, y, cast.colour(), description=cast.tag()
        ),
        chart.mark_text(fontSize=10).encode(x, y, text="text:N", description=cast.tag()),
    )
    rows = [Row((one["x"], one["y"], one["text"]), one["tag"]) for one in values]
    down_values = {one["y"] for one in values}
    return Chart(
        name="map",
        title=f"Fastest training step, by {option(across)} and {option(down)}",
        caption="A question mark: others are not known to be slower. Empty: not measured.",
        alternative="Fastest contender of each cell. "
        + "; ".join(f"{a}, {b}: {who}" for a, b, who in (row.cells for row in rows))
        + ".",
        picture=draw(*layers, height=MAP_ROW * max(1, len(down_values)) + 60) if first else {},
        numbers=Numbers((option(across), option(down), "fastest"), rows),
    )


def _map_cell(cell: CellResult, across: str, down: str, cast: Cast) -> Iterator[dict[str, Any]]:
    fastest = cell.fastest()
    if fastest:
        name = clean(fastest.label)
        yield {
            **cast.mark(name),
            "x": number(cell.value(across)),
            "y": number(cell.value(down)),
            "text": name if fastest.clear else f"{name}?",
        }

"""The roofline: how near each workload comes to the limits that were measured in the run."""

import math

import altair as alt

from lstmbench.analysis.results import ContenderResult, RunResult
from lstmbench.analysis.roofline import Peaks
from lstmbench.interface.operations import Work
from lstmbench.interface.workloads import WORKLOADS, Workload
from lstmbench.report.charts import theme
from lstmbench.report.charts.chart import Cast, Chart, Numbers, Row, data, draw, name_of
from lstmbench.report.columns import interval, three_digits
from lstmbench.statistics import Estimate

POINTS = 61
"""Of the line of limits."""
ABOVE = 12
"""By which factor the axis goes beyond the limit, for the workloads' names."""
MARGIN = 4
"""By which factor the axis goes beyond the workloads on both sides."""

Found = tuple[ContenderResult, Workload, Work]


def charts(run: RunResult, cast: Cast) -> list[Chart]:
    """Return a chart for each device whose limits are known."""
    return [
        _chart(run, device, peaks.matrix_flops_per_second, peaks.memory_bytes_per_second, cast)
        for device, peaks in run.peaks.items()
        if peaks.matrix_flops_per_second and peaks.memory_bytes_per_second and _found(run, device)
    ]


def limit(intensity: float, peaks: Peaks) -> float | None:
    """Return the most operations a second at so many operations for each byte."""
    if peaks.matrix_flops_per_second is None or peaks.memory_bytes_per_second is None:
        return None
    return min(peaks.matrix_flops_per_second, intensity * peaks.memory_bytes_per_second)


def _found(run: RunResult, device: str) -> list[Found]:
    settings = run.settings
    return [
        (
            one,
            WORKLOADS[name],
            WORKLOADS[name].least_work(settings.model, settings.shape, settings.arithmetic),
        )
        for one in run.contenders
        if one.contender.device == device
        for name in one.roofline
    ]


def _chart(run: RunResult, device: str, flops: float, width: float, cast: Cast) -> Chart:
    found = _found(run, device)
    peaks = Peaks(flops, width)
    intensities = {workload.title: work.operations / work.bytes for _, workload, work in found}
    x = alt.X(
        "intensity:Q",
        title="operations for each byte, log",
        scale=alt.Scale(type="log", nice=False),
        axis=alt.Axis(format="~g"),
    )
    low, high = min(intensities.values()) / MARGIN, max(intensities.values()) * MARGIN
    steps = [low * (high / low) ** (n / (POINTS - 1)) for n in range(POINTS)]
    line = [{"intensity": step, "rate": (limit(step, peaks) or 0) / 1e9} for step in steps]
    marks = [
        {
            **cast.mark(name_of(one.contender)),
            "intensity": work.operations / work.bytes,
            "rate": work.operations / one.seconds[workload.name].value / 1e9,
        }
        for one, workload, work in found
    ]
    room = alt.Scale(type="log", nice=False, domainMax=ABOVE * flops / 1e9)
    y = alt.Y("rate:Q", title="GFLOP/s reached, log", scale=room)
    places = [
        {"intensity": intensity, "rate": (limit(intensity, peaks) or 0) / 1e9, "text": title}
        for title, intensity in intensities.items()
    ]
    layers = (
        alt.Chart(data(line)).mark_line(strokeWidth=2).encode(x, y, color=alt.value(theme.INK)),
        alt.Chart(data(places)).mark_rule(strokeDash=[2, 3], opacity=0.5).encode(x),
        alt.Chart(data(places))
        .mark_text(angle=270, align="right", dy=-5)
        .encode(x, y=alt.value(0), text="text:N"),
        alt.Chart(data(marks))
        .mark_point(size=50, opacity=0.9, strokeWidth=2)
        .encode(x, y, cast.colour(), cast.shape(), description=cast.tag()),
    )
    rows = [_row(*one, cast) for one in found]
    limits = f"{flops / 1e9:,.0f} GFLOP/s of matrix products, {width / 1e9:,.0f} GB/s"
    return Chart(
        name=f"roofline-{device.replace(':', '-')}",
        title=f"Roofline of {device}: GFLOP/s reached (log axes)",
        caption=f"Line: the limits measured in this run, {limits}. Operations and bytes are the "
        "least that the formulas need; what lies between a mark and the line is room left.",
        alternative=f"Roofline of {device}, limits {limits}. "
        + "; ".join(f"{r.cells[0]}, {r.cells[1]}: {r.cells[3]} % of the limit" for r in rows)
        + ".",
        picture=draw(*layers, height=300),
        numbers=Numbers(
            ("contender", "workload", "GFLOP/s [low, high]", "% of the limit", "held back by"),
            rows,
        ),
    )


def _row(one: ContenderResult, workload: Workload, work: Work, cast: Cast) -> Row:
    value, low, high = one.seconds[workload.name]
    share = one.roofline[workload.name]
    rate = Estimate(work.operations / value, work.operations / high, work.operations / low)
    known = interval(rate, 1e-9) if math.isfinite(low) else three_digits(rate.value / 1e9)
    name = name_of(one.contender)
    cells = (name, workload.title, known, interval(share.estimate, 100), share.bottleneck)
    return Row(cells, cast.tags[name])

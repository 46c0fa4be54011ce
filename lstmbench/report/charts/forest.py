"""Forest plots: an estimate with its interval for each contender, and every launch as a mark."""

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from lstmbench.analysis.results import ContenderResult, RunResult
from lstmbench.interface.workloads import MAIN, WORKLOADS, Workload
from lstmbench.report.charts import theme
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
from lstmbench.report.charts.ticks import log_ticks
from lstmbench.report.columns import interval, three_digits
from lstmbench.statistics import Estimate

ROW_HEIGHT, AXIS_HEIGHT = 36, 45
TEXT_ABOVE = -11
"""Pixels from the middle of a row to its text."""


@dataclass(frozen=True)
class Entry:
    """One row of a forest plot."""

    name: str
    estimate: Estimate | None
    """None where there is none; `note` says why."""
    launches: Sequence[float] = ()
    note: str = ""

    @property
    def number(self) -> str:
        """The estimate with its interval; of what is 1 by definition, the 1."""
        if self.estimate is None:
            return ""
        exact = self.estimate.low == self.estimate.high
        return three_digits(self.estimate.value) if exact else interval(self.estimate)

    @property
    def text(self) -> str:
        """The name and the number, or why there is none."""
        return "  ".join(part for part in (self.name, self.number, self.note) if part)


def speeds(run: RunResult, cast: Cast) -> list[Chart]:
    """Return a plot of speeds over the baseline's for each workload; of times without ratios."""
    order = [MAIN, *(one for one in WORKLOADS.values() if one is not MAIN and one.verified)]
    ratios = [_speed(run, workload, cast) for workload in order]
    return [one for one in ratios if one] or [
        one for workload in order if (one := _time(run, workload, cast))
    ]


def _speed(run: RunResult, workload: Workload, cast: Cast) -> Chart | None:
    name = workload.name
    if run.baseline is None or not any(name in one.speed_ratio for one in run.contenders):
        return None
    baseline = name_of(run.baseline)
    entries = [
        Entry(name_of(one.contender), Estimate(1, 1, 1), note="(baseline)")
        if one.contender == run.baseline
        else Entry(
            name_of(one.contender),
            one.speed_ratio.get(name) if one.verdict.passed else None,
            one.launch_ratios.get(name, ()) if one.verdict.passed else (),
            _why_not(one, name, one.speed_ratio),
        )
        for one in run.contenders
    ]
    return forest(
        f"speed-{name}",
        f"{workload.title.capitalize()}: speed ÷ {baseline}'s (log axis)",
        f"speed ÷ {baseline}'s, log; above 1 is faster",
        entries,
        cast,
        reference=1,
    )


def _time(run: RunResult, workload: Workload, cast: Cast) -> Chart | None:
    name, scale = workload.name, workload.display_scale
    if not any(name in one.seconds for one in run.contenders):
        return None
    entries = [
        Entry(
            name_of(one.contender),
            Estimate(*(scale * v for v in one.seconds[name])) if name in one.seconds else None,
            [scale * v for v in one.launch_seconds.get(name, ())],
            _why_not(one, name, one.seconds),
        )
        for one in run.contenders
    ]
    unit = f"{workload.display_unit} a {workload.title}"
    return forest(
        f"time-{name}",
        f"{workload.title.capitalize()}: {workload.display_unit} (log axis)",
        f"{unit}, log; left is faster",
        entries,
        cast,
    )


def _why_not(one: ContenderResult, workload: str, known: dict[str, Estimate]) -> str:
    if not one.verdict.passed:
        return f"not ranked: {one.verdict.status}"
    return "" if workload in known else "not measured"


def forest(
    name: str,
    title: str,
    axis: str,
    entries: Sequence[Entry],
    cast: Cast,
    reference: float | None = None,
) -> Chart:
    """Return a forest plot of positive values on a logarithmic axis.

    `reference` is where a line is drawn, as 1 of ratios.
    """
    crowded = sum(len(one.launches) for one in entries) > MOST_MARKS
    low, high = _domain(entries, reference)
    x = alt.X(
        "value:Q",
        title=axis,
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(format="~g", values=log_ticks(low, high)),
    )
    y = alt.Y("contender:N", sort=[one.name for one in entries], axis=None)
    known = [one for one in entries if one.estimate]
    values = [
        {**cast.mark(one.name), "value": value, "low": low, "high": high}
        for one in known
        if one.estimate
        for value, low, high in [_drawable(one.estimate)]
    ]
    small = [
        {**cast.mark(one.name), "value": value}
        for one in entries
        for value in (_ends(one.launches) if crowded else one.launches)
    ]
    texts = [{**cast.mark(one.name), "text": one.text} for one in entries]
    layers = [
        alt.Chart(data(values))
        .mark_bar(opacity=0.3, height=11)
        .encode(of(x, "low"), alt.X2("high:Q"), y, cast.colour(), description=cast.tag()),
        alt.Chart(data(small))
        .mark_point(size=22, opacity=0.75, strokeWidth=1)
        .encode(x, y, cast.colour(), cast.shape(), description=cast.tag()),
        alt.Chart(data(values))
        .mark_tick(thickness=3, height=15)
        .encode(x, y, cast.colour(), description=cast.tag()),
        alt.Chart(data(texts))
        .mark_text(align="left", dy=TEXT_ABOVE, limit=theme.WIDTH)
        .encode(y, x=alt.value(0), text="text:N", description=cast.tag()),
    ]
    if reference is not None:
        line = alt.Chart(data([{"value": reference}])).mark_rule(strokeDash=[4, 3])
        layers.insert(0, line.encode(x))
    what = "ends of the launches' range (too many to draw)" if crowded else "one launch"
    return Chart(
        name=name,
        title=title,
        caption=f"Thick mark and band: mean and 95 % interval. Small mark: {what}."
        + (" A band across the dashed line: no difference seen." if reference else ""),
        alternative=f"{title}. " + "; ".join(one.text for one in entries) + ".",
        picture=draw(*layers, height=ROW_HEIGHT * len(entries) + AXIS_HEIGHT),
        numbers=_numbers(entries, cast),
    )


def _ends(values: Sequence[float]) -> list[float]:
    return [min(values), max(values)] if values else []


def _drawable(estimate: Estimate) -> Estimate:
    """Return an estimate whose unknown bounds are its value."""
    return Estimate(*(estimate.value if v != v else v for v in estimate))


def _domain(entries: Sequence[Entry], reference: float | None) -> tuple[float, float]:
    """Return the ends of the axis: a little beyond all that is drawn."""
    values = [v for one in entries for v in (*(one.estimate or ()), *one.launches) if v == v]
    values += [reference] if reference is not None else []
    if not values:
        return 0.5, 2
    low, high = min(values), max(values)
    margin = max((high / low) ** 0.04, 1.02)
    return low / margin, high * margin


def _numbers(entries: Sequence[Entry], cast: Cast) -> Numbers:
    rows = [
        Row(
            (
                one.name,
                one.number or one.note,
                ", ".join(three_digits(v) for v in one.launches),
            ),
            cast.tags.get(one.name, ""),
        )
        for one in entries
    ]
    return Numbers(("contender", "mean [low, high]", "launches"), rows)

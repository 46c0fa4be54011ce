"""Every timed block, in the order of time: nothing is left out."""

from statistics import median
from typing import Any

import altair as alt

from lstmbench.analysis.results import RunResult
from lstmbench.interface.workloads import WORKLOADS, Workload
from lstmbench.report.charts.chart import (
    MOST_MARKS,
    Cast,
    Chart,
    Numbers,
    Row,
    Specification,
    data,
    draw,
    name_of,
    of,
)
from lstmbench.report.charts.ticks import log_ticks
from lstmbench.report.columns import three_digits

MARGIN = 1.15
"""By which factor the axis goes beyond what is drawn."""

Times = dict[tuple[int, int], float]
"""A block's time by launch and round, in the workload's unit."""


def charts(run: RunResult, cast: Cast) -> list[Chart]:
    """Return a chart of the blocks of each workload."""
    found = (_chart(run, workload, cast) for workload in WORKLOADS.values())
    return [one for one in found if one]


def _chart(run: RunResult, workload: Workload, cast: Cast) -> Chart | None:
    scale = workload.display_scale
    times: dict[str, Times] = {
        name_of(one.contender): {
            place: scale * seconds for place, seconds in one.blocks[workload.name].seconds.items()
        }
        for one in run.contenders
        if workload.name in one.blocks
    }
    if not times:
        return None
    places = sorted({place for own in times.values() for place in own})
    turns = {place: number for number, place in enumerate(places)}
    crowded = sum(map(len, times.values())) > MOST_MARKS
    values = [
        {**cast.mark(name), **value}
        for name, own in times.items()
        for value in (_by_launch(own, turns) if crowded else _by_block(own, turns))
    ]
    launches = {launch: turns[launch, round_] for launch, round_ in reversed(places)}
    unit = f"{workload.display_unit} a {workload.title}"
    return Chart(
        name=f"blocks-{workload.name}",
        title=f"{workload.title.capitalize()}: every block, {workload.display_unit} (log axis)",
        caption=(
            "Median and range of each launch's blocks (too many to draw each)."
            if crowded
            else "Each mark is one block, in the order of time."
        )
        + " Dashed: a launch begins.",
        alternative=f"Time of every block, {unit}. "
        + "; ".join(
            f"{name}: {len(own)} blocks, from {three_digits(min(own.values()))} to "
            f"{three_digits(max(own.values()))}, median {three_digits(median(own.values()))}"
            for name, own in times.items()
        )
        + ".",
        picture=_picture(values, launches, unit, cast),
        numbers=Numbers(
            ("contender", "launch", "round", unit),
            [
                Row((name, str(launch), str(round_), three_digits(value)), cast.tags[name])
                for name, own in times.items()
                for (launch, round_), value in sorted(own.items())
            ],
        ),
    )


def _by_block(own: Times, turns: dict[tuple[int, int], int]) -> list[dict[str, Any]]:
    return [
        {"turn": turns[place], "value": value, "low": value, "high": value}
        for place, value in own.items()
    ]


def _by_launch(own: Times, turns: dict[tuple[int, int], int]) -> list[dict[str, Any]]:
    result = []
    for launch in sorted({launch for launch, _ in own}):
        some = {place: value for place, value in own.items() if place[0] == launch}
        values = list(some.values())
        result.append(
            {
                "turn": median(turns[place] for place in some),
                "value": median(values),
                "low": min(values),
                "high": max(values),
            }
        )
    return result


def _picture(
    values: list[dict[str, Any]], launches: dict[int, int], unit: str, cast: Cast
) -> Specification:
    x = alt.X(
        "turn:Q",
        title="rounds, in the order in which they were timed",
        scale=alt.Scale(nice=False, zero=False),
        axis=alt.Axis(labels=False, ticks=False, grid=False),
    )
    low = min(one["low"] for one in values) / MARGIN
    high = max(one["high"] for one in values) * MARGIN
    y = alt.Y(
        "value:Q",
        title=f"{unit}, log",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(format="~g", values=log_ticks(low, high)),
    )
    begins = [{"turn": turn - 0.5, "text": str(launch)} for launch, turn in launches.items()]
    lines, chart = alt.Chart(data(begins)), alt.Chart(data(values))
    layers = [
        lines.mark_rule(strokeDash=[2, 3], opacity=0.6).encode(x),
        lines.mark_text(align="left", dx=3).encode(x, y=alt.value(6), text="text:N"),
        chart.mark_point(size=16, opacity=0.7, strokeWidth=1).encode(
            x, y, cast.colour(), cast.shape(), description=cast.tag()
        ),
    ]
    if any(one["low"] != one["high"] for one in values):
        ends = of(y, "low"), alt.Y2("high:Q")
        layers.insert(
            2,
            chart.mark_rule(opacity=0.4).encode(x, *ends, cast.colour(), description=cast.tag()),
        )
    return draw(*layers, height=230)

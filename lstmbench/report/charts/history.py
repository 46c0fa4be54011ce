"""The speed over the baseline's from run to run, with its band."""

from typing import Any

import altair as alt

from lstmbench.analysis.history import History, Step
from lstmbench.interface.workloads import WORKLOADS, Workload
from lstmbench.report.charts import theme
from lstmbench.report.charts.chart import MOST_MARKS, Cast, Chart, Numbers, Row, data, draw, of
from lstmbench.report.charts.ticks import log_ticks
from lstmbench.report.columns import interval
from lstmbench.report.text import clean

MARGIN = 1.05
"""By which factor the axis goes beyond what is drawn."""
RING = 130
"""The area of the ring around what changed beyond doubt."""


def charts(history: History, cast: Cast, name: str) -> list[Chart]:
    """Return a chart of each workload; `name` tells this history's charts from others'."""
    found = (
        _chart(history, workload, cast, name)
        for workload in WORKLOADS.values()
        if workload.headline
    )
    return [one for one in found if one]


def _chart(history: History, workload: Workload, cast: Cast, name: str) -> Chart | None:
    most = max(1, MOST_MARKS // max(1, len(history.contenders)))
    steps, older = history.steps[-most:], max(0, len(history.steps) - most)
    values = [value for turn, step in enumerate(steps) for value in _of(step, turn, workload, cast)]
    if not values:
        return None
    labels = {turn: f"{step.named.created:%Y-%m-%d}" for turn, step in enumerate(steps)}
    title = f"{workload.title.capitalize()}: speed ÷ {clean(history.baseline)}'s (log axis)"
    rows = [
        Row(
            (
                labels[value["turn"]],
                value["contender"],
                value["text"],
                "changed" if value["changed"] else "",
            ),
            value["tag"],
        )
        for value in reversed(values)
    ]
    changed = [value for value in values if value["changed"]]
    return Chart(
        name=f"{name}-{workload.name}",
        title=title,
        caption="One mark a run, in the order of time; band: 95 % interval. A ring: its interval "
        "and that of the run before exclude each other."
        + (f" The {older:,} oldest runs are left out: runs.csv has them." if older else ""),
        alternative=f"{title}, over {len(steps)} runs. "
        + (
            "; ".join(
                f"{labels[v['turn']]}: {v['contender']} changed to {v['text']}" for v in changed
            )
            if changed
            else "No change beyond doubt"
        )
        + ".",
        picture=_picture(values, labels, cast),
        numbers=Numbers(("run", "contender", "speed [low, high]", ""), rows),
    )


def _of(step: Step, turn: int, workload: Workload, cast: Cast) -> list[dict[str, Any]]:
    jumped = {jump.contender for jump in step.jumps if jump.workload == workload.name}
    return [
        {
            **cast.mark(clean(one.contender.label)),
            "turn": turn,
            "value": ratio.value,
            "low": ratio.low if ratio.low == ratio.low else ratio.value,
            "high": ratio.high if ratio.high == ratio.high else ratio.value,
            "text": interval(ratio),
            "changed": one.contender.label in jumped,
        }
        for one in step.named.run.contenders
        if one.verdict.passed and (ratio := one.speed_ratio.get(workload.name))
    ]


def _picture(values: list[dict[str, Any]], labels: dict[int, str], cast: Cast) -> dict[str, Any]:
    names = ", ".join(f"'{label}'" for label in labels.values())
    axis = alt.Axis(labelExpr=f"[{names}][datum.value]", values=list(labels), grid=False)
    x = alt.X("turn:Q", title="run", axis=axis, scale=alt.Scale(nice=False, zero=False))
    low = min(1.0, *(value["low"] for value in values)) / MARGIN
    high = max(1.0, *(value["high"] for value in values)) * MARGIN
    y = alt.Y(
        "value:Q",
        title="speed, log; above 1 is faster",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(format="~g", values=log_ticks(low, high)),
    )
    chart = alt.Chart(data(values))
    changed = alt.Chart(data([value for value in values if value["changed"]]))
    layers = (
        alt.Chart(data([{"value": 1}])).mark_rule(strokeDash=[4, 3]).encode(y),
        chart.mark_area(opacity=0.2).encode(
            x, of(y, "low"), alt.Y2("high:Q"), cast.colour(), description=cast.tag()
        ),
        chart.mark_line().encode(x, y, cast.colour(), cast.dash(), description=cast.tag()),
        chart.mark_point(size=35, filled=True, opacity=1).encode(
            x, y, cast.colour(), cast.shape(), description=cast.tag()
        ),
        changed.mark_point(size=RING, shape="circle", strokeWidth=2).encode(
            x, y, color=alt.value(theme.INK), description=cast.tag()
        ),
    )
    return draw(*layers, height=240)

"""Learning curves, against seconds of training steps and against epochs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from statistics import median

import altair as alt

from lstmbench.analysis.results import ContenderResult, RunResult
from lstmbench.protocol.observations import Epoch
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
from lstmbench.report.columns import three_digits

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Measure:
    """What is learned, and the best that is possible."""

    name: str
    title: str
    value: Callable[[Epoch], float | None]
    limit_title: str
    log: bool


ACCURACY = Measure(
    "accuracy",
    "Validation accuracy, %",
    lambda epoch: 100 * epoch.validation_accuracy,
    "Bayes accuracy",
    log=False,
)
LOSS = Measure(
    "loss",
    "Teacher-forced loss, nats (log axis)",
    lambda epoch: epoch.teacher_forced_loss_nats,
    "entropy floor",
    log=True,
)


def charts(run: RunResult, cast: Cast) -> list[Chart]:
    """Return the learning curves of those that were trained."""
    trained = [one for one in run.contenders if one.epochs]
    if not trained:
        return []
    found = (
        _chart(run, trained, measure, against, cast)
        for measure in (ACCURACY, LOSS)
        for against in ("seconds of training steps", "epoch")
    )
    return [one for one in found if one]


def binned(points: Points, bins: int) -> list[tuple[float, float, float, float]]:
    """Return the median place, and the median, lowest and highest value, of runs of points."""
    size = -(-len(points) // max(1, bins))
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    return [
        (
            median(x for x, _ in part),
            median(y for _, y in part),
            min(y for _, y in part),
            max(y for _, y in part),
        )
        for part in parts
    ]


def _points(one: ContenderResult, measure: Measure, against: str) -> Points:
    seconds = accumulate(epoch.seconds for epoch in one.epochs)
    numbers = (epoch.epoch + 1.0 for epoch in one.epochs)
    places = seconds if against.startswith("seconds") else numbers
    pairs = ((x, measure.value(epoch)) for x, epoch in zip(places, one.epochs, strict=True))
    return [(x, y) for x, y in pairs if y is not None and (y > 0 or not measure.log)]


def _limit(run: RunResult, measure: Measure) -> float | None:
    if run.ceiling is None:
        return None
    if measure is ACCURACY:
        return 100 * run.ceiling.bayes_accuracy
    return run.ceiling.entropy_floor_nats


def _chart(
    run: RunResult, trained: list[ContenderResult], measure: Measure, against: str, cast: Cast
) -> Chart | None:
    curves = {name_of(one.contender): _points(one, measure, against) for one in trained}
    curves = {name: points for name, points in curves.items() if points}
    if not curves:
        return None
    total = sum(map(len, curves.values()))
    bins = MOST_MARKS // (2 * len(curves)) if total > MOST_MARKS else total
    x = alt.X("x:Q", title=against, scale=alt.Scale(zero=True, nice=False))
    kind = alt.Scale(type="log" if measure.log else "linear", zero=False, nice=True)
    y = alt.Y("y:Q", title=measure.title, scale=kind)
    chart = alt.Chart(data(list(_values(curves, bins, cast))))
    layers = [
        chart.mark_line().encode(x, y, cast.colour(), cast.dash(), description=cast.tag()),
    ]
    if total > MOST_MARKS:
        band = of(y, "low"), alt.Y2("high:Q")
        layers.insert(
            0,
            chart.mark_area(opacity=0.2).encode(x, *band, cast.colour(), description=cast.tag()),
        )
    limit = _limit(run, measure)
    if limit is not None and (limit > 0 or not measure.log):
        layers += _limit_line(limit, measure, y)
    name = f"{measure.name}-by-{against.split()[0]}"
    rows = list(_rows(curves, cast))
    return Chart(
        name=name,
        title=f"{measure.title}, by {against}",
        caption=(
            f"Median and range of every {-(-max(map(len, curves.values())) // bins)} epochs. "
            if total > MOST_MARKS
            else "One point an epoch. "
        )
        + ("Lines on top of each other: they learn the same." if len(curves) > 1 else ""),
        alternative=f"{measure.title}, by {against}. "
        + "; ".join(
            f"{label}: from {three_digits(points[0][1])} to {three_digits(points[-1][1])} at "
            f"{three_digits(points[-1][0])}"
            for label, points in curves.items()
        )
        + (f"; {measure.limit_title} {limit:.4g}." if limit is not None else "."),
        picture=draw(*layers, height=240),
        numbers=Numbers(("contender", against, measure.title.removesuffix(" (log axis)")), rows),
    )


def _values(curves: dict[str, Points], bins: int, cast: Cast) -> Iterator[dict[str, object]]:
    for name, points in curves.items():
        for x, y, low, high in binned(points, bins):
            yield {**cast.mark(name), "x": x, "y": y, "low": low, "high": high}


def _limit_line(limit: float, measure: Measure, y: alt.Y) -> list[alt.Chart]:
    chart = alt.Chart(data([{"y": limit, "text": f"{measure.limit_title} {limit:.4g}"}]))
    above = alt.value("width")
    return [
        chart.mark_rule(strokeDash=[4, 3]).encode(y),
        chart.mark_text(align="right", dy=-6).encode(y, x=above, text="text:N"),
    ]


def _rows(curves: dict[str, Points], cast: Cast) -> Iterator[Row]:
    for name, points in curves.items():
        for x, y in points:
            yield Row((name, three_digits(x), f"{y:.4g}"), cast.tags[name])

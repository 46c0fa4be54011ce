"""The parity ladder as a heat map: rung by contender."""

import altair as alt

from lstmbench.analysis.results import RunResult
from lstmbench.parity.rungs import ORDER
from lstmbench.protocol.observations import RungResult
from lstmbench.report.charts import theme
from lstmbench.report.charts.chart import Cast, Chart, Numbers, Row, data, draw, name_of
from lstmbench.report.signs import SIGNS
from lstmbench.report.text import clean

ROW_HEIGHT, HEADER = 19, 30
WITH_TEXT = 6
"""So many contenders leave room for a number in each cell."""
BOUNDS = (0.01, 0.1, 0.5, 1.0)
"""The upper bounds of the first colours, as shares of the tolerance."""


def charts(run: RunResult, cast: Cast) -> list[Chart]:
    """Return the heat map, if anybody climbed the ladder."""
    cells = {
        (name_of(one.contender), rung): worst([r for r in one.rungs if r.rung == rung])
        for one in run.contenders
        for rung in ORDER
        if any(r.rung == rung for r in one.rungs)
    }
    if not cells:
        return []
    names = [name_of(one.contender) for one in run.contenders]
    order = [rung for rung in ORDER if any(rung == other for _, other in cells)]
    values = [
        {**cast.mark(name), "rung": rung, "text": text(one), "kind": kind(one)}
        for (name, rung), one in cells.items()
    ]
    roomy = len(names) <= WITH_TEXT
    x = alt.X(
        "contender:N",
        title=None,
        scale=alt.Scale(domain=names),
        axis=alt.Axis(orient="top", labelAngle=0 if roomy else -60, labelLimit=60),
    )
    y = alt.Y("rung:N", sort=order, title=None)
    scale = alt.Scale(domain=list(theme.HEAT), range=[light for light, _ in theme.HEAT.values()])
    legend = alt.Legend(title="error ÷ tolerance", orient="bottom", columns=3, symbolType="square")
    chart = alt.Chart(data(values))
    layers = [
        chart.mark_rect(stroke=theme.PAPER, strokeWidth=1).encode(
            x, y, alt.Color("kind:N", scale=scale, legend=legend), description=cast.tag()
        )
    ]
    # The ground of a failure is dark where the others are light, and so its text is light.
    for failed in (False, True):
        some = [one for one in values if (one["kind"] == "failed") == failed]
        if some and (roomy or failed):
            layers.append(
                alt.Chart(data(some))
                .mark_text(fontSize=10, color=theme.PAPER if failed else theme.INK)
                .encode(x, y, text="text:N", description=cast.tag())
            )
    return [
        Chart(
            name="parity",
            title="Agreement with the float64 oracle: error ÷ tolerance",
            caption="The worst array of each rung over all cases; at most 1 passes. ✓: exact, "
            "≈: within the tolerance of approximate activations, –: not claimed, ?: not seen.",
            alternative="Worst error of each contender as a share of its tolerance. "
            + "; ".join(_in_words(name, cells) for name in names)
            + ".",
            picture=draw(*layers, height=ROW_HEIGHT * len(order) + HEADER + 75, labels=order),
            numbers=_numbers(cells, cast),
        )
    ]


def worst(results: list[RungResult]) -> RungResult:
    """Return the result of a rung, of its results at all cases, that is the least good."""
    outcomes = ("not claimed", "passed", "passed as approximate", "not seen", "failed")

    def badness(one: RungResult) -> tuple[int, float]:
        return outcomes.index(one.result.outcome), _error(one) or 0.0

    return max(results, key=badness)


def kind(one: RungResult) -> str:
    """Return which colour of `theme.HEAT` a result has."""
    if one.result.outcome == "failed":
        return "failed"
    error = _error(one)
    if error is None:
        return "no number"
    return next(
        (name for name, bound in zip(theme.HEAT, BOUNDS, strict=False) if error < bound), "to 1"
    )


def text(one: RungResult) -> str:
    """Return the error as a multiple of the tolerance, or the sign of the outcome."""
    error, sign = _error(one), SIGNS[one.result.outcome]
    if error is None:
        return sign
    return f"{error:.2g}" if one.result.outcome == "passed" else f"{sign} {error:.2g}"


def _error(one: RungResult) -> float | None:
    """Return the error as a multiple of the tolerance; None where no number was compared."""
    return None if one.result.tolerance is None else one.result.error


def _in_words(name: str, cells: dict[tuple[str, str], RungResult]) -> str:
    own = [one for (other, _), one in cells.items() if other == name]
    failed = [one for one in own if one.result.outcome == "failed"]
    if failed:
        return f"{name} fails {len(failed)} of {len(own)} rungs, the first {failed[0].place}"
    errors = [error for one in own if (error := _error(one)) is not None]
    most = f", at most {max(errors):.2g}" if errors else ""
    return f"{name} fails none of {len(own)} rungs{most}" if own else f"{name} climbed none"


def _numbers(cells: dict[tuple[str, str], RungResult], cast: Cast) -> Numbers:
    rows = [
        Row((name, one.place, text(one), clean(one.result.array)), cast.tags[name])
        for (name, _), one in cells.items()
    ]
    return Numbers(("contender", "worst case/rung", "error ÷ tolerance", "array"), rows)

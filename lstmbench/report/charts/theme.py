"""What charts look like: colours for light and dark, and a look for each contender.

A contender has one colour, shape and dash everywhere. The shapes and dashes tell contenders apart
without any colour, in print and for readers who see few.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

WIDTH = 380
"""Pixels of every chart: what a narrow phone shows without scaling."""

INK, MUTED, GRID, PAPER = "#1b1b1b", "#5a5a5a", "#d9d9d9", "#fdfdfd"
"""Text and marks; less important text; lines behind the marks; the ground."""

COLOURS = {
    "#0067a5": "#6cb8ef",
    "#c04a00": "#ff9a52",
    "#00785a": "#3fc79b",
    "#9b3f7f": "#e69ccb",
    "#6b5b00": "#d8c34a",
    "#555555": "#b9b9b9",
}
"""The contenders' colours on a light ground, and what stands for each on a dark one.

Their hues are those of Okabe and Ito, https://jfly.uni-koeln.de/color/, which most colour-blind
readers can tell apart; they are darker, for a contrast of 4.5 with the ground.
"""
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")
DASHES: tuple[tuple[int, ...], ...] = ((1, 0), (6, 2), (2, 2), (8, 2, 2, 2), (12, 3), (4, 4, 1, 4))

HEAT = {
    "below 0.01": ("#f2f6fb", "#17202b"),
    "to 0.1": ("#dbe8f5", "#1d3349"),
    "to 0.5": ("#b5d2ec", "#26507a"),
    "to 1": ("#f6d9a8", "#6b4a10"),
    "failed": ("#b3261e", "#ff8a80"),
    "no number": ("#efefef", "#2a2a2a"),
}
"""The colours of an error as a share of its tolerance, light and dark."""

DARK = {
    INK: "#ececec",
    MUTED: "#b4b4b4",
    GRID: "#3c3c3c",
    PAPER: "#161616",
    **COLOURS,
    **dict(HEAT.values()),
}
"""What stands for each colour of a chart on a dark ground."""


class Look(NamedTuple):
    """How a contender is drawn everywhere."""

    colour: str
    shape: str
    dash: tuple[int, ...]


def look(index: int) -> Look:
    """Return the look of the contender with this number; no two of the first 36 are alike."""
    colours = tuple(COLOURS)
    lap, place = divmod(index, len(colours))
    return Look(
        colours[place],
        SHAPES[(place + lap) % len(SHAPES)],
        DASHES[(place + lap) % len(DASHES)],
    )


def looks(names: Sequence[str]) -> dict[str, Look]:
    """Return the look of each name, by their order."""
    return {name: look(index) for index, name in enumerate(names)}


def config() -> dict[str, Any]:
    """Return the settings of Vega-Lite that all charts share."""
    text = {"labelColor": MUTED, "titleColor": INK, "titleFontWeight": "normal"}
    return {
        "font": "sans-serif",
        "background": "transparent",
        "view": {"stroke": None},
        "axis": {
            **text,
            "domainColor": MUTED,
            "gridColor": GRID,
            "tickColor": MUTED,
            "labelFontSize": 11,
            "titleFontSize": 11,
            "labelLimit": 160,
            "labelOverlap": "greedy",
            "labelSeparation": 4,
        },
        "legend": {**text, "symbolStrokeWidth": 2, "labelLimit": 200},
        "text": {"color": INK, "fontSize": 11},
        "rule": {"color": MUTED},
        "line": {"strokeWidth": 1.75},
    }

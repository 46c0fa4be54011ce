"""A chart as plain data: the picture, what it says in words, and its numbers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import altair as alt
from altair.utils.schemapi import debug_mode

from lstmbench.analysis.results import RunResult
from lstmbench.protocol.contender import Contender
from lstmbench.report.charts import theme
from lstmbench.report.text import clean

MOST_MARKS = 2000
"""Beyond so many marks a chart shows the median and range of bins."""
MOST_ROWS = 200
"""A table under a chart has no more rows."""


Specification = dict[str, Any]
"""A picture in Vega-Lite's grammar, as plain data."""


@dataclass(frozen=True)
class Row:
    """One row of a chart's numbers; `tag` is that of the contender it is about, if it is of one."""

    cells: tuple[str, ...]
    tag: str = ""


@dataclass(frozen=True)
class Numbers:
    """The numbers of a chart as a table."""

    columns: tuple[str, ...]
    rows: list[Row]

    @property
    def shown(self) -> list[Row]:
        """The rows that a page has room for."""
        return self.rows[:MOST_ROWS]

    @property
    def left_out(self) -> int:
        """How many rows a page has no room for."""
        return len(self.rows) - len(self.shown)


@dataclass(frozen=True)
class Chart:
    """One picture with its title, how to read it, what it shows in words, and its numbers."""

    name: str
    """The name of its file, without the ending."""
    title: str
    """With the unit, and which axes are logarithmic."""
    caption: str
    """How to read it."""
    alternative: str
    """What it shows, in words, for those who do not see it."""
    picture: Specification
    numbers: Numbers


@dataclass(frozen=True)
class Section:
    """Charts that belong together."""

    title: str
    charts: list[Chart]


@dataclass
class Cast:
    """The contenders of a page, by their names, each with its look and its tag.

    With `legend`, charts have a legend of their own; a page has one for all.
    """

    names: list[str]
    legend: bool = False
    looks: dict[str, theme.Look] = field(init=False)
    tags: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.looks = theme.looks(self.names)
        self.tags = {name: f"contender-{number}" for number, name in enumerate(self.names)}

    @classmethod
    def of(cls, run: RunResult, legend: bool = False) -> "Cast":
        """Return the contenders of a run, in the order in which it lists them."""
        return cls([name_of(one) for one in run.header.contenders], legend)

    def mark(self, name: str) -> dict[str, str]:
        """Return what each mark of a contender holds: its name and its tag."""
        return {"contender": name, "tag": self.tags[name]}

    def colour(self) -> alt.Color:
        """Return the encoding of contenders as colours."""
        return alt.Color("contender:N", **self._scale([one.colour for one in self._looks()]))

    def shape(self) -> alt.Shape:
        """Return the encoding of contenders as shapes."""
        return alt.Shape("contender:N", **self._scale([one.shape for one in self._looks()]))

    def dash(self) -> alt.StrokeDash:
        """Return the encoding of contenders as dashes of lines."""
        return alt.StrokeDash("contender:N", **self._scale([one.dash for one in self._looks()]))

    def tag(self) -> alt.Description:
        """Return the encoding that lets a page hide the marks of a contender."""
        return alt.Description("tag:N")

    def _looks(self) -> list[theme.Look]:
        return [self.looks[name] for name in self.names]

    def _scale(self, values: Sequence[Any]) -> dict[str, Any]:
        scale = alt.Scale(domain=self.names, range=list(values))
        legend = alt.Legend(title=None, orient="bottom", columns=3) if self.legend else None
        return {"scale": scale, "legend": legend}


def name_of(contender: Contender) -> str:
    """Return the name of a contender as a chart shows it."""
    return clean(contender.label)


def draw(*layers: alt.Chart, height: int, labels: Iterable[str] = ()) -> Specification:
    """Return layers as one picture of the width that all have; `height` is in pixels.

    `labels` are those left of the axis. The library that measures text may not have the reader's
    font, so they get some more room.
    """
    longest = max(map(len, labels), default=0)
    padding = {"left": 5 + longest, "right": 8, "top": 5, "bottom": 5}
    fit = alt.AutoSizeParams(type="fit", contains="padding")
    picture = alt.layer(*layers).properties(
        width=theme.WIDTH, height=height, autosize=fit, padding=padding
    )
    return {**picture.to_dict(validate=False), "config": theme.config()}


def data(values: list[dict[str, Any]]) -> alt.InlineData:
    """Return rows as the data of a layer; whether they are right is not asked of each row."""
    with debug_mode(False):
        return alt.InlineData(values=values)


Channel = TypeVar("Channel", alt.X, alt.Y)


def of(channel: Channel, field: str) -> Channel:
    """Return an axis of another field, otherwise the same."""
    result = channel.copy(deep=False)
    result["shorthand"] = f"{field}:Q"
    return result

"""From a template and its values to a page."""

import re
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from lstmbench.report.charts import theme
from lstmbench.report.charts.chart import Cast, Chart
from lstmbench.report.charts.drawing import inline
from lstmbench.report.text import clean

LONG_WORD = 12
"""Characters of a word that are never broken."""
SYMBOL = 14
"""Pixels of a contender's symbol beside its name."""

PATHS = {
    "circle": "M2,7a5,5 0 1,0 10,0a5,5 0 1,0 -10,0Z",
    "square": "M2,2H12V12H2Z",
    "triangle-up": "M7,2L13,12H1Z",
    "diamond": "M7,1L13,7L7,13L1,7Z",
    "cross": "M5,1H9V5H13V9H9V13H5V9H1V5H5Z",
    "triangle-down": "M7,12L13,2H1Z",
    "triangle-right": "M12,7L2,13V1Z",
}
"""The outlines of `theme.SHAPES` in a square of SYMBOL."""


def render(template: str, **values: Any) -> str:
    """Return a page; texts among the values are escaped, and control characters written out."""
    return _templates().get_template(template).render(**values)


@cache
def _templates() -> jinja2.Environment:
    result = jinja2.Environment(
        loader=jinja2.PackageLoader("lstmbench.report.html"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    result.filters["breakable"] = breakable
    folder = resources.files("lstmbench.report.html")
    style = (folder / "style.css").read_text(encoding="utf-8")
    result.globals.update(style=Markup(style + _dark_charts()), picture=_picture, symbol=_symbol)
    return result


def _finalize(value: Any) -> Any:
    return value if isinstance(value, Markup) or not isinstance(value, str) else clean(value)


def breakable(text: str) -> Markup:
    """Return a text whose long words may be broken anywhere, where styles are barred too."""
    words = re.split(r"(\s)", clean(text))
    return Markup("").join(
        Markup("<wbr>").join(word[n : n + LONG_WORD] for n in range(0, len(word), LONG_WORD))
        if len(word) > LONG_WORD
        else word
        for word in words
    )


def hiding(cast: Cast) -> Markup:
    """Return the style that hides what is about a contender once its box is cleared."""
    return Markup(
        "".join(
            f":root:has(#show-{tag}:not(:checked)) .{tag}{{display:none}}\n"
            for tag in cast.tags.values()
        )
    )


def _dark_charts() -> str:
    """Return the style that gives the colours of charts their counterparts on a dark ground."""
    return "".join(
        f'.chart [{kind}="{light}"],.symbol [{kind}="{light}"]'
        f"{{{kind}:light-dark({light},{dark})}}\n"
        for light, dark in theme.DARK.items()
        for kind in ("fill", "stroke")
    )


def _picture(chart: Chart) -> Markup:
    return Markup(inline(chart))


def _symbol(look: theme.Look) -> Markup:
    """Return the symbol of a contender, which stands beside its name."""
    return Markup(
        f'<svg class="symbol" width="{SYMBOL}" height="{SYMBOL}" aria-hidden="true">'
        f'<path d="{PATHS[look.shape]}" fill="{look.colour}"></path></svg>'
    )

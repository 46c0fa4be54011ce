"""The answer as summary.csv: raw numbers, with their units in the columns' names."""

import csv
import io
from typing import Any

from lstmbench.analysis.results import RunResult
from lstmbench.report.columns import row
from lstmbench.report.text import clean

FORMULA = ("=", "+", "-", "@")


def render(run: RunResult) -> str:
    """Return a header line and a line for each contender; empty cells where nothing is known."""
    rows = [row(one, run) for one in run.contenders]
    out = io.StringIO()
    names = dict.fromkeys(name for one in rows for name in one)
    writer = csv.DictWriter(out, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: cell(value) for name, value in one.items()} for one in rows)
    return out.getvalue()


def cell(value: Any) -> Any:
    """Return a cell; a text that a spreadsheet would take for a formula begins with a quote."""
    if isinstance(value, list):
        value = "; ".join(value)
    if not isinstance(value, str):
        return value
    text = clean(value)
    return f"'{text}" if text.startswith(FORMULA) else text

"""The answer as summary.csv: raw numbers, with their units in the columns' names."""

import csv
import io
from typing import Any

from lstmbench.analysis.results import RunResult
from lstmbench.report.columns import row


def render(run: RunResult) -> str:
    """Return a header line and a line for each contender; empty cells where nothing is known."""
    rows = [row(one, run) for one in run.contenders]
    out = io.StringIO()
    names = dict.fromkeys(name for one in rows for name in one)
    writer = csv.DictWriter(out, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in one.items()} for one in rows)
    return out.getvalue()


def _cell(value: Any) -> Any:
    return "; ".join(value) if isinstance(value, list) else value

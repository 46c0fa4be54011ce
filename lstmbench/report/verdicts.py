"""The parity ladder of one backend, in the terminal."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lstmbench.messages import Row, Rung

SIGNS = {"agrees": "✓", "differs": "✗", "not claimed": "–"}
STYLES = {"agrees": "green", "differs": "bold red", "not claimed": "dim"}


def show(row: Row, rungs: Iterable[Rung], failure: str, out: Console) -> None:
    """Print each rung of each fixture; the error is that of its worst tensor."""
    table = Table(title=row.label, title_justify="left", title_style="bold")
    for column in ("fixture", "rung", "verdict", "error ÷ band", "band", "worst tensor"):
        table.add_column(column, justify="right" if column in ("error ÷ band", "band") else "left")
    previous = ""
    for rung in rungs:
        table.add_row(
            "" if rung.fixture == previous else rung.fixture,
            rung.rung,
            Text(f"{SIGNS[rung.verdict]} {rung.verdict}", style=STYLES[rung.verdict]),
            "" if rung.error is None else f"{rung.error:.3g}",
            "" if rung.band is None else f"{rung.band:.1e}",
            f"{rung.tensor} {rung.note}".strip(),
        )
        previous = rung.fixture
    out.print(table)
    if failure:
        out.print(Text(f"! {row.label}: {failure}", style="bold red"))

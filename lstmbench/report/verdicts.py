"""The parity ladder of one backend: what the rungs come to, and how they look in the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lstmbench import parity
from lstmbench.analysis.verdict import first_difference
from lstmbench.protocol.messages import Row, Rung

SIGNS = {"agrees": "✓", "differs": "✗", "not claimed": "–"}
STYLES = {"agrees": "green", "differs": "bold red", "not claimed": "dim"}
SHOWN = 8


def what_differs(rung: Rung) -> str:
    """The worst tensor of a rung and by how much it is wrong."""
    size = "" if rung.error is None else f"{rung.error:.3g} × band"
    named = ", ".join(part for part in (rung.note, size) if part)
    return f"{rung.tensor}: {named}" if rung.tensor else named


def difference(rung: Rung) -> str:
    """Where a backend departs from the reference, in words."""
    return f"leaves the float64 reference at {rung.place}: {what_differs(rung)}"


def show(row: Row, rungs: Sequence[Rung], failure: str, out: Console) -> None:
    """Print a line for each rung with every fixture's verdict, and what they come to."""
    by_place = {(rung.rung, rung.fixture): rung for rung in rungs}
    fixtures = list(dict.fromkeys(rung.fixture for rung in rungs))
    table = Table(title=row.label, title_justify="left", title_style="bold")
    for column in ("rung", *fixtures):
        table.add_column(column)
    for name in parity.ORDER:
        cells = [_cell(by_place.get((name, fixture))) for fixture in fixtures]
        if any(cells):
            table.add_row(name, *cells)
    if rungs:
        out.print(table)
    out.print(*_conclusion(row, rungs, failure), sep="\n")


def _cell(rung: Rung | None) -> Text:
    if rung is None:
        return Text()
    error = "" if rung.error is None or rung.band is None else f" {rung.error:.2g}"
    return Text(SIGNS[rung.verdict] + error, style=STYLES[rung.verdict])


def _conclusion(row: Row, rungs: Sequence[Rung], failure: str) -> list[Text]:
    """What to know of the table, and the first thing to mend."""
    agreed = sum(rung.verdict == "agrees" for rung in rungs)
    wrong = [rung for rung in rungs if rung.verdict == "differs"]
    unclaimed = sorted({rung.rung for rung in rungs if rung.verdict == "not claimed"})
    lines = [Text("Numbers: error as a multiple of its band; at most 1 is honest rounding.")]
    if unclaimed:
        lines.append(Text(f"– not claimed: {', '.join(unclaimed)}"))
    if first := first_difference(rungs):
        lines.append(Text(f"✗ {row.label} {difference(first)}", style=STYLES["differs"]))
        if first.traceback:
            lines.append(Text(first.traceback.rstrip()))
        for rung in [rung for rung in wrong if rung is not first][:SHOWN]:
            lines.append(Text(f"  also {rung.place}: {what_differs(rung)}"))
        if len(wrong) > SHOWN + 1:
            lines.append(Text(f"  and {len(wrong) - SHOWN - 1} rungs more"))
    if failure:
        lines.append(Text(f"✗ {row.label}: {failure}", style=STYLES["differs"]))
    elif not wrong:
        text = f"✓ {row.label} agrees with the float64 reference on all {agreed} rungs claimed"
        lines.append(Text(text, style=STYLES["agrees"]))
    return lines

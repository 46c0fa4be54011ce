"""The comparison of two runs in the terminal."""

from rich.console import Console
from rich.table import Table

from lstmbench.analysis.comparison import Change, RunComparison
from lstmbench.report.columns import NOTHING, interval
from lstmbench.report.terminal import shown


def show(found: RunComparison, gate: float, out: Console) -> None:
    """Print a comparison."""
    table = Table(title="second run over first, speeds", title_justify="left")
    for column in ("contender", "workload", "÷ baseline's", "by the clock", ""):
        table.add_column(column, overflow="fold")
    for change in found.changes:
        over = change.speed_over_baseline
        table.add_row(
            change.contender.label,
            change.workload,
            interval(over) if over else NOTHING,
            interval(change.speed),
            _conclusion(change, gate),
        )
    out.print(table)
    for one in found.no_longer_passed:
        out.print(shown(f"! {one.label} passed in the first run and no longer does", "bold red"))
    for one in found.only_in_one:
        out.print(shown(f"{one.label} is in one of the runs only"))
    for what in found.not_measured:
        out.print(shown(f"! {what}: not measured in the second run, or in one launch", "bold red"))
    for which in found.unfinished:
        out.print(shown(f"! the {which} run is not finished"))
    for name, (a, b) in found.machine_that_differs.items():
        out.print(shown(f"! another machine: {name} was {a!r} and is {b!r}"))
    for name, (a, b) in found.versions_that_differ.items():
        out.print(shown(f"{name} was {a} and is {b}"))
    for name, (a, b) in found.settings_that_differ.items():
        out.print(shown(f"! {name} differs: {a} and {b}; the times are not comparable"))
    out.print(
        shown(
            "Above 1 is faster in the second run; [low, high] is a 95 % confidence interval over "
            "launches. ÷ baseline's: each run's ratio to the same baseline is compared, so what "
            "changed for all contenders cancels. By the clock, what changed on the machine "
            "between the runs counts too. Slower: the whole "
            f"interval is below {1 - gate:.2f} (÷ baseline's where there is one)."
        )
    )


def _conclusion(change: Change, gate: float) -> str:
    if not change.measured:
        return "not measured"
    if change.slower(gate):
        return f"slower by more than {gate:.0%}"
    ratio = change.decisive
    return "" if ratio.low > 1 or ratio.high < 1 else "no difference seen"

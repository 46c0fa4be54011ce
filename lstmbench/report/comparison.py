"""Two runs side by side: what became faster, slower, right or wrong from the first to the second.

Two runs are not paired as the backends of one run are: whatever changed on the machine between
them is in the ratio of their times. A ratio of ratios to a baseline that both runs share has the
machine's mood cancelled, and is the one to go by where there is one.
"""

from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lstmbench import statistics
from lstmbench.analysis.results import Line, Summary
from lstmbench.protocol.messages import Row, Workload
from lstmbench.report.document import NOTHING, interval
from lstmbench.statistics import Estimate

WORKLOADS: tuple[Workload, ...] = ("train", "forward", "generate")
SAME = ("task", "dtype", "tf32", "threads", "batch", "seq_len", "hidden", "layers", "clip")


@dataclass
class Change:
    """One workload of one row; speeds of the second run over the first, above 1 is faster."""

    row: Row
    workload: Workload
    speed: Estimate
    speed_over_baseline: Estimate | None

    @property
    def judged(self) -> Estimate:
        """The ratio that a gate goes by."""
        return self.speed_over_baseline or self.speed

    def broken(self, gate: float) -> bool:
        """Whether the row is slower by more than `gate`, a share, beyond doubt."""
        return self.judged.high < 1 - gate


@dataclass
class Comparison:
    """What changed, which rows were sound and are no more, and which settings differ."""

    changes: list[Change]
    broke: list[Row]
    only_in_one: list[Row]
    differences: dict[str, tuple[Any, Any]]


def compare(before: Summary, after: Summary) -> Comparison:
    """Hold the rows that both runs have against each other."""
    old, new = ({line.row: line for line in run.lines} for run in (before, after))
    same_baseline = before.baseline is not None and before.baseline == after.baseline
    changes = [
        _change(old[row], new[row], workload, same_baseline)
        for row in new
        if row in old
        for workload in WORKLOADS
        if workload in old[row].seconds and workload in new[row].seconds
    ]
    settings = before.header.settings, after.header.settings
    pairs = {name: tuple(getattr(s, name) for s in settings) for name in SAME}
    return Comparison(
        changes=changes,
        broke=[row for row in new if row in old and old[row].sound and not new[row].sound],
        only_in_one=sorted(set(old) ^ set(new), key=lambda row: row.label),
        differences={name: (a, b) for name, (a, b) in pairs.items() if a != b},
    )


def _change(old: Line, new: Line, workload: Workload, same_baseline: bool) -> Change:
    over = None
    if same_baseline and workload in old.launch_ratios and workload in new.launch_ratios:
        over = statistics.ratio_of_means(new.launch_ratios[workload], old.launch_ratios[workload])
    times = old.launch_seconds[workload], new.launch_seconds[workload]
    return Change(new.row, workload, statistics.ratio_of_means(*times), over)


def passes(found: Comparison, gate: float) -> bool:
    """Whether nothing broke and nothing is slower by more than `gate` beyond doubt."""
    return not found.broke and not any(change.broken(gate) for change in found.changes)


def plain(found: Comparison, gate: float) -> dict[str, Any]:
    """The comparison for programs."""
    return {
        "passes": passes(found, gate),
        "gate": gate,
        "changes": [
            {
                "row": change.row.label,
                "workload": change.workload,
                "speed": change.speed._asdict(),
                "speed_over_baseline": change.speed_over_baseline
                and change.speed_over_baseline._asdict(),
                "broken": change.broken(gate),
            }
            for change in found.changes
        ],
        "no_longer_sound": [row.label for row in found.broke],
        "only_in_one": [row.label for row in found.only_in_one],
        "settings_that_differ": found.differences,
    }


def show(found: Comparison, gate: float, out: Console) -> None:
    """Print the comparison."""
    table = Table(title="second run over first, speeds", title_justify="left")
    for column in ("backend", "workload", "÷ baseline's", "by the clock", ""):
        table.add_column(column, overflow="fold")
    for change in found.changes:
        over = change.speed_over_baseline
        table.add_row(
            change.row.label,
            change.workload,
            interval(over) if over else NOTHING,
            interval(change.speed),
            _verdict(change, gate),
        )
    out.print(table)
    for row in found.broke:
        out.print(Text(f"! {row.label} was sound and is no more", style="bold red"))
    for row in found.only_in_one:
        out.print(Text(f"{row.label} is in one of the runs only"))
    for name, (a, b) in found.differences.items():
        out.print(Text(f"! {name} differs: {a} and {b}; the times are not comparable"))
    out.print(
        Text(
            "Above 1 is faster in the second run; [low, high] is a 95 % confidence interval over "
            "launches. By the clock, what changed on the machine between the runs is in it; ÷ "
            "baseline's, each run's ratio to the same baseline is compared. Slower: the whole "
            f"interval is below {1 - gate:.2f} (÷ baseline's where there is one)."
        )
    )


def _verdict(change: Change, gate: float) -> str:
    if change.broken(gate):
        return f"slower by more than {gate:.0%}"
    judged = change.judged
    return "" if judged.low > 1 or judged.high < 1 else "no difference seen"

"""The answer of a sweep in words: who is fastest where, and where that changes."""

import csv
import io
from collections import Counter
from dataclasses import dataclass

from lstmbench.analysis.recommend import Recommendation
from lstmbench.analysis.results import ContenderResult
from lstmbench.analysis.sweep import ANSWERS, CellResult, Crossover, SweepResult, Undecided
from lstmbench.interface.workloads import MAIN, WORKLOADS, Workload
from lstmbench.protocol.sweep import Value
from lstmbench.report.columns import NOTHING, interval, row, three_digits
from lstmbench.report.csv import cell as csv_cell
from lstmbench.report.text import clean
from lstmbench.statistics import Estimate


@dataclass(frozen=True)
class Entry:
    """One cell of a table; `best` if this contender is faster than all others beyond doubt."""

    text: str
    best: bool = False


@dataclass
class Table:
    """A row for each cell of the sweep, a column for each contender."""

    title: str
    columns: list[str]
    rows: list[list[Entry]]


@dataclass
class Document:
    """What a reader is shown of a sweep, from top to bottom."""

    title: str
    findings: list[str]
    warnings: list[str]
    tables: list[Table]
    crossovers: list[str]
    notes: list[str]


def document(sweep: SweepResult) -> Document:
    """Return the answer of a sweep in words."""
    return Document(
        title=f"lstmbench: a sweep over {', '.join(map(option, sweep.plan.axes)) or 'no axis'}",
        findings=_findings(sweep),
        warnings=_warnings(sweep),
        tables=[_table(sweep, WORKLOADS[name]) for name in _timed(sweep)],
        crossovers=[*map(crossover, sweep.crossovers), *map(_undecided, sweep.undecided)],
        notes=[
            "A cell holds the time and the speed ÷ baseline's, with its 95 % interval over "
            "launches. Bold (or *): the interval of its speed over each other contender's is "
            "above 1.",
            "A crossover is told only where the intervals on both sides exclude 1 in opposite "
            "directions, as the range between those two measured values.",
            "Code that was compiled is shared by the cells, and nothing is trained: start-up times "
            "and accuracies are those of lstmbench run.",
        ],
    )


def crossover(one: Crossover) -> str:
    """Return where two contenders change places, with the evidence on both sides."""
    workload, axis = WORKLOADS[one.workload].title, option(one.line.axis)
    return (
        f"{_where(one.line.place)}{workload}, {axis} {number(one.low)} to {number(one.high)}: "
        f"{clean(one.faster_first)} is faster below, {clean(one.slower_first)} above "
        f"({clean(one.faster_first)} ÷ {clean(one.slower_first)}: {interval(one.at_low)} at "
        f"{number(one.low)}, {interval(one.at_high)} at {number(one.high)})"
    )


def _undecided(one: Undecided) -> str:
    low, high = map(number, one.line.ends)
    return (
        f"{_where(one.line.place)}{WORKLOADS[one.workload].title}, {clean(one.contender)}: no "
        f"difference from {clean(one.baseline)} seen from {option(one.line.axis)} {low} to {high}"
    )


def _where(place: str) -> str:
    return f"at {place}: " if place else ""


def option(name: str) -> str:
    """Return a setting as the command line writes it."""
    return name.replace("_", "-")


def number(value: Value) -> str:
    """Return a value of an axis."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _timed(sweep: SweepResult) -> list[str]:
    """Return the workloads that were timed in some cell, the main one first."""
    order = (MAIN.name, *(name for name in ANSWERS if name != MAIN.name))
    return [name for name in order if any(cell.timed(name) for cell in sweep.cells)]


def _table(sweep: SweepResult, workload: Workload) -> Table:
    labels = sweep.contenders
    return Table(
        title=f"{workload.title.capitalize()}: {workload.display_unit}, and speed ÷ baseline's",
        columns=["cell", *map(clean, labels)],
        rows=[
            [Entry(_cell_name(cell, sweep)), *(_entry(cell, label, workload) for label in labels)]
            for cell in sweep.cells
        ],
    )


def _cell_name(cell: CellResult, sweep: SweepResult) -> str:
    machines = sweep.machines
    if len(machines) == 1:
        return cell.cell.name
    mark = ", alone" if cell.alone else ""
    return f"{cell.cell.name} (machine {machines.index(cell.fingerprint) + 1}{mark})"


def _entry(cell: CellResult, label: str, workload: Workload) -> Entry:
    one = next((c for c in cell.run.contenders if c.contender.label == label), None)
    if one is None:
        return Entry(NOTHING)
    if not one.verdict.passed:
        return Entry(one.verdict.status)
    if workload.name not in one.seconds:
        return Entry("not claimed" if cell.run.complete else NOTHING)
    time = three_digits(workload.display_scale * one.seconds[workload.name].value)
    text = f"{time} {workload.display_unit}{_speed(one, cell, workload)}"
    fastest = cell.fastest(workload.name)
    return Entry(text, fastest is not None and fastest.clear and fastest.label == label)


def _speed(one: ContenderResult, cell: CellResult, workload: Workload) -> str:
    if one.contender == cell.run.baseline:
        return ", 1×"
    ratio = one.speed_ratio.get(workload.name)
    if ratio is None:
        return ""
    return f", {times(ratio)}"


def times(ratio: Estimate) -> str:
    """Return a ratio as "1.75× [1.71, 1.78]"."""
    value, low, high = map(three_digits, ratio)
    return f"{value}× [{low}, {high}]"


def _findings(sweep: SweepResult) -> list[str]:
    if not sweep.cells:
        return ["No cell has been run."]
    fastest = [found for cell in sweep.cells if (found := cell.fastest()) is not None]
    clear = Counter(one.label for one in fastest if one.clear)
    parts = [f"{clean(name)} in {count}" for name, count in clear.most_common()]
    open_ = len(fastest) - sum(clear.values())
    parts += [f"in {open_} no fastest one can be told" if parts else ""] if open_ else []
    told = "; ".join(part for part in parts if part) or "in none can a fastest one be told"
    changes = [one for one in sweep.crossovers if one.workload == MAIN.name]
    return [
        f"Fastest training step, of {len(fastest)} cells: {told}.",
        f"{len(changes)} crossovers in training steps."
        if changes
        else "No crossover in training steps was seen.",
    ]


def _warnings(sweep: SweepResult) -> list[str]:
    found = []
    for cell in sweep.cells:
        for one in cell.run.contenders:
            if not one.verdict.passed:
                reason = one.verdict.reasons[0] if one.verdict.reasons else ""
                parts = (one.contender.label, one.verdict.status, reason)
                found.append(f"{cell.cell.name}: {': '.join(part for part in parts if part)}")
        if not cell.run.complete:
            found.append(f"{cell.cell.name}: not finished")
    if sweep.missing:
        names = ", ".join(cell.name for cell in sweep.missing[:8])
        more = f" and {len(sweep.missing) - 8} more" if len(sweep.missing) > 8 else ""
        found.append(f"not run: {names}{more}")
    if len(sweep.machines) > 1:
        found.append(
            f"cells of {len(sweep.machines)} machines: their ratios may stand side by side, their "
            "times say nothing of each other"
        )
        found += [f"machine {n}: {name}" for n, name in enumerate(sweep.machines, start=1)]
    return found


def table(sweep: SweepResult) -> str:
    """Return sweep.csv: a row for each cell and contender, with everything about it."""
    rows = [
        {
            "cell": cell.cell.name,
            **{name: cell.value(name) for name in sweep.plan.axes},
            "machine": cell.fingerprint,
            "alone": cell.alone,
            "contender": one.contender.label,
            "fastest": _place(cell, one.contender.label),
            **row(one, cell.run),
        }
        for cell in sweep.cells
        for one in cell.run.contenders
    ]
    out = io.StringIO()
    names = list(dict.fromkeys(name for one in rows for name in one))
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: csv_cell(value) for name, value in one.items()} for one in rows)
    return out.getvalue()


def _place(cell: CellResult, label: str) -> str:
    fastest = cell.fastest()
    if fastest is None:
        return ""
    if label == fastest.label:
        return "yes" if fastest.clear else "perhaps"
    return "perhaps" if label in fastest.not_slower else "no"


def recommendation(found: Recommendation) -> list[str]:
    """Return a recommendation with its evidence, in lines."""
    shape = ", ".join(f"{option(name)} {value}" for name, value in found.wanted.items())
    workload = WORKLOADS[found.workload]
    if not found.contenders:
        lines = [f"For {shape}: cannot be known; {found.reason}."]
    elif len(found.contenders) == 1:
        lines = [f"For {shape}: {clean(found.contenders[0])} ({workload.title})."]
    else:
        names = " or ".join(map(clean, found.contenders))
        lines = [f"For {shape}: {names}, no difference seen ({workload.title})."]
    for near in found.evidence:
        settings = near.cell.run.settings
        told = "; ".join(
            f"{clean(one.contender.label)} "
            f"{interval(one.seconds[found.workload], workload.display_scale)} "
            f"{workload.display_unit}"
            for one in near.cell.timed(found.workload)
        )
        lead = near.cell.fastest(found.workload)
        over = f"; the first over the second: {times(lead.lead)}" if lead and lead.lead else ""
        lines.append(
            f"Measured at batch {settings.batch}, seq-len {settings.seq_len}, hidden "
            f"{settings.hidden}, layers {settings.layers}, {settings.dtype}, {settings.threads} "
            f"threads (at most {near.farthest:.3g} times off): {told or 'nobody'}{over}."
        )
    return lines

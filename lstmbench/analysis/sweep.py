"""What a sweep's cells come to: who is fastest where, and where that changes.

Cells are grouped by fingerprint: ratios of two machines may stand side by side, seconds are never
joined.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import Any

from lstmbench.analysis.results import ContenderResult, RunResult
from lstmbench.interface.workloads import MAIN, WORKLOADS
from lstmbench.protocol.sweep import Cell, Plan, Value, name_of
from lstmbench.records.folder import Header
from lstmbench.statistics import Estimate

ANSWERS = tuple(name for name, workload in WORKLOADS.items() if workload.headline)
"""The workloads that are answers in themselves."""


@dataclass
class CellResult:
    """One cell that has been run."""

    cell: Cell
    run: RunResult
    fingerprint: str
    """The machine, its versions and threads, as a text that is the same where they are."""
    alone: bool = False
    """Whether no other cell has this fingerprint."""

    def value(self, axis: str) -> Value:
        """Return the cell's value of a setting, one device in place of a list of one."""
        found: Any = getattr(self.run.settings, axis)
        value: Value = found[0] if isinstance(found, tuple) else found
        return value

    def timed(self, workload: str = MAIN.name) -> list[ContenderResult]:
        """Return the contenders that passed and were timed, the fastest first."""
        found = [
            one for one in self.run.contenders if one.verdict.passed and workload in one.seconds
        ]
        return sorted(found, key=lambda one: one.seconds[workload].value)

    def fastest(self, workload: str = MAIN.name) -> "Fastest | None":
        """Return who is fastest; None where nobody was timed."""
        timed = self.timed(workload)
        if not timed:
            return None
        first, *others = timed
        unclear = [
            (one.contender.label, ratio)
            for one in others
            if (ratio := speed_over(first, one, workload)) is None or not ratio.low > 1
        ]
        lead = speed_over(first, others[0], workload) if others else None
        return Fastest(first.contender.label, [name for name, _ in unclear], lead)


@dataclass(frozen=True)
class Fastest:
    """The fastest contender of a cell."""

    label: str
    not_slower: list[str]
    """Those of which it is not known that they are slower: their intervals include 1."""
    lead: Estimate | None
    """Its speed over that of the second."""

    @property
    def clear(self) -> bool:
        """Whether it is faster than all others beyond doubt."""
        return not self.not_slower


@dataclass(frozen=True)
class Line:
    """Cells of one machine that differ in one axis alone, by its value."""

    axis: str
    cells: list[CellResult]

    @property
    def place(self) -> str:
        """What all its cells change of the base beside the axis; empty for nothing."""
        others = {n: v for n, v in self.cells[0].cell.changes.items() if n != self.axis}
        return name_of(others) if others else ""

    @property
    def ends(self) -> tuple[Value, Value]:
        """The lowest and the highest value."""
        return self.cells[0].value(self.axis), self.cells[-1].value(self.axis)


@dataclass(frozen=True)
class Crossover:
    """Between two measured values of an axis, one contender becomes faster than another."""

    line: Line
    workload: str
    slower_first: str
    faster_first: str
    """Who is faster at the lower value."""
    low: Value
    high: Value
    """The nearest measured values at which that is beyond doubt on each side."""
    at_low: Estimate
    at_high: Estimate
    """The speed of `faster_first` over the other's, there."""


@dataclass(frozen=True)
class Undecided:
    """Along a whole axis, no difference between a contender and the baseline is seen."""

    line: Line
    workload: str
    contender: str
    baseline: str


@dataclass
class SweepResult:
    """A sweep in numbers, finished or not."""

    plan: Plan
    cells: list[CellResult]
    """Those that have been run, in the plan's order."""
    missing: list[Cell]
    crossovers: list[Crossover] = field(default_factory=list)
    undecided: list[Undecided] = field(default_factory=list)

    @property
    def machines(self) -> list[str]:
        """The fingerprints, the most frequent first."""
        return [name for name, _ in Counter(one.fingerprint for one in self.cells).most_common()]

    @property
    def contenders(self) -> list[str]:
        """The labels of all contenders, in order of appearance."""
        found = (one.label for cell in self.cells for one in cell.run.header.contenders)
        return list(dict.fromkeys(found))

    def lines(self, axis: str) -> "list[Line]":
        """Return the cells of one machine that differ in this axis alone, where there are two."""
        groups: dict[tuple[str, str], list[CellResult]] = {}
        for one in self.cells:
            others = {name: v for name, v in one.cell.changes.items() if name != axis}
            groups.setdefault((one.fingerprint, repr(sorted(others.items()))), []).append(one)
        return [
            Line(axis, sorted(cells, key=lambda one: order(one.value(axis))))
            for cells in groups.values()
            if len(cells) > 1
        ]


def order(value: Value) -> tuple[bool, float, str]:
    """Return a key by which numbers are in order, and texts after them."""
    if isinstance(value, str):
        return True, 0.0, value
    return False, float(value), ""


def analyse(plan: Plan, runs: Iterable[tuple[Cell, RunResult]], missing: list[Cell]) -> SweepResult:
    """Return what a sweep's cells come to."""
    cells = [CellResult(cell, run, fingerprint(run.header, plan)) for cell, run in runs]
    counts = Counter(one.fingerprint for one in cells)
    for one in cells:
        one.alone = counts[one.fingerprint] == 1 and len(cells) > 1
    result = SweepResult(plan, cells, missing)
    for line in (line for axis in plan.axes for line in result.lines(axis)):
        for workload in ANSWERS:
            result.crossovers += _crossovers(line, workload, result.contenders)
            result.undecided += _undecided(line, workload)
    return result


def fingerprint(header: Header, plan: Plan) -> str:
    """Return what must be the same for seconds of two cells to be of one machine.

    Threads and devices that the sweep varies by itself are no other machine.
    """
    environment = header.environment
    told = {
        **environment.machine,
        **environment.versions,
        "python": environment.python,
        **({} if "threads" in plan.axes else {"threads": header.settings.threads}),
    }
    return ", ".join(f"{name} {value}" for name, value in told.items())


def speed_over(one: ContenderResult, other: ContenderResult, workload: str) -> Estimate | None:
    """Return one contender's speed over another's, paired by round."""
    if workload not in one.blocks or workload not in other.blocks:
        return None
    found = one.blocks[workload].speed_over(other.blocks[workload])
    return found.estimate if found else None


def _ratio(cell: CellResult, a: str, b: str, workload: str) -> Estimate | None:
    by_label = {one.contender.label: one for one in cell.timed(workload)}
    if a not in by_label or b not in by_label:
        return None
    return speed_over(by_label[a], by_label[b], workload)


def _crossovers(line: Line, workload: str, contenders: Sequence[str]) -> list[Crossover]:
    """Return where two contenders change places.

    Between two cells at which the interval excludes 1 in opposite directions, with none in between
    at which it excludes 1 at all.
    """
    found = []
    for a, b in combinations(contenders, 2):
        clear = [
            (cell.value(line.axis), ratio)
            for cell in line.cells
            if (ratio := _ratio(cell, a, b, workload)) and (ratio.low > 1 or ratio.high < 1)
        ]
        for (low, before), (high, after) in pairwise(clear):
            if (before.low > 1) != (after.low > 1):
                first, second, invert = (a, b, False) if before.low > 1 else (b, a, True)
                ends = [_inverse(r) if invert else r for r in (before, after)]
                found.append(Crossover(line, workload, second, first, low, high, ends[0], ends[1]))
    return found


def _undecided(line: Line, workload: str) -> list[Undecided]:
    """Return the contenders whose speed over the baseline's includes 1 in every cell of a line."""
    cells = line.cells
    baselines = {cell.run.baseline.label for cell in cells if cell.run.baseline}
    if len(baselines) != 1:
        return []
    (baseline,) = baselines
    labels = dict.fromkeys(one.contender.label for cell in cells for one in cell.timed(workload))
    found = []
    for label in labels:
        ratios = [_ratio(cell, label, baseline, workload) for cell in cells]
        known = [ratio for ratio in ratios if ratio]
        if label == baseline or len(known) < len(cells):
            continue
        if all(not (ratio.low > 1 or ratio.high < 1) for ratio in known):
            found.append(Undecided(line, workload, label, baseline))
    return found


def _inverse(ratio: Estimate) -> Estimate:
    return Estimate(1 / ratio.value, 1 / ratio.high, 1 / ratio.low)

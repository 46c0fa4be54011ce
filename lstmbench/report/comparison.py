"""The comparison of two runs in words: what changed beyond doubt first."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from lstmbench.analysis.comparison import Change, RunComparison
from lstmbench.interface.workloads import WORKLOADS
from lstmbench.report.columns import NOTHING, interval
from lstmbench.report.document import Table
from lstmbench.report.findings import unclear

NAMED = 4
"""A sentence names no more changes."""


@dataclass
class Document:
    """What a reader is shown of a comparison, from top to bottom."""

    title: str
    findings: list[str]
    warnings: list[str]
    table: Table
    notes: list[str]


def document(found: RunComparison, gate: float) -> Document:
    """Return a comparison in words; `gate` is the share by which a contender may be slower."""
    changes = ordered(found)
    return Document(
        title=f"lstmbench: {found.names[0]} (first) and {found.names[1]} (second)",
        findings=list(_findings(found, gate)),
        warnings=list(_warnings(found)),
        table=Table(
            title="second run over first, speeds",
            columns=["contender", "workload", "÷ baseline's", "by the clock", "conclusion"],
            rows=[_row(change, gate) for change in changes],
            marked=[False] * len(changes),
        ),
        notes=[
            "Above 1 is faster in the second run; [low, high] is a 95 % confidence interval over "
            "launches. ÷ baseline's: each run's ratio to the same baseline is compared, so what "
            "changed for all contenders cancels. By the clock, what changed on the machine between "
            f"the runs counts too. Slower: the whole interval is below {1 - gate:.2f} "
            "(÷ baseline's where there is one)."
        ],
    )


def ordered(found: RunComparison) -> list[Change]:
    """Return the changes beyond doubt, the largest first; then those that cannot be told from none.

    What has no interval comes last.
    """

    def key(change: Change) -> tuple[bool, bool, float]:
        size = abs(math.log(change.decisive.value))
        return not change.measured, unclear(change.decisive), -size

    return sorted(found.changes, key=key)


def conclusion(change: Change, gate: float) -> str:
    """Return what a change comes to, in a few words."""
    if not change.measured:
        return "not measured: one launch only"
    if unclear(change.decisive):
        return "no difference seen"
    if change.slower(gate):
        return f"slower by more than {gate:.0%}"
    return "slower" if change.decisive.value < 1 else "faster"


def _row(change: Change, gate: float) -> list[str]:
    over = change.speed_over_baseline
    return [
        change.contender.label,
        WORKLOADS[change.workload].title,
        interval(over) if over else NOTHING,
        interval(change.speed),
        conclusion(change, gate),
    ]


def _findings(found: RunComparison, gate: float) -> Iterator[str]:
    yield "The second run passes." if found.passed(gate) else "The second run does not pass."
    clear = [one for one in ordered(found) if one.measured and not unclear(one.decisive)]
    if not clear:
        yield "No difference in speed was seen." if found.changes else "No speed could be compared."
        return
    told = [
        f"{one.contender.label} {'faster' if one.decisive.value > 1 else 'slower'} in "
        f"{WORKLOADS[one.workload].title}, {interval(one.decisive)}"
        for one in clear[:NAMED]
    ]
    more = f"; {len(clear) - NAMED} more in the table" if len(clear) > NAMED else ""
    yield f"Changed beyond doubt: {'; '.join(told)}{more}."


def _warnings(found: RunComparison) -> Iterator[str]:
    for one in found.no_longer_passed:
        yield f"{one.label} passed in the first run and no longer does"
    for one in found.only_in_one:
        yield f"{one.label} is in one of the runs only"
    for what in found.not_measured:
        yield f"{what}: not measured in the second run, or in one launch"
    for which in found.unfinished:
        yield f"the {which} run is not finished"
    for name, (a, b) in found.machine_that_differs.items():
        yield f"another machine: {name} was {a!r} and is {b!r}"
    for name, (a, b) in found.versions_that_differ.items():
        yield f"{name} was {a} and is {b}"
    for name, (a, b) in found.settings_that_differ.items():
        yield f"{name} differs: {a} and {b}; the times are not comparable"

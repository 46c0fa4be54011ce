"""Many runs in the order of time, by machine and shape: what changed from one to the next.

Runs of two machines, or of two shapes, are never joined. Of a machine and shape, the ratio to the
baseline is followed: what changes for all contenders alike cancels in it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from lstmbench.analysis.comparison import SAME, differing, variables_that_differ, versions_of
from lstmbench.analysis.results import RunResult
from lstmbench.interface.workloads import WORKLOADS
from lstmbench.statistics import Estimate


@dataclass(frozen=True)
class NamedRun:
    """A run, and the name under which it is kept."""

    name: str
    run: RunResult

    @property
    def created(self) -> datetime:
        """When the run was begun."""
        return datetime.fromisoformat(self.run.header.created)


@dataclass(frozen=True)
class Jump:
    """A speed over the baseline's whose interval excludes the one of the run before."""

    contender: str
    workload: str
    before: Estimate
    after: Estimate


@dataclass
class Step:
    """A run of a history, and what is different from the one before."""

    named: NamedRun
    changed: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    """Versions, and variables that change what libraries do: as they were and as they are."""
    jumps: list[Jump] = field(default_factory=list)


@dataclass
class History:
    """The runs of one machine and shape with the same baseline, the oldest first."""

    machine: dict[str, Any]
    shape: dict[str, Any]
    baseline: str
    steps: list[Step]

    @property
    def newest(self) -> NamedRun:
        """The last run."""
        return self.steps[-1].named

    @property
    def contenders(self) -> list[str]:
        """The labels of all that were ever compared with the baseline, in order of appearance."""
        labels = (
            one.contender.label
            for step in self.steps
            for one in step.named.run.contenders
            if one.speed_ratio
        )
        return list(dict.fromkeys(labels))


def histories(runs: Iterable[NamedRun]) -> list[History]:
    """Return the runs by machine and shape, the history with the newest run first."""
    groups: dict[str, list[NamedRun]] = {}
    for named in sorted(runs, key=lambda one: (one.created, one.name)):
        groups.setdefault(repr(_key(named.run)), []).append(named)
    found = [_history(group) for group in groups.values()]
    return sorted(found, key=lambda one: one.newest.created, reverse=True)


def _key(run: RunResult) -> tuple[Any, ...]:
    """Return what must be the same for two runs to be of one history."""
    timed = {name: run.header.workloads.get(name, 1) for name in WORKLOADS}
    baseline = run.baseline.label if run.baseline else ""
    return (run.environment.machine, shape(run), timed, baseline)


def shape(run: RunResult) -> dict[str, Any]:
    """Return the settings that say what was timed."""
    return {name: getattr(run.settings, name) for name in SAME}


def _history(group: list[NamedRun]) -> History:
    first = group[0].run
    steps = [Step(group[0])]
    for before, after in pairwise(group):
        changed = differing(_software(before.run), _software(after.run))
        changed |= variables_that_differ(before.run, after.run)
        steps.append(Step(after, changed, _jumps(before.run, after.run)))
    baseline = first.baseline.label if first.baseline else ""
    return History(first.environment.machine, shape(first), baseline, steps)


def _software(run: RunResult) -> dict[str, Any]:
    return {**versions_of(run), "platform": run.environment.platform}


def _jumps(before: RunResult, after: RunResult) -> list[Jump]:
    """Return the ratios whose intervals exclude each other."""
    old = {one.contender: one.speed_ratio for one in before.contenders if one.verdict.passed}
    return [
        Jump(one.contender.label, name, old[one.contender][name], ratio)
        for one in after.contenders
        if one.verdict.passed and one.contender in old
        for name, ratio in one.speed_ratio.items()
        if WORKLOADS[name].headline and name in old[one.contender]
        if apart(old[one.contender][name], ratio)
    ]


def apart(a: Estimate, b: Estimate) -> bool:
    """Return whether two intervals exclude each other; unknown ones do not."""
    return a.high < b.low or b.high < a.low

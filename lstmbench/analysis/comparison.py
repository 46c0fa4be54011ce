"""Two runs compared: what became faster, slower, right or wrong from the first to the second.

Two runs are not paired as the contenders of one run are: whatever changed on the machine between
them is in the ratio of their times. In a ratio of ratios to a baseline that both runs share, what
changed for all cancels, so it is the one to go by where there is one.
"""

import math
from dataclasses import dataclass
from typing import Any

from lstmbench import statistics
from lstmbench.analysis.results import ContenderResult, RunResult
from lstmbench.interface.errors import UsageError
from lstmbench.interface.workloads import WORKLOADS
from lstmbench.protocol.contender import Contender
from lstmbench.statistics import Estimate

SAME = ("task", "dtype", "threads", "batch", "seq_len", "hidden", "layers", "clip")
"""The settings that must be the same for two runs' times to be comparable."""


@dataclass
class Change:
    """One workload of one contender; speeds of the second run over the first, above 1 is faster."""

    contender: Contender
    workload: str
    speed: Estimate
    """By the clock."""
    speed_over_baseline: Estimate | None
    """Of the ratios to the same baseline, where both runs have them."""

    @property
    def decisive(self) -> Estimate:
        """The ratio that a gate goes by."""
        return self.speed_over_baseline or self.speed

    def slower(self, gate: float) -> bool:
        """Return whether it is slower by more than `gate`, a share, beyond doubt."""
        return self.decisive.high < 1 - gate

    @property
    def measured(self) -> bool:
        """Whether there is an interval: a single launch has none."""
        return not math.isnan(self.decisive.high)


@dataclass
class RunComparison:
    """What changed between two runs."""

    changes: list[Change]
    no_longer_passed: list[Contender]
    """Those that passed in the first run and do not in the second."""
    only_in_one: list[Contender]
    settings_that_differ: dict[str, tuple[Any, Any]]
    machine_that_differs: dict[str, tuple[Any, Any]]
    """What makes it another machine: seconds of two machines say little of the contenders."""
    versions_that_differ: dict[str, tuple[Any, Any]]
    """Of lstmbench, Python and libraries; and environment variables that change what those do."""
    unfinished: list[str]
    """Which of the runs are not finished: "first", "second"."""
    names: tuple[str, str]
    """Of the two runs: their folders, else when they were begun."""
    not_measured: list[str]
    """What the first run has measured and the second has not, or not in two launches; in words."""

    def passed(self, gate: float) -> bool:
        """Return whether all still pass, were measured, and none is slower by more than `gate`.

        Slower is what is so beyond doubt.
        """
        fine = not self.no_longer_passed and not self.not_measured
        return fine and not any(one.slower(gate) for one in self.changes)

    def refusal(self, allow_unfinished: bool, allow_other_machine: bool) -> str:
        """Return, in one line, why the times of these two runs are not to be compared; or nothing.

        `allow_unfinished` and `allow_other_machine` say that it is wanted all the same.
        """
        if self.settings_that_differ:
            return f"two experiments: {_differences(self.settings_that_differ)}"
        if self.machine_that_differs and not allow_other_machine:
            told = _differences(self.machine_that_differs)
            return f"two machines: {told}; --allow-other-machine compares them all the same"
        if self.unfinished and not allow_unfinished:
            which = " and the ".join(self.unfinished)
            return (
                f"the {which} run is not finished; `lstmbench run --resume DIR` does what is "
                "missing, --allow-unfinished compares what there is"
            )
        return ""


def _differences(found: dict[str, tuple[Any, Any]]) -> str:
    return "; ".join(f"{name} was {a!r} and is {b!r}" for name, (a, b) in found.items())


def compare(before: RunResult, after: RunResult) -> RunComparison:
    """Compare the contenders that two runs share.

    Raises UsageError if what is called by one name was another workload in each.
    """
    _check_workloads(before, after)
    old, new = ({one.contender: one for one in run.contenders} for run in (before, after))
    machines, versions = (
        [look(run) for run in (before, after)] for look in (_machine, versions_of)
    )
    shared = [contender for contender in new if contender in old]
    same_baseline = before.baseline is not None and before.baseline == after.baseline
    changes = [
        change
        for contender in shared
        for change in _changes(old[contender], new[contender], same_baseline)
    ]
    return RunComparison(
        changes=changes,
        no_longer_passed=[c for c in shared if old[c].verdict.passed and not new[c].verdict.passed],
        only_in_one=sorted(set(old) ^ set(new), key=lambda contender: contender.label),
        settings_that_differ=differing(
            *({name: getattr(run.settings, name) for name in SAME} for run in (before, after))
        ),
        machine_that_differs=differing(*machines),
        versions_that_differ=differing(*versions) | variables_that_differ(before, after),
        unfinished=[
            which for which, run in (("first", before), ("second", after)) if not run.complete
        ],
        names=(_name(before), _name(after)),
        not_measured=_not_measured(old, new, changes),
    )


def _name(run: RunResult) -> str:
    return str(run.folder) if run.folder else run.header.created


def _machine(run: RunResult) -> dict[str, Any]:
    """Return what makes a run's machine, or its system, another one."""
    return {**run.environment.machine, "platform": run.environment.platform}


def versions_of(run: RunResult) -> dict[str, Any]:
    """Return the versions of lstmbench, Python and the libraries."""
    told = {**run.environment.versions, "lstmbench": run.header.lstmbench}
    return {**told, "python": run.environment.python}


def variables_that_differ(before: RunResult, after: RunResult) -> dict[str, tuple[Any, Any]]:
    """Return the environment variables that changed what libraries do in one of the runs."""
    old, new = (run.environment.variables for run in (before, after))
    if old is None or new is None:
        return {}
    names = sorted(old.keys() | new.keys())
    return differing(*({name: one.get(name) for name in names} for one in (old, new)))


def differing(a: dict[str, Any], b: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what two mappings have in common and tell differently."""
    return {name: (a[name], b[name]) for name in a if name in b and a[name] != b[name]}


def _not_measured(
    old: dict[Contender, ContenderResult],
    new: dict[Contender, ContenderResult],
    changes: list[Change],
) -> list[str]:
    """Return what the first run has measured and the second has not, in words."""
    measured = {(one.contender, one.workload) for one in changes if one.measured}
    return [
        f"{name} of {contender.label}"
        for contender, one in old.items()
        if one.verdict.passed and (contender not in new or new[contender].verdict.passed)
        for name, workload in WORKLOADS.items()
        if workload.headline and name in one.seconds and (contender, name) not in measured
    ]


def _check_workloads(before: RunResult, after: RunResult) -> None:
    for name, workload in WORKLOADS.items():
        old, new = (run.run.header.workloads.get(name, 1) for run in (before, after))
        timed = [any(name in one.seconds for one in run.contenders) for run in (before, after)]
        if workload.headline and all(timed) and old != new:
            raise UsageError(
                f"cannot compare: workload {name!r} is of version {old} in the first run and of "
                f"version {new} in the second, and their times mean different things; time both "
                "with one version of lstmbench"
            )


def _changes(old: ContenderResult, new: ContenderResult, same_baseline: bool) -> list[Change]:
    return [
        _change(old, new, name, same_baseline)
        for name, workload in WORKLOADS.items()
        if workload.headline and name in old.seconds and name in new.seconds
    ]


def _change(
    old: ContenderResult, new: ContenderResult, workload: str, same_baseline: bool
) -> Change:
    over = None
    if same_baseline and workload in old.launch_ratios and workload in new.launch_ratios:
        over = statistics.ratio_of_means(new.launch_ratios[workload], old.launch_ratios[workload])
    times = old.launch_seconds[workload], new.launch_seconds[workload]
    return Change(new.contender, workload, statistics.ratio_of_means(*times), over)

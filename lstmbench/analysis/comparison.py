"""Two runs compared: what became faster, slower, right or wrong from the first to the second.

Two runs are not paired as the contenders of one run are: whatever changed on the machine between
them is in the ratio of their times. In a ratio of ratios to a baseline that both runs share, what
changed for all cancels, so it is the one to go by where there is one.
"""

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


@dataclass
class RunComparison:
    """What changed between two runs."""

    changes: list[Change]
    no_longer_passed: list[Contender]
    """Those that passed in the first run and do not in the second."""
    only_in_one: list[Contender]
    settings_that_differ: dict[str, tuple[Any, Any]]

    def passed(self, gate: float) -> bool:
        """Return whether all still pass and none is slower by more than `gate` beyond doubt."""
        return not self.no_longer_passed and not any(one.slower(gate) for one in self.changes)


def compare(before: RunResult, after: RunResult) -> RunComparison:
    """Compare the contenders that two runs share.

    Raises UsageError if what is called by one name was another workload in each.
    """
    _check_workloads(before, after)
    old, new = ({one.contender: one for one in run.contenders} for run in (before, after))
    shared = [contender for contender in new if contender in old]
    same_baseline = before.baseline is not None and before.baseline == after.baseline
    return RunComparison(
        changes=[
            change
            for contender in shared
            for change in _changes(old[contender], new[contender], same_baseline)
        ],
        no_longer_passed=[c for c in shared if old[c].verdict.passed and not new[c].verdict.passed],
        only_in_one=sorted(set(old) ^ set(new), key=lambda contender: contender.label),
        settings_that_differ={
            name: (a, b)
            for name in SAME
            if (a := getattr(before.settings, name)) != (b := getattr(after.settings, name))
        },
    )


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

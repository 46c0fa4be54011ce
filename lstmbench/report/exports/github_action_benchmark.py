"""JSON for github-action-benchmark's tool "customSmallerIsBetter".

https://github.com/benchmark-action/github-action-benchmark

Its alerts compare one number with the one before. Seconds of two machines of a pool differ for many
reasons, so the number is the time over the baseline's in the same rounds.
"""

import json

from lstmbench.analysis.results import ContenderResult, RunResult
from lstmbench.interface.workloads import WORKLOADS, Workload
from lstmbench.report.columns import interval, three_digits
from lstmbench.report.text import clean
from lstmbench.statistics import Estimate

Entry = dict[str, str | float]


def render(run: RunResult) -> str:
    """Return the time over the baseline's of each workload of those that passed."""
    found = [
        _entry(one, workload, run)
        for one in run.contenders
        for workload in WORKLOADS.values()
        if one.verdict.passed and workload.headline and workload.name in one.speed_ratio
    ]
    return json.dumps(found, indent=2, allow_nan=False) + "\n"


def _entry(one: ContenderResult, workload: Workload, run: RunResult) -> Entry:
    speed = one.speed_ratio[workload.name]
    time = Estimate(1 / speed.value, 1 / speed.high, 1 / speed.low)
    seconds = interval(one.seconds[workload.name], workload.display_scale)
    baseline = run.baseline.label if run.baseline else "baseline"
    return {
        "name": f"{clean(one.contender.label)}: {workload.title}",
        "unit": f"× {clean(baseline)}'s time",
        "value": time.value,
        "range": f"[{three_digits(time.low)}, {three_digits(time.high)}]",
        "extra": f"{seconds} {workload.display_unit}; 95 % intervals over {run.launches} launches",
    }

"""Bencher Metric Format: a JSON that carries intervals.

https://bencher.dev/docs/reference/bencher-metric-format/
"""

import json
from typing import Any

from lstmbench.analysis.results import ContenderResult, RunResult
from lstmbench.interface.workloads import WORKLOADS
from lstmbench.report.columns import finite
from lstmbench.report.text import clean
from lstmbench.statistics import Estimate

LATENCY = "latency"
"""Bencher's own measure of times, in nanoseconds."""
SPEED, ACCURACY = "speed-over-baseline", "test-accuracy"
"""Measures of ours: a ratio, and a share."""


def render(run: RunResult) -> str:
    """Return times, speeds over the baseline's and accuracies of those that passed."""
    found: dict[str, dict[str, Any]] = {}
    for one in run.contenders:
        if one.verdict.passed:
            found |= _benchmarks(one)
    return json.dumps(found, indent=2, allow_nan=False) + "\n"


def _benchmarks(one: ContenderResult) -> dict[str, dict[str, Any]]:
    name = clean(one.contender.label)
    result: dict[str, dict[str, Any]] = {}
    for workload in WORKLOADS.values():
        if workload.headline and workload.name in one.seconds:
            measures = {LATENCY: _metric(one.seconds[workload.name], 1e9)}
            if workload.name in one.speed_ratio:
                measures[SPEED] = _metric(one.speed_ratio[workload.name])
            result[f"{name}: {workload.title}"] = measures
    accuracy = [one.metrics.get("test_accuracy" + end) for end in ("", "_low", "_high")]
    if accuracy[0] is not None:
        ends = (float("nan") if end is None else end for end in accuracy[1:])
        result[f"{name}: trained model"] = {ACCURACY: _metric(Estimate(accuracy[0], *ends))}
    return result


def _metric(estimate: Estimate, scale: float = 1) -> dict[str, float]:
    names = ("value", "lower_value", "upper_value")
    return {
        name: scale * value
        for name, value in zip(names, estimate, strict=True)
        if finite(value) is not None
    }

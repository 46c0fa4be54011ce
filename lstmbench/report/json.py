"""Answers for programs, as JSON: of a run, a check, a comparison and a self-test."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from lstmbench.analysis.comparison import RunComparison
from lstmbench.analysis.noise import Comparisons, SelfTestResult
from lstmbench.analysis.results import RunResult
from lstmbench.analysis.verdict import Verdict, first_difference
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import Failure, RungResult
from lstmbench.protocol.settings import Settings
from lstmbench.records.folder import SCHEMA
from lstmbench.report.columns import finite, row
from lstmbench.statistics import Estimate

Plain = dict[str, Any]


def render(answer: Plain) -> str:
    """Return an answer as indented JSON, with the version of its form."""
    return json.dumps({"schema": SCHEMA, **answer}, indent=2, allow_nan=False)


def run(result: RunResult) -> Plain:
    """Return the answer of a run; times are in seconds, shares and ratios are plain numbers."""
    header = msgspec.to_builtins(result.header)
    return {
        "passed": result.passed,
        "complete": result.complete,
        "lstmbench": header["lstmbench"],
        "created": header["created"],
        "settings": header["settings"],
        "skipped": header["skipped"],
        "environment": header["environment"],
        "ceiling": msgspec.to_builtins(result.ceiling),
        "contenders": [row(one, result) for one in result.contenders],
    }


Checked = tuple[Contender, Verdict, list[RungResult], Failure | None]
"""A contender, its verdict, every rung that it reached, and why it went no further."""


def check(settings: Settings, found: Sequence[Checked]) -> Plain:
    """Return the answer of a conformance check; times are in seconds."""
    return {
        "passed": all(verdict.passed for _, verdict, *_ in found),
        "settings": msgspec.to_builtins(settings),
        "contenders": [_checked(settings, *one) for one in found],
    }


def _checked(
    settings: Settings,
    contender: Contender,
    verdict: Verdict,
    rungs: list[RungResult],
    failure: Failure | None,
) -> Plain:
    return {
        "contender": contender.label,
        "backend": contender.backend,
        "device": contender.device,
        "threads": settings.threads,
        **_verdict(verdict),
        "failure": failure
        and {"kind": failure.kind, "message": failure.message, "traceback": failure.traceback},
        "first_difference": msgspec.to_builtins(first_difference(rungs)),
        "rungs": [
            {
                "case": one.case,
                "rung": one.rung,
                **msgspec.to_builtins(one.result),
                "traceback": one.traceback,
                "seconds": one.seconds,
            }
            for one in rungs
        ],
    }


def _verdict(verdict: Verdict) -> Plain:
    return {
        "passed": verdict.passed,
        "status": verdict.status,
        "reasons": list(verdict.reasons),
        "excused": list(verdict.excused),
        "unseen": list(verdict.unseen),
    }


def comparison(found: RunComparison, gate: float) -> Plain:
    """Return the answer of a comparison of two runs."""
    return {
        "passed": found.passed(gate),
        "gate": gate,
        "changes": [
            {
                "contender": change.contender.label,
                "workload": change.workload,
                "speed": _estimate(change.speed),
                "speed_over_baseline": _estimate(change.speed_over_baseline),
                "slower": change.slower(gate),
            }
            for change in found.changes
        ],
        "no_longer_passed": [one.label for one in found.no_longer_passed],
        "only_in_one": [one.label for one in found.only_in_one],
        "settings_that_differ": found.settings_that_differ,
        "machine_that_differs": found.machine_that_differs,
        "versions_that_differ": found.versions_that_differ,
        "unfinished": found.unfinished,
        "not_measured": found.not_measured,
    }


def selftest(result: SelfTestResult) -> Plain:
    """Return the answer of an A/A run; ratios and widths are shares, times are in seconds."""
    return {
        "passed": result.passed,
        "backend": result.backend,
        "launches": result.launches,
        "paired": _comparisons(result.paired),
        "sequential": _comparisons(result.sequential),
        "injected_ratio": result.injected,
        "slowed_ratios": [_estimate(ratio) for ratio in result.slowed],
        "slowdown_found_in": result.found,
        "highest_share_of_other_processes": result.other_share,
    }


def _comparisons(comparisons: Comparisons) -> Plain:
    return {
        "ratios": [_estimate(ratio) for ratio in comparisons.ratios],
        "excluding_one": comparisons.excluding_one,
        "comparisons": len(comparisons.ratios),
        "median_half_width": finite(comparisons.half_width),
        "largest_difference": comparisons.largest,
        "seconds": comparisons.seconds,
    }


def _estimate(estimate: Estimate | None) -> Plain | None:
    return estimate and {name: finite(value) for name, value in estimate._asdict().items()}

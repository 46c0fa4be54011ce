"""What to look out for in the result of a run: failures, differences, disturbances."""

from collections.abc import Iterator

from lstmbench.analysis import roofline
from lstmbench.analysis.results import ContenderResult, RunResult
from lstmbench.records.folder import SCHEMA
from lstmbench.report.columns import PRECISION

DISTURBED_SHARE = 0.05
COARSE_SHARE = 0.01
"""Of a block: a clock that tells no less is too coarse for it."""


def warnings(run: RunResult) -> list[str]:
    """Return what went wrong, is missing, or makes the numbers worth less: the worst first."""
    found = [warning for one in run.contenders for warning in _of_contender(one, run)]
    found += [f"{one.contender.label}: {one.message}" for one in run.other_failures]
    found += [f"{name}: left out: {why}" for name, why in run.header.skipped.items()]
    found += _precision(run)
    found += _lacking(run)
    found += _disturbances(run)
    if run.run.truncated:
        found.append("the last record was cut off in writing and is left out")
    if not run.complete:
        found.append("this run is not finished; `lstmbench run --resume DIR` does what is missing")
    return found


def _of_contender(one: ContenderResult, run: RunResult) -> Iterator[str]:
    return (f"{one.contender.label}: {text}" for text in [*_verdict(one, run), *_time(one, run)])


def _verdict(one: ContenderResult, run: RunResult) -> Iterator[str]:
    yield from one.verdict.reasons
    yield from (f"expected to differ at {excused}" for excused in one.verdict.excused)
    yield from (f"could not be compared at {unseen}" for unseen in one.verdict.unseen)
    if one.verdict.status == "passed as approximate":
        yield (
            "its activations are approximate; it needs the wider tolerance that these are allowed "
            f"(effective precision: {PRECISION.text(one, run)})"
        )
    if one.verdict.status == "not claimed":
        yield "offers nothing that could be compared"
    if run.settings.dtype == "tf32" and one.computed_in(run.settings) == "float32":
        yield "has no TF32 here; it computed in float32"


def _time(one: ContenderResult, run: RunResult) -> Iterator[str]:
    for name, share in one.roofline.items():
        if share.beats_limit and not share.impossible:
            yield roofline.in_words(name, share)
    for name in one.slow_staging:
        yield (
            f"staging the inputs of one call of {name} takes longer than the call; what is done "
            "there is outside the clock"
        )
    tick, block = one.clock_seconds, run.settings.block_seconds
    if tick is not None and tick > COARSE_SHARE * block:
        yield (
            f"its clock tells no less than {1e3 * tick:.3g} ms: a block of {1e3 * block:g} ms is "
            f"known to ± {tick / block:.0%}, a shorter call less well"
        )


def _precision(run: RunResult) -> Iterator[str]:
    stopped, settings = run.stopped, run.settings
    if stopped is None or stopped.reason != "time budget" or stopped.half_width is None:
        return
    if stopped.half_width > settings.precision:
        yield (
            f"timing stopped at its budget of {settings.time_budget:g} s: intervals are as wide as "
            f"± {stopped.half_width:.1%} (asked for: ± {settings.precision:.1%}); a longer "
            "--time-budget narrows them"
        )


def _lacking(run: RunResult) -> Iterator[str]:
    """Yield what a run of an earlier version did not record, and so is not shown."""
    if run.run.schema == SCHEMA:
        return
    recorded = {
        "times of staging": any(one.staging_seconds for one in run.contenders),
        "comparisons of training with the oracle": any(
            one.training_checks for one in run.contenders
        ),
        "percentiles of a digit's time": any(one.digit_seconds_p50 for one in run.contenders),
        "the machine's peaks, and so no roofline": bool(run.peaks),
        "learning curves": any(one.epochs for one in run.contenders),
    }
    absent = ", ".join(name for name, known in recorded.items() if not known)
    yield f"written in schema {run.run.schema} by lstmbench {run.header.lstmbench}" + (
        f"; it lacks {absent}" if absent else ""
    )


def _disturbances(run: RunResult) -> list[str]:
    result = [
        f"disturbed: {who} used up to {share:.0%} of the cores' time during a launch"
        for share, who in (
            (run.other_share, "other processes"),
            (run.stolen_share, "other machines on this host"),
        )
        if share is not None and share > DISTURBED_SHARE
    ]
    if run.throttled_share:
        result.append(
            "disturbed: the processor time that the control group allows was used up in "
            f"{run.throttled_share:.0%} of its periods during a launch"
        )
    if run.gpu_processes:
        result.append(f"disturbed: {run.gpu_processes} other processes used a GPU before a launch")
    result += [
        f"disturbed: the clocks of {one.device} were held down by {', '.join(one.throttles)}"
        for one in run.gpus
        if one.throttles
    ]
    return result

"""What a run found, in a few sentences with intervals: the answer before any table."""

from collections.abc import Sequence

from lstmbench.analysis.results import ContenderResult, RunResult
from lstmbench.interface.workloads import MAIN, WORKLOADS, Workload
from lstmbench.report.columns import TEST_ACCURACY, interval
from lstmbench.statistics import Estimate

NAMED = 6
"""A sentence names no more contenders."""

ORDER = (MAIN, *(one for one in WORKLOADS.values() if one.headline and one is not MAIN))
"""The workloads that are answers in themselves, the main one first."""


def sentences(run: RunResult) -> list[str]:
    """Return two or three sentences: who agrees, who is faster, and what is learned."""
    found = [_agreement(run), _speed(run), _learning(run)]
    return [one for one in found if one]


def about(one: ContenderResult, run: RunResult) -> list[str]:
    """Return the verdict on one contender, in sentences with intervals."""
    parts = [_verdict(one)]
    if one.verdict.passed:
        parts += [_speeds(one, run)]
        if "test_accuracy" in one.metrics:
            parts.append(f"Test accuracy: {TEST_ACCURACY.text(one, run)} %")
    return [f"{part[0].upper()}{part[1:]}." for part in parts if part]


def _verdict(one: ContenderResult) -> str:
    status, reasons = one.verdict.status, one.verdict.reasons
    if status == "passed":
        return "agrees with the float64 oracle"
    if status == "passed as approximate":
        return "agrees with the float64 oracle as approximate activations may"
    return f"{status}: {reasons[0]}" if reasons else status


def _speeds(one: ContenderResult, run: RunResult) -> str:
    parts = [_ratio(one, run, workload) for workload in ORDER if workload.name in one.seconds]
    if one.contender == run.baseline and parts:
        return f"the baseline: {', '.join(parts)}"
    return "; ".join(parts)


def _ratio(one: ContenderResult, run: RunResult, workload: Workload) -> str:
    ratio = one.speed_ratio.get(workload.name)
    if ratio is None or run.baseline is None:
        time = interval(one.seconds[workload.name], workload.display_scale)
        return f"{workload.title} {time} {workload.display_unit}"
    baseline = run.baseline.label
    if unclear(ratio):
        return f"{workload.title}: no difference from {baseline} seen, {interval(ratio)}"
    return f"{workload.title} {interval(ratio)} times as fast as {baseline}"


def unclear(ratio: Estimate) -> bool:
    """Return whether a ratio's interval includes 1, or is not known."""
    return not (ratio.low > 1 or ratio.high < 1)


def _agreement(run: RunResult) -> str:
    by_status = {
        status: [one for one in run.contenders if one.verdict.status == status]
        for status in dict.fromkeys(one.verdict.status for one in run.contenders)
    }
    if list(by_status) == ["passed"]:
        return f"{_all(run.contenders)} with the float64 oracle."
    parts = []
    for status, ones in by_status.items():
        names = _listed([one.contender.label for one in ones])
        several = len(ones) > 1
        match status:
            case "passed":
                parts.append(f"{names} {'agree' if several else 'agrees'} with the float64 oracle")
            case "passed as approximate":
                parts.append(f"{names} {'agree' if several else 'agrees'} as approximate")
            case "failed":
                parts.append(f"{names} {'do' if several else 'does'} not pass and so is not ranked")
            case _:
                parts.append(f"{names}: {status}")
    return f"{'; '.join(parts)}."


def _all(contenders: Sequence[ContenderResult]) -> str:
    if len(contenders) == 1:
        return f"{contenders[0].contender.label} agrees"
    if len(contenders) == 2:
        return f"{_listed([one.contender.label for one in contenders])} agree"
    return f"All {len(contenders)} contenders agree"


def _speed(run: RunResult) -> str:
    timed = [one for one in run.contenders if one.verdict.passed and one.seconds]
    if not timed:
        return "No speed was measured." if run.stopped else ""
    main = [one for one in timed if MAIN.name in one.speed_ratio]
    if run.baseline is None or not main:
        return _times(timed)
    clear = [one for one in main if not unclear(one.speed_ratio[MAIN.name])]
    same = [one for one in main if one not in clear]
    baseline = run.baseline.label
    parts: list[str] = []
    for one in clear[:NAMED]:
        ratio = interval(one.speed_ratio[MAIN.name])
        words = f" times as fast as {baseline}" if not parts else ""
        parts.append(f"{one.contender.label} {'' if parts else 'trains '}{ratio}{words}")
    if len(clear) > NAMED:
        parts.append(f"{len(clear) - NAMED} more in the table")
    if same:
        names = _listed([one.contender.label for one in same])
        where = "" if parts else f" from {baseline}"
        parts.append(f"{names}: no difference{where} seen")
    return f"{'; '.join(parts)}."


def _times(timed: Sequence[ContenderResult]) -> str:
    parts = []
    for one in timed[:NAMED]:
        name = MAIN.name if MAIN.name in one.seconds else next(reversed(one.seconds))
        workload = WORKLOADS[name]
        time = interval(one.seconds[name], workload.display_scale)
        parts.append(f"{one.contender.label}: {time} {workload.display_unit} a {workload.title}")
    if len(timed) > NAMED:
        parts.append(f"{len(timed) - NAMED} more in the table")
    return f"{'; '.join(parts)}."


def _learning(run: RunResult) -> str:
    known = [one for one in run.contenders if "test_accuracy" in one.metrics]
    if not known:
        return ""
    values = {TEST_ACCURACY.text(one, run) for one in known}
    shares = [one.metrics.get("test_accuracy_share_of_bayes") for one in known]
    told = [100 * share for share in shares if share is not None]
    possible = f", {_range(told)} % of the best possible" if told else ""
    if len(values) == 1:
        who = "All reach" if len(known) > 1 else f"{known[0].contender.label} reaches"
        return f"{who} {values.pop()} % test accuracy{possible}."
    accuracies = [100 * one.metrics["test_accuracy"] for one in known]
    return f"Test accuracy: {_range(accuracies)} %{possible}."


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return low if low == high else f"{low} to {high}"


def _listed(names: Sequence[str]) -> str:
    shown = list(names[:NAMED])
    if len(names) > NAMED:
        shown.append(f"{len(names) - NAMED} more")
    if len(shown) == 1:
        return shown[0]
    return f"{', '.join(shown[:-1])} and {shown[-1]}"

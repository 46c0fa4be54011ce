import io
import json
import math
import re
from typing import Any

import numpy as np
import pytest
from made_up_run import (
    BASE,
    CONTENDERS,
    EQUAL,
    FAST,
    header,
    of,
    records,
    result_of,
    step,
)
from msgspec.structs import replace
from rich.console import Console
from scipy import stats

from lstmbench import UsageError
from lstmbench.analysis.analyse import analyse
from lstmbench.analysis.comparison import Change, RunComparison, compare
from lstmbench.analysis.results import RunResult
from lstmbench.host.gpu import Gpu
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import Block, Failure, Stopped
from lstmbench.records.folder import Run
from lstmbench.report import comparison, terminal
from lstmbench.report import json as report_json


def change(found: RunComparison, contender: Contender) -> Change:
    return next(c for c in found.changes if c.contender == contender and c.workload == "train")


def shown(found: RunComparison, gate: float = 0.05) -> str:
    out = Console(width=300, record=True, file=io.StringIO())
    terminal.show_comparison(comparison.document(found, gate), out)
    return out.export_text()


def test_a_run_is_as_fast_as_itself() -> None:
    found = compare(result_of(CONTENDERS), result_of(CONTENDERS))
    assert {c.contender for c in found.changes} == set(CONTENDERS)
    assert all(c.speed.value == pytest.approx(1) for c in found.changes)
    assert found.passed(0.0)
    assert "no difference seen" in shown(found)


def test_what_became_slower_breaks_the_gate() -> None:
    slower = result_of({**CONTENDERS, FAST: 0.010})
    found = compare(result_of(CONTENDERS), slower)
    one = change(found, FAST)
    assert one.speed_over_baseline is not None
    assert one.speed_over_baseline.low < 0.5 < one.speed_over_baseline.high
    assert one.slower(0.05) and not one.slower(0.6)
    assert not found.passed(0.05)
    assert "slower by more than 5%" in shown(found)
    assert compare(slower, result_of(CONTENDERS)).passed(0.05)


def test_a_slower_machine_is_not_a_slower_backend() -> None:
    found = compare(result_of(CONTENDERS), result_of({r: 3 * s for r, s in CONTENDERS.items()}))
    assert change(found, FAST).speed.high < 0.5
    assert not change(found, FAST).slower(0.05)
    assert change(found, BASE).speed_over_baseline is None
    assert change(found, BASE).slower(0.05), "a baseline has but the clock to go by"


def test_the_interval_is_welchs_on_logarithms() -> None:
    before, after = result_of(CONTENDERS), result_of({**CONTENDERS, EQUAL: 0.011})
    logs = [np.log(of(run, EQUAL).launch_ratios["train"]) for run in (after, before)]
    interval = stats.ttest_ind(*logs, equal_var=False).confidence_interval(0.95)
    found = change(compare(before, after), EQUAL).speed_over_baseline
    assert found is not None
    assert (found.low, found.high) == pytest.approx(
        (math.exp(interval.low), math.exp(interval.high))
    )


def test_one_that_no_longer_passes_is_named() -> None:
    failure = Failure(contender=FAST, phase="training", kind="raised", message="E: e")
    found = compare(result_of(CONTENDERS), result_of(CONTENDERS, failure))
    assert found.no_longer_passed == [FAST]
    assert not found.passed(0.5)
    assert "fast passed in the first run and no longer does" in shown(found)


def test_other_contenders_and_settings_are_told() -> None:
    contenders = {BASE: 0.01, EQUAL: 0.01}
    fewer = Run(header(*contenders), records(contenders))
    settings = replace(fewer.header.settings, batch=3)
    fewer.header = replace(fewer.header, settings=settings)
    found = compare(result_of(CONTENDERS), analyse(fewer))
    assert found.only_in_one == [FAST]
    assert found.settings_that_differ == {"batch": (64, 3)}
    assert "batch differs: 64 and 3" in shown(found)
    assert json.loads(report_json.render(report_json.comparison(found, 0.05)))["only_in_one"] == [
        "fast"
    ]


def changed(
    contenders: dict[Contender, float] = CONTENDERS, drop: Any = None, **environment: Any
) -> RunResult:
    """The result of a run without the records that `drop` picks, in a changed environment."""
    run = Run(header(*contenders), [r for r in records(contenders) if not (drop and drop(r))])
    told = replace(run.header.environment, **environment)
    run.header = replace(run.header, environment=told)
    return analyse(run)


def of_launches(*kept: int) -> Any:
    return lambda record: getattr(record, "launch", None) not in (None, *kept)


@pytest.mark.parametrize(
    ("after", "missing"),
    [
        (changed({BASE: 0.01, EQUAL: 0.01}), "train of fast"),
        (changed(drop=lambda r: isinstance(r, Block) and r.contender == FAST), "train of fast"),
        (changed(drop=of_launches(1)), "train of fast"),
        (changed(drop=lambda r: isinstance(r, Block)), "train of torch"),
        (changed({**CONTENDERS, FAST: 0.05}, drop=of_launches(2)), "train of fast"),
    ],
    ids=["no contender", "no blocks of one", "one launch", "no timing", "ten times slower"],
)
def test_a_gate_fails_on_what_was_not_measured(after: RunResult, missing: str) -> None:
    found = compare(result_of(CONTENDERS), after)
    assert missing in found.not_measured
    assert not found.passed(0.99)
    assert f"! {missing}: not measured in the second run" in shown(found)
    assert (
        missing
        in json.loads(report_json.render(report_json.comparison(found, 0.5)))["not_measured"]
    )


def test_one_that_is_new_or_failed_before_is_not_missed() -> None:
    assert compare(result_of({BASE: 0.01}), result_of(CONTENDERS)).passed(0.0)


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"cpu": "another"}, "two machines: cpu was 'a processor' and is 'another'"),
        ({"cores_usable": 9}, "two machines: cores_usable was 2 and is 9"),
        ({"gpus": [Gpu(name="H100")]}, r"two machines: gpus was \[\] and is \['H100'\]"),
    ],
)
def test_two_machines_are_compared_only_if_that_is_wanted(
    environment: dict[str, Any], told: str
) -> None:
    found = compare(result_of(CONTENDERS), changed(**environment))
    assert re.match(told, found.refusal(False, False))
    assert found.refusal(False, allow_other_machine=True) == ""
    assert "! another machine: " in shown(found)


def test_an_unfinished_run_is_compared_only_if_that_is_wanted() -> None:
    unfinished = changed(drop=lambda r: isinstance(r, Stopped))
    found = compare(unfinished, result_of(CONTENDERS))
    assert found.refusal(False, False).startswith("the first run is not finished; `lstmbench run")
    assert found.refusal(True, False) == ""
    assert "! the first run is not finished" in shown(found)


def test_other_settings_are_never_compared_and_other_versions_are_named() -> None:
    other = Run(header(*CONTENDERS), records(CONTENDERS))
    other.header = replace(other.header, settings=replace(other.header.settings, hidden=9))
    found = compare(result_of(CONTENDERS), analyse(other))
    assert found.refusal(True, True) == "two experiments: hidden was 128 and is 9"
    newer = compare(result_of(CONTENDERS), changed(versions={"numpy": "3"}))
    assert newer.refusal(False, False) == "" and newer.passed(0.0)
    assert "numpy was 2 and is 3" in shown(newer)


def test_workloads_of_two_versions_are_not_compared() -> None:
    """Digits that were timed in another way, in a run of an earlier version."""
    digits = [step(BASE, n, 0, 1e-5 * (1 + n / 9), "generate") for n in (1, 2, 3)]
    old = Run(header(*CONTENDERS), [*records(CONTENDERS), *digits])
    new = Run(replace(old.header, workloads={"generate": 2}), old.records)
    assert compare(analyse(new), analyse(new)).passed(0.0)
    with pytest.raises(UsageError, match=r"'generate' is of version 1 .* and of version 2"):
        compare(analyse(old), analyse(new))
    timed_in_one = Run(new.header, records(CONTENDERS))
    assert compare(analyse(old), analyse(timed_in_one)).not_measured == ["generate of torch"]

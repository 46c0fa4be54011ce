import csv as csv_module
import io
import json
import math
import statistics
from pathlib import Path

import msgspec
import pytest
from made_up_run import (
    BASE,
    CONTENDERS,
    EQUAL,
    FAST,
    LAUNCHES,
    ROUNDS,
    header,
    of,
    records,
    result_of,
)
from msgspec.structs import replace
from rich.console import Console
from scipy import stats

from lstmbench.analysis.analyse import analyse
from lstmbench.analysis.results import RunResult
from lstmbench.execution.stopping import StoppingRule
from lstmbench.parity import Comparison
from lstmbench.protocol.observations import (
    Block,
    BlockCheck,
    Disturbance,
    Failure,
    MachinePeaks,
    Record,
    RungResult,
    Stopped,
)
from lstmbench.records import folder as folders
from lstmbench.records.folder import Run
from lstmbench.report import csv, document, markdown, terminal


def text(found: RunResult) -> str:
    out = Console(width=300, record=True, file=io.StringIO())
    terminal.show(document.document(found), out)
    return out.export_text()


def test_a_ratio_is_found_through_the_machines_weather() -> None:
    found = result_of(CONTENDERS)
    ratio = of(found, FAST).speed_ratio["train"]
    assert ratio.low < 2 < ratio.high
    assert ratio.high / ratio.low < 1.1
    absolute = of(found, FAST).seconds["train"]
    assert absolute.high / absolute.low > ratio.high / ratio.low, "times waver, ratios do not"


def test_the_interval_is_students_over_launch_medians_as_recomputed_from_the_lines() -> None:
    found = result_of(CONTENDERS)
    lines = [json.loads(msgspec.json.encode(r)) for r in records(CONTENDERS)]
    steps = {
        (r["contender"]["backend"], r["launch"], r["round"]): r["seconds"][0] / r["calls"]
        for r in lines
        if r["type"] == "Block"
    }
    logs = []
    for launch in range(1, LAUNCHES + 1):
        ratios = [steps["torch", launch, n] / steps["fast", launch, n] for n in range(ROUNDS)]
        logs.append(math.log(statistics.median(ratios)))
    half = stats.t.ppf(0.975, LAUNCHES - 1) * statistics.stdev(logs) / math.sqrt(LAUNCHES)
    centre = statistics.mean(logs)
    expected = [math.exp(v) for v in (centre, centre - half, centre + half)]
    assert list(of(found, FAST).speed_ratio["train"]) == pytest.approx(expected)


def test_contenders_are_ranked_by_speed_and_equals_are_called_equal() -> None:
    found = result_of(CONTENDERS)
    assert found.contenders[0].contender == FAST
    assert found.passed
    shown = next(n for n in text(found).splitlines() if "│ equal" in n)
    assert "no difference seen" in shown
    shown = next(n for n in text(found).splitlines() if "│ fast" in n)
    assert "no difference seen" not in shown


def test_one_that_differs_is_shown_marked_and_never_ranked() -> None:
    worst = Comparison(outcome="failed", error=123.4, array="w")
    wrong = RungResult(contender=FAST, case="odd", rung="gradients", result=worst)
    found = result_of(CONTENDERS, wrong)
    assert found.contenders[-1].contender == FAST
    assert not found.passed
    assert "✗ odd/gradients: w: 123 × tolerance" in text(found)
    assert "fast: differs from the float64 oracle at odd/gradients: w: 123 × tolerance" in text(
        found
    )


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (
            Failure(contender=FAST, phase="timing", kind="hung", message="no answer within 5 s"),
            "fast: hung in timing: no answer within 5 s",
        ),
        (
            BlockCheck(
                contender=FAST,
                launch=1,
                round=2,
                workload="train",
                result=Comparison(outcome="failed", error=9.0, array="loss"),
            ),
            "what it computed inside the clock (train, launch 1, round 2) differs from the float64",
        ),
        (
            MachinePeaks(launch=1, matrix_flops_per_second=1e8, memory_bytes_per_second=1e12),
            "work left out, or an error in the timing",
        ),
    ],
)
def test_what_went_wrong_is_said_and_costs_the_rank(record: Record, words: str) -> None:
    found = result_of(CONTENDERS, record)
    assert not of(found, FAST).verdict.passed
    assert words in text(found)
    assert not found.passed


def test_without_a_baseline_that_passed_there_is_no_ratio() -> None:
    failure = Failure(contender=BASE, phase="parity", kind="raised", message="E: e")
    found = result_of(CONTENDERS, failure)
    assert found.baseline is None
    assert all(not n.speed_ratio for n in found.contenders)


def test_shares_of_the_roofline_are_the_least_time_over_the_time() -> None:
    machine = MachinePeaks(launch=1, matrix_flops_per_second=1e11, memory_bytes_per_second=1e15)
    found = result_of(CONTENDERS, machine)
    one = of(found, BASE)
    operations = 3 * (393216 + 2560) * 640 - 3 * 8 * 128 * 128 * 2 * 64
    expected = operations / 1e11 / one.seconds["train"].value
    share, seconds = one.roofline["train"].estimate, one.seconds["train"]
    assert share.value == pytest.approx(expected)
    assert share.low * seconds.high == pytest.approx(share.high * seconds.low)
    assert one.roofline["train"].bottleneck == ("arithmetic" if expected > 0.5 else "dispatch")


def test_a_beaten_limit_is_doubted_and_nobody_fails_for_it() -> None:
    work = 3 * (393216 + 2560) * 640 - 3 * 8 * 128 * 128 * 2 * 64
    rate = work / 0.005 / 1.8
    machine = MachinePeaks(launch=1, matrix_flops_per_second=rate, memory_bytes_per_second=1e15)
    found = result_of({BASE: 0.050, FAST: 0.005}, machine)
    assert found.passed
    assert "times as fast as the measured limit: the library that measures it" in text(found)


def with_staging(stage: float, rest: float, copy: float) -> RunResult:
    """A run in which FAST's inputs, and what it had not fetched, took so many seconds a block."""
    made = [
        replace(one, stage_seconds=stage, rest_seconds=rest, copy_seconds=copy)
        if isinstance(one, Block) and one.contender == FAST
        else one
        for one in records(CONTENDERS)
    ]
    return analyse(Run(header(*CONTENDERS), made))


def test_staging_stands_beside_the_step_and_is_doubted_where_it_takes_longer() -> None:
    quick = with_staging(stage=0.001, rest=0.0, copy=0.0)
    assert of(quick, FAST).staging_seconds["train"].value == pytest.approx(1e-4)
    assert of(quick, BASE).staging_seconds == {}
    assert "staging its inputs, ms" in document.document(quick).tables[0].columns
    assert "staging the inputs" not in " ".join(document.document(quick).warnings)
    slow = with_staging(stage=1.0, rest=0.0, copy=0.0)
    assert slow.passed, "it is a warning"
    told = " ".join(document.document(slow).warnings)
    assert "fast: staging the inputs of one call of train takes longer than the call" in told


@pytest.mark.parametrize(
    ("rest", "copy", "late"),
    [
        (0.004, 1e-4, True),  # of a call of 5 ms
        (0.001, 1e-4, False),  # a small part of it
        (0.004, 2e-3, False),  # as long as copying may take
    ],
)
def test_results_that_come_after_the_clock_cost_the_rank(
    rest: float, copy: float, late: bool
) -> None:
    found = with_staging(0.0, rest, copy)
    assert of(found, FAST).verdict.passed != late
    assert ("results were not computed when the clock stopped" in text(found)) == late


def test_a_slow_start_is_repaid_by_faster_steps() -> None:
    one = of(result_of(CONTENDERS), FAST)
    base = of(result_of(CONTENDERS), BASE)
    gain = base.seconds["train"].value - one.seconds["train"].value
    assert one.steps_to_repay_startup == pytest.approx(5.0 / gain)


def test_a_disturbed_machine_is_said_to_be() -> None:
    quiet = Disturbance(launch=1, other_share=0.01, stolen_share=0.0)
    loud = Disturbance(launch=2, other_share=0.5, stolen_share=0.2, gpu_processes=3)
    assert "disturbed" not in text(result_of(CONTENDERS, quiet))
    shown = text(result_of(CONTENDERS, quiet, loud))
    assert "other processes used up to 50%" in shown
    assert "other machines on this host used up to 20%" in shown
    assert "3 other processes used a GPU" in shown


def test_the_stopping_rule_and_the_report_agree_on_the_widest_interval() -> None:
    found = result_of(CONTENDERS)
    ratios = [n.speed_ratio["train"] for n in found.contenders if n.speed_ratio]
    widest = max(math.sqrt(r.high / r.low) - 1 for r in ratios)
    rule = StoppingRule(header().settings, [(BASE, FAST), (BASE, EQUAL)])
    for record in records(CONTENDERS):
        rule.add(record)
    assert rule.half_width(CONTENDERS) == pytest.approx(widest)


def test_an_unfinished_run_says_so() -> None:
    kept = [r for r in records(CONTENDERS) if not isinstance(r, Stopped)]
    found = analyse(Run(header(*CONTENDERS), kept, truncated=True))
    assert not found.complete
    assert "is not finished" in text(found)
    assert "cut off in writing" in text(found)


def test_a_run_with_nothing_in_it_can_be_reported() -> None:
    found = analyse(Run(header(BASE), []))
    assert "torch" in text(found)
    assert not found.passed


def test_what_was_left_out_is_named_with_what_to_type() -> None:
    assert "absent: left out: nothing: not installed; pip install 'nothing'" in text(
        result_of(CONTENDERS)
    )


def test_csv_holds_the_numbers_with_units_in_their_names() -> None:
    found = result_of(CONTENDERS)
    rows = list(csv_module.DictReader(io.StringIO(csv.render(found))))
    assert [r["backend"] for r in rows] == [n.contender.backend for n in found.contenders]
    fast = rows[0]
    assert float(fast["seconds_per_step"]) == of(found, FAST).seconds["train"].value
    assert fast["train_loss_nats"] == ""


def test_markdown_has_a_row_for_each_contender_and_every_note() -> None:
    found = result_of(CONTENDERS)
    told = document.document(found)
    page = markdown.render(told)
    assert [table.title for table in told.tables] == ["Agreement and speed", "Where the time goes"]
    assert page.count("\n| fast |") == 2, "nothing was learned, so no table says so"
    for note in told.notes:
        assert note in page


def test_run_folder_and_report_agree(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folders.create(folder, header(*CONTENDERS))
    writer = folders.Writer(folder)
    for record in records(CONTENDERS):
        writer.append(record)
    writer.close()
    again = analyse(folders.read(folder))
    assert text(again) == text(result_of(CONTENDERS))

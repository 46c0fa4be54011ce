import csv as csv_module
import io
import json
import math
import statistics
from pathlib import Path

import pytest
from made_up_run import BASE, FAST, LAUNCHES, ROUNDS, ROWS, header, line, records, summarised
from rich.console import Console
from scipy import stats

from lstmbench.analysis import results as summary
from lstmbench.protocol.messages import (
    Checked,
    Disturbance,
    Failure,
    Machine,
    Record,
    Rung,
    Stopped,
)
from lstmbench.records import folder as store
from lstmbench.report import csv, document, markdown, terminal


def text(found: summary.Summary) -> str:
    out = Console(width=300, record=True, file=io.StringIO())
    terminal.show(document.document(found), out)
    return out.export_text()


def test_a_ratio_is_found_through_the_machines_weather() -> None:
    found = summarised(ROWS)
    ratio = line(found, FAST).speed_ratio["train"]
    assert ratio.low < 2 < ratio.high
    assert ratio.high / ratio.low < 1.1
    absolute = line(found, FAST).seconds["train"]
    assert absolute.high / absolute.low > ratio.high / ratio.low, "times waver, ratios do not"


def test_the_interval_is_students_over_launch_medians_as_recomputed_from_the_lines() -> None:
    found = summarised(ROWS)
    lines = [json.loads(store.msgspec.json.encode(r)) for r in records(ROWS)]
    steps = {
        (r["row"]["backend"], r["launch"], r["round"]): r["seconds"][0] / r["calls"]
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
    assert list(line(found, FAST).speed_ratio["train"]) == pytest.approx(expected)


def test_rows_are_ranked_by_speed_and_equals_are_called_equal() -> None:
    found = summarised(ROWS)
    assert found.lines[0].row == FAST
    assert summary.exit_status(found) == 0
    shown = next(n for n in text(found).splitlines() if "│ equal" in n)
    assert "no difference seen" in shown
    shown = next(n for n in text(found).splitlines() if "│ fast" in n)
    assert "no difference seen" not in shown


def test_a_row_that_differs_is_shown_marked_and_never_ranked() -> None:
    wrong = Rung(
        row=FAST, fixture="odd", rung="gradients", verdict="differs", error=123.4, tensor="w"
    )
    found = summarised(ROWS, wrong)
    assert found.lines[-1].row == FAST
    assert summary.exit_status(found) == 1
    assert "✗ odd/gradients: w: 123 × band" in text(found)
    assert "so it was not timed" in text(found)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (
            Failure(row=FAST, phase="timing", reason="hung", message="no answer within 5 s"),
            "fast: hung in timing: no answer within 5 s",
        ),
        (
            Checked(row=FAST, launch=1, round=2, workload="train", verdict="differs", error=9.0),
            "what it computed inside the clock (train, launch 1, round 2) is not the reference's",
        ),
        (
            Machine(launch=1, matrix_flops_per_second=1e8, memory_bytes_per_second=1e12),
            "times as fast as this machine's limit allows",
        ),
    ],
)
def test_what_went_wrong_is_said_and_costs_the_rank(record: Record, words: str) -> None:
    found = summarised(ROWS, record)
    assert not line(found, FAST).sound
    assert words in text(found)
    assert summary.exit_status(found) == 1


def test_without_a_sound_baseline_there_is_no_ratio() -> None:
    failure = Failure(row=BASE, phase="parity", reason="raised", message="E: e")
    found = summarised(ROWS, failure)
    assert found.baseline is None
    assert all(not n.speed_ratio for n in found.lines)


def test_shares_of_the_bound_are_bound_over_time() -> None:
    machine = Machine(launch=1, matrix_flops_per_second=1e11, memory_bytes_per_second=1e15)
    found = summarised(ROWS, machine)
    one = line(found, BASE)
    operations = 3 * (393216 + 2560) * 640 - 3 * 8 * 128 * 128 * 2 * 64
    expected = operations / 1e11 / one.seconds["train"].value
    share, seconds = one.share_of_bound["train"], one.seconds["train"]
    assert share.value == pytest.approx(expected)
    assert share.low * seconds.high == pytest.approx(share.high * seconds.low)
    assert one.held_back_by["train"] == ("arithmetic" if expected > 0.5 else "dispatch")


def test_a_slow_start_is_repaid_by_faster_steps() -> None:
    one = line(summarised(ROWS), FAST)
    base = line(summarised(ROWS), BASE)
    gain = base.seconds["train"].value - one.seconds["train"].value
    assert one.steps_to_repay_startup == pytest.approx(5.0 / gain)


def test_a_disturbed_machine_is_said_to_be() -> None:
    quiet = Disturbance(launch=1, other_share=0.01, stolen_share=0.0)
    loud = Disturbance(launch=2, other_share=0.5, stolen_share=0.2, gpu_processes=3)
    assert "disturbed" not in text(summarised(ROWS, quiet))
    shown = text(summarised(ROWS, quiet, loud))
    assert "other processes used up to 50%" in shown
    assert "other machines on this host used up to 20%" in shown
    assert "3 other processes used a GPU" in shown


def test_half_width_is_the_widest_ratios() -> None:
    found = summarised(ROWS)
    ratios = [n.speed_ratio["train"] for n in found.lines if n.speed_ratio]
    widest = max(math.sqrt(r.high / r.low) - 1 for r in ratios)
    assert summary.half_width(found) == pytest.approx(widest)


def test_an_unfinished_run_says_so() -> None:
    kept = [r for r in records(ROWS) if not isinstance(r, Stopped)]
    found = summary.summarise(store.Run(header(*ROWS), kept, truncated=True))
    assert not found.complete
    assert "is not finished" in text(found)
    assert "cut off in writing" in text(found)


def test_a_run_with_nothing_in_it_can_be_reported() -> None:
    found = summary.summarise(store.Run(header(BASE), []))
    assert "torch" in text(found)
    assert summary.exit_status(found) == 1


def test_what_was_left_out_is_named_with_what_to_type() -> None:
    assert "absent: left out: nothing: not installed; pip install 'nothing'" in text(
        summarised(ROWS)
    )


def test_csv_holds_the_numbers_with_units_in_their_names() -> None:
    found = summarised(ROWS)
    rows = list(csv_module.DictReader(io.StringIO(csv.render(found))))
    assert [r["backend"] for r in rows] == [n.row.backend for n in found.lines]
    fast = rows[0]
    assert float(fast["seconds_per_step"]) == line(found, FAST).seconds["train"].value
    assert fast["train_loss_nats"] == ""


def test_markdown_has_a_row_for_each_backend_and_every_note() -> None:
    found = summarised(ROWS)
    page = markdown.render(document.document(found))
    assert page.count("\n| fast |") == 3
    for note in document.document(found).notes:
        assert note in page


def test_run_folder_and_report_agree(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    store.create(folder, header(*ROWS))
    writer = store.Writer(folder)
    for record in records(ROWS):
        writer.append(record)
    writer.close()
    again = summary.summarise(store.read(folder))
    assert text(again) == text(summarised(ROWS))

"""Run folders of schema 1, as older versions wrote them, and 2 are read as the present one."""

import csv
import io
import json
from pathlib import Path

import msgspec
import pytest

import lstmbench
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import Block, BlockCheck, Failure, MachinePeaks, RungResult
from lstmbench.records import folder as folders

REFERENCE = Path(__file__).parent / "schema-1"
OLD_ROW = {"backend": "torch", "device": "cuda", "copy": 2, "slowed": True}
NEW_CONTENDER = Contender(backend="torch", device="cuda", replica=2, injected_slowdown=True)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder of schema 1, with one record of each kind that has changed."""
    header = json.loads((REFERENCE / "run.json").read_text())
    assert header["schema"] == 1, "the committed run is of the older schema"
    header["rows"] = [OLD_ROW]
    (tmp_path / "run.json").write_text(json.dumps(header))
    place = {"row": OLD_ROW, "launch": 1, "round": 2}
    rung = {"row": OLD_ROW, "fixture": "odd", "rung": "clip", "traceback": "t"}
    block = {"type": "Block", **place, "position": 0, "uncounted": 3}
    records = [
        {"type": "Rung", **rung, "verdict": "differs", "error": 7.0, "band": 1e-6, "tensor": "w"},
        {"type": "Rung", **rung, "verdict": "not claimed", "error": None, "band": None},
        {"type": "Checked", **place, "workload": "train", "verdict": "agrees", "error": 0.1},
        {**block, "workload": "train", "calls": 4, "seconds": [2.0], "digits": 0},
        {**block, "workload": "generate", "calls": 2, "seconds": [64.0, 128.0], "digits": 64},
        {"type": "Failure", "row": OLD_ROW, "phase": "timing", "reason": "hung", "message": "m"},
        {
            "type": "Machine",
            "launch": 1,
            "matrix_flops_per_second": 1e9,
            "memory_bytes_per_second": 2e9,
        },
    ]
    lines = [json.dumps(record) for record in records]
    (tmp_path / "records.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return tmp_path


def test_every_field_has_its_place(old: Path) -> None:
    run = folders.read(old)
    assert run.header.schema == 3 and run.header.contenders == [NEW_CONTENDER]
    wrong, unclaimed, check, step, digits, failure, peaks = run.records
    assert isinstance(wrong, RungResult) and wrong.place == "odd/clip" and wrong.traceback == "t"
    assert wrong.contender == NEW_CONTENDER
    assert (wrong.result.outcome, wrong.result.error, wrong.result.tolerance) == ("failed", 7, 1e-6)
    assert wrong.result.array == "w"
    assert isinstance(unclaimed, RungResult) and unclaimed.result.outcome == "not claimed"
    assert isinstance(check, BlockCheck) and check.result.passed
    assert isinstance(step, Block) and step.seconds_per_unit == [0.5] and step.extra_calls == 3
    assert isinstance(digits, Block) and digits.seconds_per_unit == [1.0, 2.0]
    assert isinstance(failure, Failure) and failure.kind == "hung"
    assert isinstance(peaks, MachinePeaks)


def test_what_is_read_is_written_anew_and_read_the_same(old: Path, tmp_path: Path) -> None:
    run = folders.read(old)
    again = tmp_path / "again"
    folders.create(again, run.header)
    writer = folders.Writer(again)
    for record in run.records:
        writer.append(record)
    writer.close()
    assert folders.read(again) == run
    assert json.loads((again / "run.json").read_text())["schema"] == 3


@pytest.mark.parametrize("damage", [{"type": "Nope"}, {"type": "Rung"}, {}, [1], "x"])
def test_damage_is_told_with_file_and_line(old: Path, damage: object) -> None:
    (old / "records.jsonl").write_text(json.dumps(damage) + "\n")
    with pytest.raises(lstmbench.UsageError, match=r"records\.jsonl:1 "):
        folders.read(old)


def test_the_committed_run_gives_the_numbers_that_were_reported_of_it() -> None:
    text = lstmbench.render(lstmbench.open_run(REFERENCE), "csv")
    new = {row["backend"]: row for row in csv.DictReader(io.StringIO(text))}
    old_rows = list(csv.DictReader(io.StringIO((REFERENCE / "summary.csv").read_text())))
    assert list(new) == [row["backend"] for row in old_rows]
    for row in old_rows:
        for name, value in row.items():
            if name == "sound":
                assert new[row["backend"]]["passed"] == value
                continue
            if name.startswith("microseconds_per_digit"):  # percentiles of all launches' calls
                now = 1e6 * float(new[row["backend"]][f"seconds_per_digit_{name[-3:]}"])
                assert now == pytest.approx(float(value), rel=0.05 if "p50" in name else 0.5)
                continue
            try:
                assert float(new[row["backend"]][name]) == pytest.approx(float(value), rel=1e-12)
            except ValueError:
                assert new[row["backend"]][name] == value


def test_the_committed_run_can_be_loaded_and_compared() -> None:
    table = lstmbench.load(REFERENCE)
    lines = (REFERENCE / "records.jsonl").read_bytes().splitlines()
    blocks = [r for r in map(msgspec.json.decode, lines) if r["type"] == "Block"]
    timed = table[table.metric.str.startswith("seconds_per_")]
    assert len(timed) == sum(len(block["seconds"]) for block in blocks)
    found = lstmbench.compare(REFERENCE, REFERENCE)
    assert found.passed(0.0) and len(found.changes) == 4 * 3


@pytest.mark.parametrize(
    ("tf32", "dtype", "now"),
    [(True, "float32", "tf32"), (False, "float32", "float32"), (True, "float64", "float64")],
)
def test_tf32_of_schema_2_becomes_a_dtype(old: Path, tf32: bool, dtype: str, now: str) -> None:
    header = json.loads((old / "run.json").read_text())
    header |= {"schema": 2, "contenders": [msgspec.to_builtins(NEW_CONTENDER)]}
    del header["rows"]
    header["settings"] |= {"tf32": tf32, "dtype": dtype}
    (old / "run.json").write_text(json.dumps(header))
    (old / "records.jsonl").write_text("")
    assert folders.read(old).header.settings.dtype == now

import errno
import json
import math
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

import lstmbench
from lstmbench import UsageError
from lstmbench.protocol.messages import (
    SCHEMA,
    Block,
    Epoch,
    Failure,
    Finished,
    Record,
    Row,
    Rung,
    Startup,
    Trained,
)
from lstmbench.protocol.settings import Settings
from lstmbench.records import folder as store

ROW = Row(backend="numpy", device="cpu")
HEADER = store.Header(
    schema=SCHEMA,
    lstmbench="0.1.0",
    created="2026-01-01T00:00:00+00:00",
    settings=Settings(backend=("numpy",), clip=0.5),
    rows=[ROW, Row(backend="torch", device="cuda")],
    skipped={"jax": "not installed"},
    environment={"cpu": "A CPU", "gpus": [{"name": "X"}], "versions": {}},
)
FAILURE = Failure(row=ROW, phase="parity", reason="raised", message="é\nline", traceback="t")
FINISHED = Finished(phase="training", row=ROW)


def epoch(number: int = 0, free: float | None = 2.0) -> Epoch:
    return Epoch(
        row=ROW,
        epoch=number,
        seconds=1.5,
        teacher_forced_batches=3,
        free_running_batches=2,
        teacher_forced_loss_nats=0.25,
        free_running_loss_nats=free,
        loss_nats=1.0,
        validation_accuracy=0.5,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A new run's folder."""
    folder = tmp_path / "run"
    store.create(folder, HEADER)
    return folder


def append(folder: Path, *records: Record) -> None:
    writer = store.Writer(folder)
    for record in records:
        writer.append(record)
    writer.close()


def refusal(function: Any, *arguments: Any) -> str:
    with pytest.raises(UsageError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Making a folder


def test_a_new_folder_holds_the_header_and_no_records(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["records.jsonl", "run.json"]
    assert store.read(folder) == store.Run(HEADER, [])
    assert json.loads((folder / "run.json").read_text())["settings"]["clip"] == 0.5


def test_a_folder_is_made_with_its_parents_or_taken_if_empty(tmp_path: Path) -> None:
    store.create(tmp_path / "a" / "b", HEADER)
    (tmp_path / "empty").mkdir()
    store.create(tmp_path / "empty", HEADER)
    assert store.read(tmp_path / "a" / "b") == store.read(tmp_path / "empty")


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(folder: Path) -> None:
    append(folder, FAILURE)
    message = refusal(store.create, folder, HEADER)
    assert repr(str(folder)) in message
    assert "not empty" in message and f"--resume {folder}" in message
    assert store.read(folder).records == [FAILURE]


@pytest.mark.parametrize("inside", ["", "sub/folder"])
def test_a_file_in_the_way_is_refused(tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").write_text("precious")
    target = tmp_path / "file" / inside
    assert repr(str(target)) in refusal(store.create, target, HEADER)
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "Permission denied" in refusal(store.create, tmp_path / "run", HEADER)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="Linux has a place nobody can write to")
def test_an_unwritable_place_is_refused() -> None:
    message = refusal(store.create, Path("/proc/lstmbench/run"), HEADER)
    assert "'/proc/lstmbench/run' cannot be written" in message


# Writing


def test_every_record_can_be_read_as_soon_as_it_is_appended(folder: Path) -> None:
    writer = store.Writer(folder)
    records: list[Record] = [FAILURE, epoch(), FINISHED]
    for count, record in enumerate(records, start=1):
        writer.append(record)
        assert store.read(folder) == store.Run(HEADER, records[:count])
    writer.close()


def test_a_writer_goes_on_where_another_ended(folder: Path) -> None:
    append(folder, FAILURE)
    append(folder, FINISHED)
    assert store.read(folder).records == [FAILURE, FINISHED]


def test_text_is_written_in_full_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.md"
    store.write(path, "old\n")

    def full(self: Path, text: str) -> None:
        with self.open("w") as file:
            file.write(text[:2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        assert "No space left" in refusal(store.write, path, "newer\n")
    assert path.read_text() == "old\n"
    store.write(path, "newer\n")
    assert [p.name for p in tmp_path.iterdir()] == ["report.md"]
    assert path.read_text() == "newer\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
def test_a_full_disk_is_told_of(folder: Path) -> None:
    records = folder / "records.jsonl"
    records.unlink()
    records.symlink_to("/dev/full")
    writer = store.Writer(folder)
    message = refusal(writer.append, FINISHED)
    assert repr(str(folder)) in message
    assert "No space left" in message and "what was written before is kept" in message
    assert "No space left" in refusal(writer.close)


def test_what_was_there_before_the_disk_was_full_is_kept(folder: Path) -> None:
    append(folder, FAILURE)
    writer = store.Writer(folder)

    class FullDisk:
        def write(self, data: bytes) -> int:
            with (folder / "records.jsonl").open("ab") as file:
                file.write(data[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    writer.close()
    writer._file = FullDisk()  # type: ignore[assignment]
    refusal(writer.append, FINISHED)
    assert store.read(folder) == store.Run(HEADER, [FAILURE], truncated=True)


def test_a_folder_that_is_gone_cannot_be_written(tmp_path: Path) -> None:
    assert "No such file" in refusal(store.Writer, tmp_path / "gone")
    assert "No such file" in refusal(store.mend, tmp_path / "gone")


# Damage


@pytest.mark.parametrize("kept", [1, 20, -2, -1])
def test_a_last_line_cut_off_is_noticed_and_mended(folder: Path, kept: int) -> None:
    append(folder, FAILURE, epoch())
    line = msgspec.json.encode(FINISHED) + b"\n"
    with (folder / "records.jsonl").open("ab") as file:
        file.write(line[:kept])
    assert store.read(folder) == store.Run(HEADER, [FAILURE, epoch()], truncated=True)
    store.mend(folder)
    assert store.read(folder) == store.Run(HEADER, [FAILURE, epoch()])
    append(folder, FINISHED)
    assert store.read(folder).records == [FAILURE, epoch(), FINISHED]


def test_a_lone_line_cut_off_is_mended(folder: Path) -> None:
    (folder / "records.jsonl").write_bytes(b'{"type":"Fin')
    assert store.read(folder).truncated
    store.mend(folder)
    assert store.read(folder) == store.Run(HEADER, [])


def test_mending_leaves_what_is_whole_alone(folder: Path) -> None:
    append(folder, FAILURE, FINISHED)
    before = (folder / "records.jsonl").read_bytes()
    store.mend(folder)
    assert (folder / "records.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"nonsense",
        b"{}",
        b'{"type":"Nope"}',
        b'{"type":"Finished","phase":"lunch"}',
        b'{"type":"Finished","phase":"par',
        b"[1]",
        b"\x00\x00\x00",
        b'{"type":"Failure","phase":"parity","reason":"raised","message":"\xff\xfe",'
        b'"row":{"backend":"a","device":"cpu"}}',
    ],
)
def test_damage_in_the_middle_is_told_with_file_and_line(folder: Path, damage: bytes) -> None:
    lines = [msgspec.json.encode(FAILURE), damage, msgspec.json.encode(FINISHED), b""]
    (folder / "records.jsonl").write_bytes(b"\n".join(lines))
    assert f"{folder / 'records.jsonl'}:2 " in refusal(store.read, folder)


def test_a_number_that_is_not_finite_does_not_spoil_the_folder(folder: Path) -> None:
    metrics = {"test_accuracy": math.nan, "test_cross_entropy_nats": math.inf, "good": 0.5}
    append(folder, Trained(row=ROW, metrics=metrics, peak_bytes=1, imported_bytes=1), FINISHED)
    trained, finished = store.read(folder).records
    assert isinstance(trained, Trained) and trained.metrics["good"] == 0.5
    assert finished == FINISHED


def test_a_newer_schema_is_refused_with_what_to_do(folder: Path) -> None:
    header = json.loads((folder / "run.json").read_text())
    header |= {"schema": SCHEMA + 1, "settings": "of another kind"}
    (folder / "run.json").write_text(json.dumps(header))
    message = refusal(store.read, folder)
    assert f"schema {SCHEMA + 1}" in message and "newer" in message
    assert "pip install --upgrade lstmbench" in message


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"schema": 1}', '{"schema": "x"}'])
def test_a_damaged_header_is_told_with_its_file(folder: Path, text: str) -> None:
    (folder / "run.json").write_text(text)
    assert str(folder / "run.json") in refusal(store.read, folder)


def test_a_header_that_is_not_text_is_told_with_its_file(folder: Path) -> None:
    (folder / "run.json").write_bytes(b"\xff\xfe\x00")
    assert str(folder / "run.json") in refusal(store.read, folder)


def test_a_folder_without_a_run_is_refused(tmp_path: Path, folder: Path) -> None:
    for place in (tmp_path, tmp_path / "gone"):
        message = refusal(store.read, place)
        assert repr(str(place)) in message and "run.json" in message
    (folder / "records.jsonl").unlink()
    assert str(folder / "records.jsonl") in refusal(store.read, folder)


# The frame

COLUMNS = ["backend", "device", "metric", "unit", "launch", "round", "epoch", "value"]
OBSERVATIONS: list[Record] = [
    Startup(
        row=ROW,
        launch=1,
        import_seconds=0.5,
        build_seconds=0.25,
        compile_seconds=2.0,
        first_step_seconds=0.125,
        calls={"train": 4},
        description={},
        peak_bytes=3 << 20,
        imported_bytes=1 << 20,
    ),
    Block(row=ROW, launch=1, round=3, position=0, workload="train", calls=4, seconds=[2.0]),
    Block(
        row=ROW,
        launch=1,
        round=4,
        position=1,
        workload="generate",
        calls=2,
        digits=64,
        seconds=[64.0, 128.0],
    ),
    epoch(7, free=None),
    Trained(
        row=ROW,
        metrics={"test_accuracy": 0.9, "test_cross_entropy_nats": 0.2},
        peak_bytes=2048,
        imported_bytes=1024,
    ),
    FAILURE,
    Rung(row=ROW, fixture="odd", rung="loss", verdict="agrees", error=0.5),
    FINISHED,
]


def test_frame_is_tidy_with_a_unit_for_every_value(folder: Path) -> None:
    append(folder, *OBSERVATIONS)
    table = store.frame(folder)
    assert list(table.columns) == COLUMNS
    assert set(table["backend"]) == {"numpy"} and set(table["device"]) == {"cpu"}
    found = {
        (metric, unit, *(None if math.isnan(n) else int(n) for n in where)): value
        for metric, unit, *where, value in table.astype(
            {"launch": "float", "round": "float", "epoch": "float"}
        )[COLUMNS[2:]].itertuples(index=False)
        if not math.isnan(value) and metric != "seconds_per_generated_digit"
    }
    assert found == {
        ("import_seconds", "s", 1, None, None): 0.5,
        ("build_seconds", "s", 1, None, None): 0.25,
        ("compile_seconds", "s", 1, None, None): 2.0,
        ("first_step_seconds", "s", 1, None, None): 0.125,
        ("seconds_per_step", "s", 1, 3, None): 0.5,
        ("epoch_seconds", "s", None, None, 7): 1.5,
        ("teacher_forced_loss", "nats", None, None, 7): 0.25,
        ("loss", "nats", None, None, 7): 1.0,
        ("validation_accuracy", "1", None, None, 7): 0.5,
        ("peak_memory", "bytes", None, None, None): 2048,
        ("test_accuracy", "1", None, None, None): 0.9,
        ("test_cross_entropy", "nats", None, None, None): 0.2,
    }


def test_frame_has_a_row_for_each_call_that_was_timed_by_itself(folder: Path) -> None:
    append(folder, *OBSERVATIONS)
    table = store.frame(folder)
    digits = table[table["metric"] == "seconds_per_generated_digit"]
    assert digits["value"].tolist() == [1.0, 2.0]
    assert digits["round"].tolist() == [4, 4] and set(digits["unit"]) == {"s"}


def test_a_loss_that_was_not_seen_is_missing_in_the_frame(folder: Path) -> None:
    append(folder, epoch(free=None))
    table = store.frame(folder)
    assert table[table["metric"] == "free_running_loss"]["value"].isna().all()


def test_frame_of_a_run_without_observations_has_its_columns(folder: Path) -> None:
    table = lstmbench.load(str(folder))
    assert list(table.columns) == COLUMNS and len(table) == 0
    assert table["value"].dtype == "float64" and table["launch"].dtype == "Int64"


def test_load_refuses_what_is_no_run(tmp_path: Path) -> None:
    assert repr(str(tmp_path)) in refusal(lstmbench.load, tmp_path)

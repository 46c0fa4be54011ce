import errno
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lstmbench import UsageError
from lstmbench.host.environment import Environment
from lstmbench.host.gpu import Gpu
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import (
    Block,
    Epoch,
    Failure,
    Finished,
    Record,
    Trained,
)
from lstmbench.protocol.settings import Settings
from lstmbench.records import folder as folders
from lstmbench.records.folder import SCHEMA

NUMPY = Contender(backend="numpy")
HEADER = folders.Header(
    schema=SCHEMA,
    lstmbench="0.1.0",
    created="2026-01-01T00:00:00+00:00",
    settings=Settings(backend=("numpy",), clip=0.5),
    contenders=[NUMPY, Contender(backend="torch", device="cuda")],
    skipped={"jax": "not installed"},
    environment=Environment(cpu="A CPU", gpus=[Gpu(name="X")]),
)
FAILURE = Failure(contender=NUMPY, phase="parity", kind="raised", message="é\nline", traceback="t")
FINISHED = Finished(phase="training", contender=NUMPY)
EPOCH = Epoch(
    contender=NUMPY,
    epoch=0,
    seconds=1.5,
    teacher_forced_batches=3,
    free_running_batches=2,
    teacher_forced_loss_nats=0.25,
    free_running_loss_nats=2.0,
    loss_nats=1.0,
    validation_accuracy=0.5,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A new run's folder."""
    folder = tmp_path / "run"
    folders.create(folder, HEADER)
    return folder


def append(folder: Path, *records: Record) -> None:
    writer = folders.Writer(folder)
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
    assert folders.read(folder) == folders.Run(HEADER, [])
    assert json.loads((folder / "run.json").read_text())["settings"]["clip"] == 0.5


def test_a_folder_is_made_with_its_parents_or_taken_if_empty(tmp_path: Path) -> None:
    folders.create(tmp_path / "a" / "b", HEADER)
    (tmp_path / "empty").mkdir()
    folders.create(tmp_path / "empty", HEADER)
    assert folders.read(tmp_path / "a" / "b") == folders.read(tmp_path / "empty")


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(folder: Path) -> None:
    append(folder, FAILURE)
    message = refusal(folders.create, folder, HEADER)
    assert repr(str(folder)) in message
    assert "not empty" in message and f"--resume {folder}" in message
    assert folders.read(folder).records == [FAILURE]


@pytest.mark.parametrize("inside", ["", "sub/folder"])
def test_a_file_in_the_way_is_refused(tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").write_text("precious")
    target = tmp_path / "file" / inside
    assert repr(str(target)) in refusal(folders.create, target, HEADER)
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "Permission denied" in refusal(folders.create, tmp_path / "run", HEADER)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="Linux has a place nobody can write to")
def test_an_unwritable_place_is_refused() -> None:
    message = refusal(folders.create, Path("/proc/lstmbench/run"), HEADER)
    assert "'/proc/lstmbench/run' cannot be written" in message


# Writing


def test_every_record_can_be_read_as_soon_as_it_is_appended(folder: Path) -> None:
    writer = folders.Writer(folder)
    records: list[Record] = [FAILURE, EPOCH, FINISHED]
    for count, record in enumerate(records, start=1):
        writer.append(record)
        assert folders.read(folder) == folders.Run(HEADER, records[:count])
    writer.close()


def test_a_writer_goes_on_where_another_ended(folder: Path) -> None:
    append(folder, FAILURE)
    append(folder, FINISHED)
    assert folders.read(folder).records == [FAILURE, FINISHED]


def test_text_is_written_in_full_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.md"
    folders.write(path, "old\n")

    def full(self: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        assert "No space left" in refusal(folders.write, path, "newer\n")
    assert path.read_text() == "old\n"
    assert [p.name for p in tmp_path.iterdir()] == ["report.md"]
    folders.write(path, "newer\n")
    assert [p.name for p in tmp_path.iterdir()] == ["report.md"]
    assert path.read_text() == "newer\n"


def link(folder: Path, name: str, target: Path) -> None:
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(target)


def test_links_in_a_strangers_folder_are_not_written_through(folder: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    for name in ("report.md", "report.md.part", "summary.csv", "summary.csv.part"):
        link(folder, name, precious)
    link(folder, "dangling.part", tmp_path / "made")
    for name in ("report.md", "summary.csv", "dangling"):
        folders.write(folder / name, "new")
        assert (folder / name).read_text() == "new" and not (folder / name).is_symlink()
    assert precious.read_text() == "precious" and not (tmp_path / "made").exists()
    link(folder, "records.jsonl", precious)
    assert "cannot be written" in refusal(folders.Writer, folder)
    assert precious.read_text() == "precious"


def test_pipes_and_devices_are_neither_read_nor_written(folder: Path) -> None:
    for name in ("run.json", "records.jsonl"):
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        os.mkfifo(folder / name)
        assert "not a regular file" in refusal(folders.read, folder)
        if name == "records.jsonl":
            assert "not a regular file" in refusal(folders.Writer, folder)
        (folder / name).unlink()
        (folder / name).symlink_to("/dev/zero")
        assert "not a regular file" in refusal(folders.read, folder)
        (folder / name).unlink()
        (folder / name).write_bytes(content)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
def test_a_full_disk_is_told_of(folder: Path) -> None:
    writer = folders.Writer(folder)
    writer._file.close()
    writer._file = open("/dev/full", "ab")  # noqa: SIM115  # the writer closes it
    message = refusal(writer.append, FINISHED)
    assert repr(str(folder)) in message
    assert "No space left" in message and "what was written before is kept" in message
    assert "No space left" in refusal(writer.close)


def test_what_was_there_before_the_disk_was_full_is_kept(folder: Path) -> None:
    append(folder, FAILURE)
    writer = folders.Writer(folder)

    class FullDisk:
        def write(self, data: bytes) -> int:
            with (folder / "records.jsonl").open("ab") as file:
                file.write(data[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    writer.close()
    writer._file = FullDisk()  # type: ignore[assignment]
    refusal(writer.append, FINISHED)
    assert folders.read(folder) == folders.Run(HEADER, [FAILURE], truncated=True)


def test_a_folder_that_is_gone_cannot_be_written(tmp_path: Path) -> None:
    assert "No such file" in refusal(folders.Writer, tmp_path / "gone")


# Damage


@pytest.mark.parametrize("kept", [1, 20, -2, -1])
def test_a_last_line_cut_off_is_noticed_and_mended(folder: Path, kept: int) -> None:
    append(folder, FAILURE, EPOCH)
    line = msgspec.json.encode(FINISHED) + b"\n"
    with (folder / "records.jsonl").open("ab") as file:
        file.write(line[:kept])
    assert folders.read(folder) == folders.Run(HEADER, [FAILURE, EPOCH], truncated=True)
    append(folder)
    assert folders.read(folder) == folders.Run(HEADER, [FAILURE, EPOCH])
    append(folder, FINISHED)
    assert folders.read(folder).records == [FAILURE, EPOCH, FINISHED]


def test_a_lone_line_cut_off_is_mended(folder: Path) -> None:
    (folder / "records.jsonl").write_bytes(b'{"type":"Fin')
    assert folders.read(folder).truncated
    append(folder)
    assert folders.read(folder) == folders.Run(HEADER, [])


def test_mending_leaves_what_is_whole_alone(folder: Path) -> None:
    append(folder, FAILURE, FINISHED)
    before = (folder / "records.jsonl").read_bytes()
    append(folder)
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
        b'{"type":"Failure","phase":"parity","kind":"raised","message":"\xff\xfe",'
        b'"contender":{"backend":"a","device":"cpu"}}',
    ],
)
def test_damage_in_the_middle_is_told_with_file_and_line(folder: Path, damage: bytes) -> None:
    lines = [msgspec.json.encode(FAILURE), damage, msgspec.json.encode(FINISHED), b""]
    (folder / "records.jsonl").write_bytes(b"\n".join(lines))
    assert f"{folder / 'records.jsonl'}:2 " in refusal(folders.read, folder)


def test_a_number_that_is_not_finite_does_not_spoil_the_folder(folder: Path) -> None:
    metrics = {"test_accuracy": math.nan, "test_cross_entropy_nats": math.inf, "good": 0.5}
    append(
        folder, Trained(contender=NUMPY, metrics=metrics, peak_bytes=1, imported_bytes=1), FINISHED
    )
    trained, finished = folders.read(folder).records
    assert isinstance(trained, Trained) and trained.metrics["good"] == 0.5
    assert finished == FINISHED


def test_a_newer_schema_is_refused_with_what_to_do(folder: Path) -> None:
    header = json.loads((folder / "run.json").read_text())
    header |= {"schema": SCHEMA + 1, "settings": "of another kind"}
    (folder / "run.json").write_text(json.dumps(header))
    message = refusal(folders.read, folder)
    assert f"schema {SCHEMA + 1}" in message and "newer" in message
    assert "pip install --upgrade lstmbench" in message


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", "null", '{"schema": 1}', '{"schema": 2}', '{"schema": "x"}']
)
def test_a_damaged_header_is_told_with_its_file(folder: Path, text: str) -> None:
    (folder / "run.json").write_text(text)
    assert str(folder / "run.json") in refusal(folders.read, folder)


def test_a_header_that_is_not_text_is_told_with_its_file(folder: Path) -> None:
    (folder / "run.json").write_bytes(b"\xff\xfe\x00")
    assert str(folder / "run.json") in refusal(folders.read, folder)


def test_a_folder_without_a_run_is_refused(tmp_path: Path, folder: Path) -> None:
    for place in (tmp_path, tmp_path / "gone"):
        message = refusal(folders.read, place)
        assert repr(str(place)) in message and "run.json" in message
    (folder / "records.jsonl").unlink()
    assert str(folder / "records.jsonl") in refusal(folders.read, folder)


def test_a_block_of_an_unknown_workload_is_refused_with_file_and_line(folder: Path) -> None:
    block = Block(
        contender=NUMPY,
        launch=1,
        round=0,
        position=0,
        workload="dance",
        calls=1,
        seconds=[1.0],
    )
    append(folder, FINISHED, block)
    message = refusal(folders.read, folder)
    assert f"{folder / 'records.jsonl'}:2 " in message and "'dance'" in message


def test_two_processes_do_not_go_on_with_one_run(folder: Path) -> None:
    writer = folders.Writer(folder)
    code = (
        "import pathlib; from lstmbench.records.folder import Writer; "
        f"Writer(pathlib.Path({str(folder)!r}))"
    )
    refused = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "another process is going on with it" in refused.stderr
    writer.append(FAILURE)
    writer.close()
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0, (
        "a lock ends with its holder"
    )
    assert folders.read(folder).records == [FAILURE]

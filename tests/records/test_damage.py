"""Whatever has become of a run's folder, it is read, or refused in one line."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up_run import CONTENDERS, FAST, header, records
from rich.console import Console

from lstmbench import UsageError, api
from lstmbench.analysis.analyse import analyse
from lstmbench.analysis.comparison import compare
from lstmbench.host.gpu import Gpu, GpuState
from lstmbench.parity import Comparison
from lstmbench.protocol.observations import (
    BlockCheck,
    Ceiling,
    DeviceMemory,
    Disturbance,
    Epoch,
    Failure,
    MachinePeaks,
    OracleEpoch,
    OracleTrained,
    Record,
    RungResult,
    Trained,
    TrainingCheck,
)
from lstmbench.records import folder as folders
from lstmbench.report import comparison, document, terminal

DIFFERS = Comparison(outcome="failed", error=3.0, tolerance=1e-6, array="loss", note="of one")
METRICS = ("test_accuracy", "test_accuracy_low", "test_accuracy_high", "some_nats")
OTHERS: list[Record] = [
    Ceiling(
        task="digits",
        bayes_accuracy=0.98,
        entropy_floor_nats=0.13,
        test_bayes_accuracy=0.98,
        test_cross_entropy_nats=0.13,
        ngram_accuracy={"1": 0.5},
    ),
    MachinePeaks(launch=1, matrix_flops_per_second=1e11, memory_bytes_per_second=1e10),
    MachinePeaks(
        launch=1,
        contender=FAST,
        matrix_flops_per_second=1e12,
        memory_bytes_per_second=1e11,
        dispatch_seconds=1e-5,
    ),
    RungResult(contender=FAST, case="odd", rung="clip", result=DIFFERS, traceback="Traceback"),
    BlockCheck(contender=FAST, launch=1, round=0, workload="train", result=DIFFERS),
    TrainingCheck(contender=FAST, check="logits", epoch=3, result=DIFFERS),
    Failure(contender=FAST, phase="training", kind="hung", message="no answer", traceback="t"),
    Disturbance(
        launch=1,
        other_share=0.2,
        stolen_share=0.1,
        throttled_share=0.5,
        gpu_processes=1,
        gpus=[GpuState(device="cuda", sm_clock_mhz=1, throttles=["power cap"])],
    ),
    Epoch(
        contender=FAST,
        epoch=0,
        seconds=1.0,
        teacher_forced_batches=1,
        free_running_batches=1,
        teacher_forced_loss_nats=1.0,
        free_running_loss_nats=1.0,
        loss_nats=1.0,
        validation_accuracy=0.95,
        losses_nats=[1.0, 1.0],
    ),
    OracleEpoch(variant="plain", epoch=0, losses_nats=[1.0, None]),
    OracleTrained(variant="plain", seconds=1.0, test_accuracy=0.9),
    Trained(
        contender=FAST,
        metrics=dict.fromkeys(METRICS, 0.5),
        peak_bytes=2**30,
        imported_bytes=2**20,
        device_memory=DeviceMemory(peak_bytes=2**30, told_by="driver"),
    ),
]

NESTED: Any = []
for _ in range(900):
    NESTED = [NESTED]
HOSTILE = "\x1b]0;x\x07<b>|"
DAMAGES = (None, True, 0, -1, 1e308, -1e308, 10**30, math.nan, "", HOSTILE, [], {}, NESTED)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a record of each kind, and few of those that there are many of."""
    folder = tmp_path_factory.mktemp("damage") / "run"
    head = header(*CONTENDERS)
    head.environment.gpus.append(Gpu(name="a GPU", driver_version="1", memory_bytes=1))
    folders.create(folder, head)
    kept = [one for one in records(CONTENDERS) if getattr(one, "launch", 0) in (None, 0, 1, 2)]
    writer = folders.Writer(folder)
    for record in [*kept, *OTHERS]:
        writer.append(record)
    writer.close()
    return folder


def everything(folder: Path) -> bool:
    """Do all that can be done with a folder; whether it could be read."""
    try:
        result = analyse(folders.read(folder))
    except UsageError as error:
        assert "\n" not in str(error) and len(str(error)) < 2000
        assert str(folder) in str(error)
        return False
    with (folder / "printed").open("w") as file:
        terminal.show(document.document(result), Console(file=file, width=200))
        found = compare(result, result)
        terminal.show_comparison(comparison.document(found, 0.05), Console(file=file, width=200))
    printed = (folder / "printed").read_text()
    told = [api.render(result, form) for form in ("markdown", "csv", "json")]
    assert "\x1b]" not in "".join([printed, *told]) and "<b>" not in told[0]
    json.loads(told[2], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    api.load(folder)
    return True


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything inside a value of JSON, and of it all."""
    yield path
    if isinstance(value, dict | list):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        for key, one in inside:
            yield from places(one, (*path, key))


def damaged(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    """A copy of a value with another at a path; without it if that is MISSING."""
    if not path:
        return other
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1 and other is MISSING:
        del copy[path[0]]
    else:
        copy[path[0]] = damaged(copy[path[0]], path[1:], other)
    return copy


MISSING = object()


def folder_with(header_: Any, lines: list[bytes], folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "run.json").write_bytes(json.dumps(header_).encode())
    (folder / "records.jsonl").write_bytes(b"".join(lines))
    return folder


def test_a_whole_folder_is_read(whole: Path) -> None:
    assert everything(whole)


def test_each_field_of_the_header_may_be_damaged(whole: Path, tmp_path: Path) -> None:
    head = json.loads((whole / "run.json").read_bytes())
    lines = (whole / "records.jsonl").read_bytes().splitlines(keepends=True)
    tried = read = 0
    for path in places(head):
        for other in (MISSING, *DAMAGES):
            if path or other is not MISSING:
                read += everything(folder_with(damaged(head, path, other), lines, tmp_path / "run"))
                tried += 1
    assert tried > 1000 and 0 < read < tried


def test_each_field_of_each_kind_of_record_may_be_damaged(whole: Path, tmp_path: Path) -> None:
    head = json.loads((whole / "run.json").read_bytes())
    lines = (whole / "records.jsonl").read_bytes().splitlines(keepends=True)
    by_kind = {json.loads(line)["type"]: number for number, line in enumerate(lines)}
    tried = read = 0
    for number in by_kind.values():
        record = json.loads(lines[number])
        for path in places(record):
            for other in (MISSING, *DAMAGES):
                if not path and other is MISSING:
                    continue
                line = json.dumps(damaged(record, path, other)).encode() + b"\n"
                changed = [*lines[:number], line, *lines[number + 1 :]]
                read += everything(folder_with(head, changed, tmp_path / "run"))
                tried += 1
    assert len(by_kind) >= 15 and tried > 1500 and 0 < read < tried


ENCODINGS = ("utf-16", "utf-32", "utf-8-sig", "utf-7", "cp037")


@pytest.mark.parametrize("name", ["run.json", "records.jsonl"])
def test_files_may_be_of_another_encoding_or_empty_or_no_files(
    whole: Path, tmp_path: Path, name: str
) -> None:
    head = json.loads((whole / "run.json").read_bytes())
    lines = (whole / "records.jsonl").read_bytes().splitlines(keepends=True)
    run = folder_with(head, lines, tmp_path / "run")
    text = (run / name).read_text()
    for encoding in ENCODINGS:
        (run / name).write_bytes(text.encode(encoding, errors="replace"))
        everything(run)
    for content in (b"", b"\0" * 100, b"\n\n\n", b"[" * 100_000, b"{}", b"\xff" * 9):
        (run / name).write_bytes(content)
        everything(run)
    (run / name).unlink()
    (run / name).mkdir()
    assert not everything(run)
    (run / name).rmdir()
    (run / name).symlink_to("/dev/zero")
    assert not everything(run)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_records_may_be_lost_doubled_reversed_cut_off_and_damaged_together(
    whole: Path, tmp_path: Path, data: st.DataObject
) -> None:
    head = json.loads((whole / "run.json").read_bytes())
    lines = (whole / "records.jsonl").read_bytes().splitlines(keepends=True)
    middle = len(lines) // 2
    changes: dict[str, Callable[[], list[bytes]]] = {
        "reversed": lambda: lines[::-1],
        "doubled": lambda: lines * 2,
        "second half": lambda: lines[middle:],
        "first half": lambda: lines[:middle],
        "every other": lambda: lines[::2],
        "mixed": lambda: [lines[n] for n in data.draw(st.permutations(range(len(lines))))],
        "cut off": lambda: [b"".join(lines)[: -data.draw(st.integers(1, 500))]],
    }
    for name in data.draw(st.lists(st.sampled_from(sorted(changes)), min_size=1, max_size=3)):
        lines = changes[name]() or [b""]
    for _ in range(data.draw(st.integers(0, 2))):
        number = data.draw(st.integers(0, len(lines) - 1))
        at = data.draw(st.integers(0, len(lines[number])))
        byte = data.draw(st.binary(max_size=3))
        lines = [*lines]
        lines[number] = lines[number][:at] + byte + lines[number][at + len(byte) :]
    everything(folder_with(head, lines, tmp_path / "run"))

"""A run's folder: run.json, written once, and records.jsonl, appended to as things are observed."""

import errno
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from lstmbench.interface.errors import UsageError
from lstmbench.protocol.messages import (
    SCHEMA,
    Block,
    Epoch,
    Record,
    Row,
    Startup,
    Trained,
    Workload,
)
from lstmbench.protocol.settings import Settings

if TYPE_CHECKING:
    import pandas

RUN, RECORDS = "run.json", "records.jsonl"


class Header(Struct, frozen=True, kw_only=True):
    """run.json: what was to be done, where, and with which versions."""

    schema: int
    lstmbench: str
    created: str
    settings: Settings
    rows: list[Row]
    skipped: dict[str, str]
    environment: dict[str, Any]


@dataclass
class Run:
    """What a run's folder holds; `truncated` if its last record was cut off in writing."""

    header: Header
    records: list[Record]
    truncated: bool = False


class Writer:
    """Appends records to a run's folder, each one safely there before the next is made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self._file = (folder / RECORDS).open("ab")
        except OSError as error:
            raise _unwritable(folder, error) from None

    def append(self, record: Record) -> None:
        """Write and flush one record; raises UsageError if the disk will not take it."""
        try:
            self._file.write(msgspec.json.encode(record) + b"\n")
            self._file.flush()
        except OSError as error:
            raise _unwritable(self.folder, error) from None

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise _unwritable(self.folder, error) from None


def now() -> str:
    """The time, to the second, with its zone."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def create(folder: Path, header: Header) -> None:
    """Make a new run folder; raises UsageError if it is not new or cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(
                f"output folder {str(folder)!r} exists and is not empty; "
                f"choose another, or go on with it by --resume {folder}"
            )
        write(
            folder / RUN,
            msgspec.json.format(msgspec.json.encode(header)).decode() + "\n",
        )
        (folder / RECORDS).touch()
    except OSError as error:
        raise _unwritable(folder, error) from None


def write(path: Path, text: str) -> None:
    """Write a whole file, so that it is there in full or not at all."""
    partial = path.with_suffix(path.suffix + ".part")
    try:
        partial.write_text(text)
        partial.replace(path)
    except OSError as error:
        raise _unwritable(path.parent, error) from None


def _unwritable(folder: Path, error: OSError) -> UsageError:
    full = "; what was written before is kept" if error.errno == errno.ENOSPC else ""
    return UsageError(f"output folder {str(folder)!r} cannot be written: {error.strerror}{full}")


def read(folder: Path) -> Run:
    """Header and records of a run; raises UsageError, with file and line, for what is damaged."""
    header = _read_header(folder)
    path = folder / RECORDS
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    *lines, rest = data.split(b"\n")
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(msgspec.json.decode(line, type=Record))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{path}:{number} is not a record: {error}") from None
    return Run(header, records, truncated=bool(rest))


def _read_header(folder: Path) -> Header:
    path = folder / RUN
    try:
        text = path.read_bytes()
        schema = json.loads(text).get("schema")
        if isinstance(schema, int) and schema > SCHEMA:
            raise UsageError(
                f"{path} has schema {schema}, from a newer lstmbench (this one reads up to "
                f"{SCHEMA}); pip install --upgrade lstmbench"
            )
        return msgspec.json.decode(text, type=Header)
    except OSError as error:
        raise UsageError(f"run folder {str(folder)!r}: {RUN}: {error.strerror}") from None
    except (ValueError, AttributeError) as error:
        raise UsageError(f"{path} is not a run's header: {error}") from None


def mend(folder: Path) -> None:
    """Drop a last record that was cut off in writing."""
    path = folder / RECORDS
    try:
        data = path.read_bytes()
        with path.open("r+b") as file:
            file.truncate(data.rfind(b"\n") + 1)
    except OSError as error:
        raise _unwritable(folder, error) from None


def frame(folder: Path) -> "pandas.DataFrame":
    """All observations of a run, tidy: one a row, with its unit.

    Columns: backend, device, metric, unit, launch, round, epoch, value; launch, round and epoch
    are missing where they do not apply.
    """
    import pandas

    columns = [
        "backend",
        "device",
        "metric",
        "unit",
        "launch",
        "round",
        "epoch",
        "value",
    ]
    rows = [row for record in read(folder).records for row in _observations(record)]
    table = pandas.DataFrame(rows, columns=columns)
    counters = dict.fromkeys(("launch", "round", "epoch"), "Int64")
    return table.astype({**counters, "value": "float64"})


PER_CALL: dict[Workload, str] = {
    "train": "seconds_per_step",
    "forward": "seconds_per_forward_pass",
    "gradients": "seconds_per_loss_and_gradients",
    "generate": "seconds_per_generated_digit",
    "stage": "seconds_per_staged_batch",
}


def _observations(record: Record) -> list[dict[str, Any]]:
    values: list[tuple[str, str, float | None]]
    match record:
        case Block():
            per = record.digits or record.calls
            where = {"launch": record.launch, "round": record.round}
            values = [(PER_CALL[record.workload], "s", s / per) for s in record.seconds]
        case Startup():
            where = {"launch": record.launch}
            names = ("import", "build", "compile", "first_step")
            values = [(f"{n}_seconds", "s", getattr(record, f"{n}_seconds")) for n in names]
        case Epoch():
            where = {"epoch": record.epoch}
            values = [
                ("epoch_seconds", "s", record.seconds),
                ("teacher_forced_loss", "nats", record.teacher_forced_loss_nats),
                ("free_running_loss", "nats", record.free_running_loss_nats),
                ("loss", "nats", record.loss_nats),
                ("validation_accuracy", "1", record.validation_accuracy),
            ]
        case Trained():
            where = {}
            values = [("peak_memory", "bytes", record.peak_bytes)]
            for name, value in record.metrics.items():
                bare = name.removesuffix("_nats")
                values.append((bare, "1" if bare == name else "nats", value))
        case _:
            return []
    identity = {"backend": record.row.backend, "device": record.row.device, **where}
    return [{**identity, "metric": m, "unit": u, "value": v} for m, u, v in values]

"""A run's folder: run.json, written once, and records.jsonl, appended to as things are observed."""

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import force_setattr

from lstmbench.host import files, locks
from lstmbench.host.environment import Environment
from lstmbench.interface.errors import UsageError, headline
from lstmbench.interface.workloads import WORKLOADS
from lstmbench.parity.rungs import ORDER
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import Block, BlockCheck, Record, RungResult
from lstmbench.protocol.settings import Settings
from lstmbench.records.upgrade import upgrade_header, upgrade_record

SCHEMA = 3
"""The version of what is written; older ones are turned into it as they are read."""
RUN, RECORDS = "run.json", "records.jsonl"
LARGEST_HEADER = 10_000_000
"""Bytes of run.json."""
NOT_READABLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What may be raised by reading what is damaged, or nested too deeply."""


class Header(Struct, frozen=True, kw_only=True):
    """run.json: what was to be done, where, and with which versions."""

    schema: int = SCHEMA
    lstmbench: str
    """The version of lstmbench."""
    created: str
    """When, in ISO 8601 with the zone."""
    settings: Settings
    contenders: list[Contender]
    skipped: dict[str, str]
    """Why each backend or plugin that was asked for by "all" is left out."""
    environment: Environment
    """The machine and its software."""
    cell: str = ""
    """The name of the cell of a sweep that this run is; code that was compiled is then shared."""
    workloads: dict[str, int] = {}
    """The version of each workload that is timed; 1 where it is not told."""


@dataclass
class Run:
    """What a run's folder holds; `truncated` if its last record was cut off in writing."""

    header: Header
    records: list[Record]
    truncated: bool = False
    folder: Path | None = field(default=None, compare=False)
    schema: int = field(default=SCHEMA, compare=False)
    """The version of what was read."""


class Writer:
    """Appends records to a run's folder, each one safely there before the next is made.

    A last record that was cut off in writing is dropped. Raises UsageError if another process is
    writing, or the file is none of this folder's own: a link, or a device.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self._file = files.append_to(folder / RECORDS)
        except OSError as error:
            raise _unwritable(folder, error) from None
        if not locks.take(self._file):
            self._file.close()
            raise UsageError(f"run folder {str(folder)!r}: another process is going on with it")
        try:
            self._drop_partial_record()
        except OSError as error:
            raise _unwritable(folder, error) from None

    def append(self, record: Record) -> None:
        """Write and flush one record; raises UsageError if the disk will not take it."""
        try:
            self._file.write(msgspec.json.encode(record) + b"\n")
            self._file.flush()
        except OSError as error:
            raise _unwritable(self.folder, error) from None

    def _drop_partial_record(self) -> None:
        self._file.seek(0)
        self._file.truncate(self._file.read().rfind(b"\n") + 1)

    def close(self) -> None:
        """Close the file; raises UsageError if what is left cannot be written."""
        try:
            self._file.close()
        except OSError as error:
            raise _unwritable(self.folder, error) from None


def now() -> str:
    """Return the time, to the second, with its zone."""
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
        write(folder / RUN, msgspec.json.format(msgspec.json.encode(header)).decode() + "\n")
        (folder / RECORDS).touch()
    except OSError as error:
        raise _unwritable(folder, error) from None


def make(folder: Path) -> None:
    """Make a folder, unless it is there; raises UsageError if it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from None


def write(path: Path, content: str | bytes) -> None:
    """Write a whole file, so that it is there in full or not at all."""
    try:
        files.write(path, content)
    except OSError as error:
        raise _unwritable(path.parent, error) from None


def _unwritable(folder: Path, error: OSError) -> UsageError:
    full = "; what was written before is kept" if error.errno == errno.ENOSPC else ""
    return UsageError(f"output folder {str(folder)!r} cannot be written: {error.strerror}{full}")


def read(folder: Path) -> Run:
    """Return header and records of a run.

    Raises UsageError, with file and line, for what is damaged.
    """
    header, schema = _read_header(folder)
    path = folder / RECORDS
    decode = _decode_schema1 if schema == 1 else _decode
    records, truncated = [], False
    contenders = {one: one for one in header.contenders}
    try:
        with files.opened(path) as lines:
            for number, line in enumerate(lines, start=1):
                if truncated := not line.endswith(b"\n"):
                    break
                record = _record(decode, line, path, number)
                if isinstance(record, Block):  # of which there may be hundreds of thousands
                    shared = contenders.setdefault(record.contender, record.contender)
                    force_setattr(record, "contender", shared)
                    force_setattr(record, "workload", WORKLOADS[record.workload].name)
                records.append(record)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    return Run(header, records, truncated, folder, schema)


_decode: Callable[[bytes], Record] = msgspec.json.Decoder(Record).decode


def _decode_schema1(line: bytes) -> Record:
    record: Record = msgspec.convert(upgrade_record(msgspec.json.decode(line)), Record)
    return record


def _record(decode: Callable[[bytes], Record], line: bytes, path: Path, number: int) -> Record:
    try:
        record = decode(line)
    except NOT_READABLE as error:
        raise UsageError(f"{path}:{number} is not a record: {headline(error)}") from None
    if isinstance(record, Block | BlockCheck) and record.workload not in WORKLOADS:
        raise UsageError(f"{path}:{number} is of an unknown workload {record.workload!r}")
    if isinstance(record, RungResult) and record.rung not in ORDER:
        raise UsageError(f"{path}:{number} is of an unknown rung {record.rung!r}")
    return record


def header(folder: Path) -> Header:
    """Return a run's header alone; raises UsageError as `read` does."""
    return _read_header(folder)[0]


def _read_header(folder: Path) -> tuple[Header, int]:
    """Return the header, as of the present schema, and the schema that the folder is written in."""
    path = folder / RUN
    try:
        header = msgspec.json.decode(files.read(path, LARGEST_HEADER))
        schema = header.get("schema")
        if type(schema) is int and schema > SCHEMA:
            raise UsageError(
                f"{path} has schema {schema}, from a newer lstmbench (this one reads up to "
                f"{SCHEMA}); pip install --upgrade lstmbench"
            )
        if schema in range(1, SCHEMA):
            header = upgrade_header(header)
        return msgspec.convert(header, Header), schema
    except OSError as error:
        raise UsageError(f"run folder {str(folder)!r}: {RUN}: {error.strerror}") from None
    except NOT_READABLE as error:
        raise UsageError(f"{path} is not a run's header: {headline(error)}") from None

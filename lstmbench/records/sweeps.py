"""A sweep's folder: sweep.json, and each cell in a run's folder of its own."""

import os
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from lstmbench.host import files
from lstmbench.interface.errors import UsageError, headline, shortened_value
from lstmbench.protocol.observations import Finished, Record
from lstmbench.protocol.sweep import Cell, Plan, name_of
from lstmbench.records import folder as folders
from lstmbench.records.folder import Header

SWEEP, CELLS, LOGS, TABLE, PAGE = "sweep.json", "cells", "logs", "sweep.csv", "report.html"
SCHEMA = 1
LARGEST = 10_000_000
"""Bytes of sweep.json."""
TAIL = 100_000
"""Bytes at the end of a cell's records, which hold what was done last."""

State = Literal["done", "begun", "missing"]


class SweepFile(Struct, frozen=True, kw_only=True):
    """sweep.json: what the sweep is to do."""

    schema: int = SCHEMA
    lstmbench: str
    created: str
    plan: Plan


def create(folder: Path, plan: Plan, version: str) -> None:
    """Make a sweep's folder, or go on with one of the same plan.

    Raises UsageError if the folder holds something else, or cannot be written.
    """
    if (folder / SWEEP).exists():
        if read(folder).plan != plan:
            raise UsageError(
                f"output folder {str(folder)!r} holds another sweep; choose another folder, or go "
                f"on with it by lstmbench sweep {folder}"
            )
        return
    folders.make(folder)
    if any(folder.iterdir()):
        raise UsageError(f"output folder {str(folder)!r} exists and is not empty; choose another")
    told = SweepFile(lstmbench=version, created=folders.now(), plan=plan)
    folders.write(folder / SWEEP, msgspec.json.format(msgspec.json.encode(told)) + b"\n")


def read(folder: Path) -> SweepFile:
    """Return what a sweep is to do; raises UsageError for what is no sweep's folder, or damaged."""
    path = folder / SWEEP
    try:
        found = msgspec.json.decode(files.read(path, LARGEST), type=SweepFile)
    except OSError as error:
        raise UsageError(f"sweep folder {str(folder)!r}: {SWEEP}: {error.strerror}") from None
    except folders.NOT_READABLE as error:
        raise UsageError(f"{path} is no sweep: {headline(error)}") from None
    if found.schema != SCHEMA:
        raise UsageError(f"{path} has schema {found.schema}; this lstmbench reads {SCHEMA}")
    for cell in found.plan.cells:
        if cell.name != name_of(cell.changes):  # which is also that of a folder
            raise UsageError(f"{path}: {shortened_value(cell.name)} is not the name of its cell")
    return found


def place(folder: Path, cell: Cell) -> Path:
    """Return the run's folder of a cell."""
    return folder / CELLS / cell.name


def state(folder: Path, cell: Cell) -> State:
    """Return how far a cell has come, without reading all of its records."""
    path = place(folder, cell)
    if not (path / folders.RUN).is_file():
        return "missing"
    wanted = set(folders.header(path).contenders)
    done = {
        one.contender
        for one in _last_records(path)
        if isinstance(one, Finished) and one.phase == "training"
    }
    return "done" if wanted <= done else "begun"


def begun(folder: Path, plan: Plan) -> dict[str, Header]:
    """Return the headers of all cells that have been begun, by the cells' names."""
    return {
        cell.name: folders.header(place(folder, cell))
        for cell in plan.cells
        if (place(folder, cell) / folders.RUN).is_file()
    }


def _last_records(path: Path) -> list[Record]:
    """Return the whole records among the last bytes of a run's records."""
    try:
        with files.opened(path / folders.RECORDS) as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - TAIL))
            lines = file.read().split(b"\n")[1 if file.tell() > TAIL else 0 : -1]
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(msgspec.json.decode(line, type=Record))
        except msgspec.DecodeError:
            continue
    return found

"""A static site of many runs: an index with histories, each run's report, and two tables."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from lstmbench.analysis.history import NamedRun, histories, shape
from lstmbench.analysis.results import RunResult
from lstmbench.host import environment, files
from lstmbench.interface.errors import UsageError
from lstmbench.records import folder as folders
from lstmbench.report.columns import row
from lstmbench.report.csv import cell
from lstmbench.report.findings import sentences
from lstmbench.report.html import of_run, of_site

INDEX, TABLE, PAGE = "index.json", "runs.csv", "report.html"
LARGEST_INDEX = 100_000_000
"""Bytes of index.json."""
FORM = 1
"""The version of index.json."""

Plain = dict[str, Any]


def find(places: Sequence[Path]) -> list[Path]:
    """Return the run folders among some folders, and those just below them.

    Raises UsageError where there is none.
    """
    found: list[Path] = []
    for place in places:
        own = [place] if (place / folders.RUN).is_file() else _below(place)
        if not own:
            raise UsageError(f"{str(place)!r} is no run folder, and has none in it")
        found += own
    return list(dict.fromkeys(path.resolve() for path in found))


def _below(place: Path) -> list[Path]:
    try:
        return sorted(path for path in place.iterdir() if (path / folders.RUN).is_file())
    except OSError as error:
        raise UsageError(f"{str(place)!r} cannot be read: {error.strerror}") from None


def write(
    runs: Sequence[RunResult], output: Path, report: Callable[[int], None] = lambda done: None
) -> None:
    """Write the site of some runs into a folder: a new one, or one that holds a site.

    A run's report that is there already, of the same records and version, is left as it is;
    `report` hears how many are done. Raises UsageError if the folder holds something else.
    """
    before = _before(output)
    named = _named(runs)
    entries = []
    for number, one in enumerate(named, start=1):
        entry = _entry(one)
        folders.make(output / Path(entry["page"]).parent)
        if before.get(entry["page"]) != entry["made_from"] or not (output / entry["page"]).exists():
            folders.write(output / entry["page"], of_run.page(one.run))
        entries.append(entry)
        report(number)
    folders.write(output / TABLE, _table(named))
    pages = {entry["name"]: entry["page"] for entry in entries}
    folders.write(output / "index.html", of_site.page(histories(named), pages))
    told = {"schema": FORM, "runs": entries}
    folders.write(output / INDEX, json.dumps(told, indent=2, allow_nan=False) + "\n")


def _before(output: Path) -> dict[str, str]:
    """Return what the pages of a site that is there already were made from."""
    folders.make(output)
    if not any(output.iterdir()):
        return {}
    try:
        index = json.loads(files.read(output / INDEX, LARGEST_INDEX))
        return {one["page"]: one["made_from"] for one in index["runs"]}
    except (OSError, ValueError, LookupError, TypeError):
        raise UsageError(
            f"output folder {str(output)!r} is not empty and holds no site of lstmbench; choose "
            "another"
        ) from None


def _named(runs: Sequence[RunResult]) -> list[NamedRun]:
    """Return the runs with names that make folders, no two alike."""
    taken: dict[str, int] = {}
    result = []
    for run in runs:
        name = re.sub(r"[^\w.-]", "-", run.folder.name if run.folder else run.header.created)
        name = name.strip(".") or "run"
        taken[name] = taken.get(name, 0) + 1
        result.append(NamedRun(name if taken[name] == 1 else f"{name}-{taken[name]}", run))
    return result


def _entry(named: NamedRun) -> Plain:
    run = named.run
    return {
        "name": named.name,
        "page": f"runs/{named.name}/{PAGE}",
        "created": run.header.created,
        "machine": run.environment.machine,
        "shape": shape(run),
        "baseline": run.baseline.label if run.baseline else None,
        "passed": run.passed,
        "complete": run.complete,
        "verdict": sentences(run),
        "made_from": _fingerprint(run),
    }


def _fingerprint(run: RunResult) -> str:
    """Return what a report is made from: the records, and the version that shows them."""
    told = hashlib.sha256(msgspec.json.encode(run.header))
    for record in run.run.records:
        told.update(msgspec.json.encode(record))
    version = environment.versions(["lstmbench"]).get("lstmbench", "unknown")
    return f"{version}/{of_run.LAYOUT} {told.hexdigest()}"


def _table(named: Sequence[NamedRun]) -> str:
    """Return a line for each run and contender, with everything about it."""
    rows = [
        {
            "run": one.name,
            "created": one.run.header.created,
            **one.run.environment.machine,
            **shape(one.run),
            "contender": result.contender.label,
            **row(result, one.run),
        }
        for one in named
        for result in one.run.contenders
    ]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(n for one in rows for n in one)))
    writer.writeheader()
    writer.writerows({name: cell(value) for name, value in one.items()} for one in rows)
    return out.getvalue()

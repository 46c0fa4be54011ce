"""What lstmbench does, as functions: the command line is a thin layer over these.

All raise UsageError, with a message of one line, for what cannot be done as asked.
"""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from lstmbench.analysis import comparison
from lstmbench.analysis.analyse import analyse
from lstmbench.analysis.comparison import RunComparison
from lstmbench.analysis.noise import SelfTestResult
from lstmbench.analysis.results import RunResult
from lstmbench.conformance import ladder_tests
from lstmbench.experiment import planning
from lstmbench.experiment import run as runs
from lstmbench.experiment import selftest as selftests
from lstmbench.experiment.check import CheckResult, check
from lstmbench.host.signals import Interrupted
from lstmbench.interface.errors import OracleFailed, UsageError
from lstmbench.plugins import registry as plugins
from lstmbench.protocol.progress import Report, silent
from lstmbench.protocol.settings import QUICK, from_mapping, read_config
from lstmbench.records import folder as folders
from lstmbench.records.frame import frame
from lstmbench.report import csv, document, json, markdown

if TYPE_CHECKING:
    import pandas

__all__ = [
    "CheckResult",
    "RunComparison",
    "RunResult",
    "SelfTestResult",
    "check",
    "compare",
    "ladder_tests",
    "load",
    "open_run",
    "render",
    "resume",
    "run",
    "selftest",
]


def run(
    *,
    output: str | Path | None = None,
    quick: bool = False,
    config: str | Path | None = None,
    progress: Report = silent,
    **settings: Any,
) -> RunResult:
    """Check, time and train backends, and return what was found.

    Parameters
    ----------
    output
        The folder to write, which must be new; a folder below `results/` unless given.
    quick
        Make the whole tour shorter: few epochs and rounds.
    config
        A TOML file of settings; those given as arguments win over it.
    progress
        Is called with a `Progress` whenever the run has come further.
    settings
        As of the command line, with underscores: `backend="numpy,torch"`, `hidden=64`, ...

    Returns
    -------
    The result, which is also on disk: run.json, records.jsonl, summary.csv and report.md.
    """
    registry = plugins.discover()
    from_file = read_config(Path(config)) if config else {}
    given = from_mapping({**(QUICK if quick else {}), **from_file, **settings}, "settings")
    header = planning.plan(given, registry)
    stamp = datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
    folder = Path(output) if output else Path("results") / f"{stamp}-{given.task}"
    folders.create(folder, header)
    return _finish(folder, registry, progress)


def resume(
    folder: str | Path, *, retry_failed: bool = False, progress: Report = silent
) -> RunResult:
    """Do what is missing in a run's folder, after a kill or a crash, and return the result.

    With `retry_failed`, contenders whose process was killed, died or hung are tried again; where
    one was not timed with the others, all are timed anew.
    """
    registry = plugins.discover()
    planning.check_resumable(folders.read(Path(folder)), registry)
    return _finish(Path(folder), registry, progress, retry_failed)


def _finish(
    folder: Path, registry: plugins.Registry, progress: Report, retry_failed: bool = False
) -> RunResult:
    try:
        runs.resume(folder, registry, progress, retry_failed=retry_failed)
    except Interrupted as error:
        error.folder = folder
        raise
    except OracleFailed:
        _write_reports(folder)
        raise
    return _write_reports(folder)


def _write_reports(folder: Path) -> RunResult:
    result = open_run(folder)
    folders.write(folder / "summary.csv", render(result, "csv"))
    folders.write(folder / "report.md", render(result, "markdown"))
    return result


def open_run(folder: str | Path) -> RunResult:
    """Return the result of the run in a folder, finished or not."""
    return analyse(folders.read(Path(folder)))


def load(folder: str | Path) -> "pandas.DataFrame":
    """Return all observations of the run in a folder as a tidy DataFrame, one a row.

    Columns are backend, device, metric, unit, launch, round, epoch and value. Raises UsageError
    if the folder holds no run, or a damaged one.
    """
    return frame(folders.read(Path(folder)))


def render(result: RunResult, form: Literal["markdown", "csv", "json"] = "markdown") -> str:
    """Return the answer of a run as text: Markdown for reading, CSV or JSON for programs."""
    match form:
        case "markdown":
            return markdown.render(document.document(result))
        case "csv":
            return csv.render(result)
        case "json":
            return json.render(json.run(result)) + "\n"


def compare(before: RunResult | str | Path, after: RunResult | str | Path) -> RunComparison:
    """Return what changed from one run to another; each is a result or a run's folder."""
    results = (one if isinstance(one, RunResult) else open_run(one) for one in (before, after))
    return comparison.compare(*results)


def selftest(*, experiments: int = 4, progress: Report = silent, **settings: Any) -> SelfTestResult:
    """Time one backend against itself, and return this machine's noise floor.

    Unless given otherwise the backend is numpy, and the time budget 90 seconds an experiment.
    """
    registry = plugins.discover()
    given = from_mapping({**selftests.DEFAULTS, **settings}, "settings")
    planned = planning.plan(given, registry)
    if len(planned.contenders) != 1:
        names = ", ".join(one.label for one in planned.contenders)
        raise UsageError(f"selftest takes one backend, not {names}")
    name = (planned.contenders[0].backend,)
    return selftests.run(
        msgspec.structs.replace(planned.settings, backend=name), registry, experiments, progress
    )

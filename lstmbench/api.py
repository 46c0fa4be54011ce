"""What lstmbench does, as functions: the command line is a thin layer over these.

All raise UsageError, with a message of one line, for what cannot be done as asked.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lstmbench.analysis import comparison
from lstmbench.analysis import recommend as recommending
from lstmbench.analysis import sweep as sweep_analysis
from lstmbench.analysis.analyse import analyse
from lstmbench.analysis.comparison import RunComparison
from lstmbench.analysis.noise import SelfTestResult
from lstmbench.analysis.recommend import Recommendation
from lstmbench.analysis.results import RunResult
from lstmbench.analysis.sweep import SweepResult
from lstmbench.conformance import ladder_tests
from lstmbench.experiment import planning
from lstmbench.experiment import run as runs
from lstmbench.experiment import selftest as selftests
from lstmbench.experiment import sweep as sweeping
from lstmbench.experiment.check import CheckResult, check
from lstmbench.experiment.executors import slurm
from lstmbench.experiment.sweep import CellDone, CellFailed
from lstmbench.host import environment
from lstmbench.host.signals import Interrupted
from lstmbench.interface.errors import OracleFailed, UsageError
from lstmbench.interface.workloads import MAIN
from lstmbench.plugins import registry as plugins
from lstmbench.protocol.observations import Record
from lstmbench.protocol.progress import Listener, Report, deaf, silent
from lstmbench.protocol.settings import QUICK, from_mapping, read_config
from lstmbench.protocol.sweep import Cell, Design, Plan, SweepConfig, sweep_config
from lstmbench.protocol.sweep import plan as make_plan
from lstmbench.records import folder as folders
from lstmbench.records import sweeps
from lstmbench.records.frame import frame
from lstmbench.records.settled import settled
from lstmbench.report import extras, formats, markdown
from lstmbench.report import sweep as sweep_report
from lstmbench.report.formats import ComparisonFormat, Format

if TYPE_CHECKING:
    import pandas

__all__ = [
    "CheckResult",
    "Recommendation",
    "RunComparison",
    "RunResult",
    "SelfTestResult",
    "SweepResult",
    "begin_sweep",
    "check",
    "collect",
    "compare",
    "figures",
    "ladder_tests",
    "load",
    "open_run",
    "open_sweep",
    "plan_sweep",
    "recommend",
    "render",
    "render_comparison",
    "resume",
    "run",
    "selftest",
    "site",
    "submit",
    "sweep",
    "sweep_cell",
    "write_tensorboard",
]


def run(
    *,
    output: str | Path | None = None,
    quick: bool = False,
    config: str | Path | None = None,
    progress: Report = silent,
    listener: Listener = deaf,
    tensorboard: str | Path | None = None,
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
    listener
        Is called with each record once it is on disk.
    tensorboard
        A folder that TensorBoard is to show: it is written after each epoch of training.
    settings
        As of the command line, with underscores: `backend="numpy,torch"`, `hidden=64`, ...

    Returns
    -------
    The result, which is also on disk: run.json, records.jsonl, summary.csv, report.md and, if the
    extra "report" is installed, report.html.
    """
    registry = plugins.discover()
    from_file = read_config(Path(config)) if config else {}
    given = from_mapping({**(QUICK if quick else {}), **from_file, **settings}, "settings")
    header = planning.plan(given, registry)
    stamp = datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
    folder = Path(output) if output else Path("results") / f"{stamp}-{given.task}"
    with _heard(listener, tensorboard, header) as hear:
        folders.create(folder, header)
        return _finish(folder, registry, progress, hear)


def resume(
    folder: str | Path,
    *,
    retry_failed: bool = False,
    progress: Report = silent,
    listener: Listener = deaf,
    tensorboard: str | Path | None = None,
) -> RunResult:
    """Do what is missing in a run's folder, after a kill or a crash, and return the result.

    With `retry_failed`, contenders whose process was killed, died or hung are tried again; where
    one was not timed with the others, all are timed anew. The rest is as in `run`.
    """
    registry = plugins.discover()
    found = folders.read(Path(folder))
    planning.check_resumable(found, registry)
    with _heard(listener, tensorboard, found.header) as hear:
        return _finish(Path(folder), registry, progress, hear, retry_failed)


@contextmanager
def _heard(
    listener: Listener, tensorboard: str | Path | None, header: folders.Header
) -> Iterator[Listener]:
    """Yield what passes records on to the listener, and to TensorBoard's files."""
    if tensorboard is None:
        yield listener
        return
    extras.need("tensorboard", "TensorBoard's files")
    from lstmbench.report.tensorboard import TensorBoard

    board = TensorBoard(Path(tensorboard), header)

    def hear(record: Record) -> None:
        listener(record)
        board.hear(record)

    try:
        yield hear
    finally:
        board.close()


def _finish(
    folder: Path,
    registry: plugins.Registry,
    progress: Report,
    listener: Listener,
    retry_failed: bool = False,
) -> RunResult:
    try:
        runs.resume(folder, registry, progress, retry_failed=retry_failed, listener=listener)
    except Interrupted as error:
        error.go_on = f"lstmbench run --resume {folder}"
        raise
    except OracleFailed:
        _write_reports(folder)
        raise
    return _write_reports(folder)


def _write_reports(folder: Path, page: bool = True) -> RunResult:
    result = open_run(folder)
    folders.write(folder / "summary.csv", render(result, "csv"))
    folders.write(folder / "report.md", render(result, "markdown"))
    if page and not extras.missing("report"):
        folders.write(folder / "report.html", render(result, "html"))
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


def render(result: RunResult, form: Format = "markdown") -> str:
    """Return the answer of a run as text, in one of the formats of `lstmbench report`.

    Raises UsageError if a library that the format needs is not installed.
    """
    return formats.render(result, form)


def figures(result: RunResult, folder: str | Path) -> list[Path]:
    """Write each chart of a run as SVG, PNG and PDF into a folder, and return the files.

    Raises UsageError if the extra "report" is not installed, or the folder cannot be written.
    """
    extras.need("report", "a figure")
    from lstmbench.report.charts import drawing, of_run
    from lstmbench.report.charts.chart import Cast

    folders.make(Path(folder))
    sections = of_run.sections(result, Cast.of(result, legend=True))
    charts = [chart for section in sections for chart in section.charts]
    return [path for chart in charts for path in drawing.write(chart, Path(folder))]


def write_tensorboard(result: RunResult, folder: str | Path) -> None:
    """Write the training of a run for TensorBoard: a folder of its own for each contender.

    Raises UsageError if the extra "tensorboard" is not installed, or the folder cannot be written.
    """
    extras.need("tensorboard", "TensorBoard's files")
    from lstmbench.report import tensorboard

    tensorboard.write(settled(result.run.records), Path(folder), result.header)


def render_comparison(
    before: RunResult, after: RunResult, form: ComparisonFormat = "markdown", gate: float = 0.05
) -> str:
    """Return the comparison of two runs as text, in one of the formats of `lstmbench compare`.

    `gate` is the share by which a contender may be slower. Raises UsageError if a library that the
    format needs is not installed.
    """
    found = comparison.compare(before, after)
    return formats.render_comparison(found, before, after, gate, form)


def compare(before: RunResult | str | Path, after: RunResult | str | Path) -> RunComparison:
    """Return what changed from one run to another; each is a result or a run's folder."""
    results = (one if isinstance(one, RunResult) else open_run(one) for one in (before, after))
    return comparison.compare(*results)


def site(
    places: Sequence[str | Path],
    output: str | Path,
    report: Callable[[int], None] = lambda done: None,
) -> int:
    """Write a static site of many runs into a folder, and return how many there are.

    Parameters
    ----------
    places
        Run folders, or folders of run folders.
    output
        The folder to write: a new one, or one that holds a site, which is brought up to date.
    report
        Is called with the number of runs that are done.

    Raises UsageError if the extra "report" is not installed.
    """
    extras.need("report", "a site")
    from lstmbench.report import site

    runs = [open_run(folder) for folder in site.find([Path(place) for place in places])]
    site.write(runs, Path(output), report)
    return len(runs)


def plan_sweep(
    axes: Mapping[str, Any] | None = None,
    *,
    design: Design | None = None,
    config: str | Path | None = None,
    **settings: Any,
) -> Plan:
    """Return the cells of a sweep over settings.

    Parameters
    ----------
    axes
        By setting, its values: a list, or a text such as "1,8,64" or "32:1024:x2".
    design
        "one-at-a-time", which is the default, or "grid".
    config
        A TOML file of settings and of `[sweep]`; what is given as arguments wins over it.
    settings
        What all cells share, as of `run`.

    Raises UsageError for what is no setting, or out of bounds in a cell.
    """
    base, told = sweep_config(Path(config)) if config else ({}, SweepConfig())
    return make_plan(
        {**base, **settings},
        {**told.axes, **(axes or {})},
        design or told.design,
        told.also,
        told.skip,
        told.executor,
    )


def sweep(
    plan: Plan,
    folder: str | Path,
    *,
    progress: Report = silent,
    listener: Listener = deaf,
    done: CellDone = lambda cell, path: None,
    failed: CellFailed = lambda cell, reason: None,
) -> SweepResult:
    """Run all cells of a sweep that have not been run, and return what they come to.

    The folder gets sweep.json, a run's folder for each cell in `cells/`, sweep.csv, report.md and,
    if the extra "report" is installed, report.html. `done` and `failed` hear of each cell.
    """
    path, registry = begin_sweep(plan, folder), plugins.discover()
    sweeping.check_threads(plan)

    def finish(cell: Cell, place: Path) -> None:
        _write_reports(place, page=False)
        done(cell, place)

    try:
        sweeping.run(path, plan, registry, finish, failed, progress, listener)
    except Interrupted as error:
        error.go_on = f"lstmbench sweep {folder}"
        raise
    return collect(path)


def begin_sweep(plan: Plan, folder: str | Path) -> Path:
    """Make a sweep's folder, unless there is one of the same plan, and return it."""
    version = environment.versions(["lstmbench"]).get("lstmbench", "unknown")
    sweeps.create(Path(folder), plan, version)
    return Path(folder)


def sweep_cell(
    folder: str | Path, key: str, *, progress: Report = silent, listener: Listener = deaf
) -> RunResult:
    """Run one cell of a sweep's folder, or what is missing of it, and return its result.

    `key` is the cell's number, from 1, or its name. Raises UsageError if it cannot be run here.
    """
    path, plan = Path(folder), sweeps.read(Path(folder)).plan
    cell, registry = plan.cell(key), plugins.discover()
    try:
        place = sweeping.run_cell(path, plan, cell, registry, None, progress, listener)
    except Interrupted as error:
        error.go_on = f"lstmbench sweep {folder} --cell {key}"
        raise
    return _write_reports(place, page=False)


def submit(folder: str | Path) -> tuple[str, int]:
    """Submit the cells of a sweep that are neither done nor submitted, and return at once.

    Returns the number of the job and how many cells it has. Raises UsageError if the sweep has no
    executor, or there is nothing to submit.
    """
    path, plan = Path(folder), sweeps.read(Path(folder)).plan
    if plan.executor is None:
        raise UsageError(f"{path / sweeps.SWEEP}: no [sweep.executor] was given in --config")
    numbers = [n for n, cell in enumerate(plan.cells, 1) if sweeps.state(path, cell) != "done"]
    waiting = slurm.waiting(path, numbers)
    left = [number for number in numbers if number not in waiting]
    if not left:
        raise UsageError(f"{str(folder)!r}: every cell is done or submitted")
    return slurm.submit(path, plan.executor, left), len(left)


def open_sweep(folder: str | Path) -> SweepResult:
    """Return what the cells of a sweep come to, as far as they have been run."""
    path = Path(folder)
    plan = sweeps.read(path).plan
    begun = sweeps.begun(path, plan)
    runs = [(c, open_run(sweeps.place(path, c))) for c in plan.cells if c.name in begun]
    missing = [cell for cell in plan.cells if cell.name not in begun]
    return sweep_analysis.analyse(plan, runs, missing)


def collect(folder: str | Path) -> SweepResult:
    """Write sweep.csv and the report of a sweep as far as it has been run; return its result."""
    result, path = open_sweep(folder), Path(folder)
    folders.write(path / sweeps.TABLE, sweep_report.table(result))
    folders.write(path / "report.md", markdown.render_sweep(sweep_report.document(result)))
    if not extras.missing("report"):
        from lstmbench.report.html import of_sweep

        folders.write(path / sweeps.PAGE, of_sweep.page(result))
    return result


def recommend(
    sweep: SweepResult | str | Path, workload: str = MAIN.name, **shape: Any
) -> Recommendation:
    """Return which contender is fastest at the measured cells nearest to a shape.

    `shape` are settings such as `batch=20, hidden=192`; those that are not given are the sweep's
    own. Raises UsageError for what is no such setting.
    """
    found = sweep if isinstance(sweep, SweepResult) else open_sweep(sweep)
    return recommending.recommend(found, recommending.wanted(found.plan, shape), workload)


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

"""A sweep: one cell after the other, each an ordinary run that is resumed like any."""

from collections.abc import Callable
from pathlib import Path

from lstmbench.execution.workers import WorkerFactory
from lstmbench.experiment import planning
from lstmbench.experiment import run as runs
from lstmbench.host import cpu
from lstmbench.interface.errors import OracleFailed, UsageError
from lstmbench.parity import CASES
from lstmbench.plugins.registry import Registry
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import Failure, Finished, RungResult
from lstmbench.protocol.progress import Listener, Report, deaf, silent
from lstmbench.protocol.settings import Settings
from lstmbench.protocol.sweep import Cell, Plan
from lstmbench.records import folder as folders
from lstmbench.records import sweeps
from lstmbench.records.folder import Header
from lstmbench.records.settled import settled

START_SECONDS, CELL_SECONDS = 4.0, 12.0
"""About what the start of a worker takes, and what a cell takes beside its launches."""

CellDone = Callable[[Cell, Path], None]
CellFailed = Callable[[Cell, str], None]


def check_threads(plan: Plan) -> None:
    """Raise UsageError if a cell has more threads than there are cores here."""
    for cell in plan.cells:
        _check_threads(cell, plan.settings(cell))


def _check_threads(cell: Cell, settings: Settings) -> None:
    cores = cpu.usable_cores()
    if settings.threads > cores:
        raise UsageError(
            f"cell {cell.name}: {settings.threads} threads, but this machine has {cores} usable "
            f"cores; take at most --threads {cores}"
        )


def seconds(plan: Plan, cell: Cell, contenders: int) -> float:
    """Return about how long a cell will take with so many contenders, at its least launches."""
    from lstmbench.interface.workloads import WORKLOADS

    settings = plan.settings(cell)
    blocks = settings.rounds * len(WORKLOADS) * settings.block_seconds
    return CELL_SECONDS + settings.launches * contenders * (START_SECONDS + 2 * blocks)


def run(
    folder: Path,
    plan: Plan,
    registry: Registry,
    done: CellDone,
    failed: CellFailed,
    report: Report = silent,
    listener: Listener = deaf,
) -> None:
    """Run all cells that are not done, one at a time; they share the code that is compiled.

    `done` is called after each, and `failed` with the reason of one that cannot be run; the others
    go on.
    """
    with WorkerFactory(registry) as factory:
        for cell in plan.cells:
            if sweeps.state(folder, cell) == "done":
                continue
            try:
                path = run_cell(folder, plan, cell, registry, factory, report, listener)
            except (UsageError, OracleFailed) as error:
                failed(cell, str(error))
                continue
            done(cell, path)


def run_cell(
    folder: Path,
    plan: Plan,
    cell: Cell,
    registry: Registry,
    factory: WorkerFactory | None = None,
    report: Report = silent,
    listener: Listener = deaf,
) -> Path:
    """Run one cell, or what is missing of it, and return its folder.

    Raises UsageError if it cannot be run here.
    """
    path = sweeps.place(folder, cell)
    if (path / folders.RUN).is_file():
        header = folders.header(path)
        planning.check_resumable(folders.read(path), registry)
    else:
        settings = plan.settings(cell)
        _check_threads(cell, settings)
        header = planning.plan(settings, registry, cell.name)
        folders.create(path, header)
    climbed = climbed_before(folder, plan, header)
    runs.resume(path, registry, report, factory, listener=listener, climbed=climbed)
    return path


def climbed_before(folder: Path, plan: Plan, header: Header) -> dict[Contender, list[RungResult]]:
    """Return the rungs of cases that do not depend on the shape, where another cell has them.

    That cell is of the same machine, versions, precision and threads.
    """
    found: dict[Contender, list[RungResult]] = {}
    for name, other in sweeps.begun(folder, plan).items():
        if name == header.cell or _ladder_key(other) != _ladder_key(header):
            continue
        missing = [one for one in header.contenders if one not in found]
        if not missing:
            break
        records = settled(folders.read(folder / sweeps.CELLS / name).records)
        ended = {r.contender for r in records if isinstance(r, Finished) and r.phase == "parity"}
        ended -= {r.contender for r in records if isinstance(r, Failure) and r.phase == "parity"}
        for one in missing:
            if one in ended:
                found[one] = [
                    record
                    for record in records
                    if isinstance(record, RungResult)
                    and record.contender == one
                    and record.case in CASES
                ]
    return {one: rungs for one, rungs in found.items() if rungs}


def _ladder_key(header: Header) -> tuple[object, ...]:
    """Return what the results at such cases depend on."""
    environment = header.environment
    return (
        environment.machine,
        environment.versions,
        environment.python,
        environment.variables,
        header.lstmbench,
        header.settings.dtype,
        header.settings.threads,
    )

"""The cells of a sweep that never was, with known speeds."""

from collections.abc import Mapping

from made_up_run import ENVIRONMENT, records
from msgspec.structs import replace

from lstmbench.analysis.analyse import analyse
from lstmbench.analysis.results import RunResult
from lstmbench.analysis.sweep import SweepResult
from lstmbench.analysis.sweep import analyse as analyse_sweep
from lstmbench.host.environment import Environment
from lstmbench.interface.workloads import WORKLOADS
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.sweep import Cell, Plan
from lstmbench.records.folder import Header, Run

Seconds = Mapping[str, float]
"""Seconds of a training step by backend; "torch" is the baseline."""


def cell_run(
    plan: Plan,
    cell: Cell,
    seconds: Seconds,
    machine: Environment = ENVIRONMENT,
    spread: float = 0.01,
) -> RunResult:
    """The result of one cell in which each one's steps take its seconds."""
    found = {Contender(backend=name): value for name, value in seconds.items()}
    settings = replace(plan.settings(cell), baseline="torch", threads=2)
    header = Header(
        lstmbench="0",
        created="2026-01-01T00:00:00+00:00",
        settings=settings,
        contenders=list(found),
        skipped={},
        environment=machine,
        cell=cell.name,
        workloads={name: workload.version for name, workload in WORKLOADS.items()},
    )
    return analyse(Run(header, records(found, spread)))


def sweep_of(
    plan: Plan,
    seconds: Mapping[str, Seconds],
    machines: Mapping[str, Environment] | None = None,
    spread: float = 0.01,
) -> SweepResult:
    """The result of a sweep, of which the named cells have been run."""
    where = machines or {}
    runs = [
        (cell, cell_run(plan, cell, seconds[cell.name], where.get(cell.name, ENVIRONMENT), spread))
        for cell in plan.cells
        if cell.name in seconds
    ]
    return analyse_sweep(plan, runs, [cell for cell in plan.cells if cell.name not in seconds])

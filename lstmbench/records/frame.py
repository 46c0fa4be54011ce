"""The observations of a run as a tidy table."""

from typing import TYPE_CHECKING, Any

from lstmbench.interface.workloads import WORKLOADS
from lstmbench.protocol.observations import Block, Epoch, Record, Startup, Trained
from lstmbench.records.folder import Run
from lstmbench.records.settled import settled

if TYPE_CHECKING:
    import pandas

COLUMNS = ("backend", "device", "metric", "unit", "launch", "round", "epoch", "value")

Observed = tuple[str, str, float | None]
"""A metric, its unit and its value."""


def frame(run: Run) -> "pandas.DataFrame":
    """Return all observations of a run, one a row, with its unit.

    Columns are COLUMNS; launch, round and epoch are missing where they do not apply.
    """
    import pandas

    rows = [row for record in settled(run.records) for row in _rows(record)]
    table = pandas.DataFrame(rows, columns=list(COLUMNS))
    counters = dict.fromkeys(("launch", "round", "epoch"), "Int64")
    return table.astype({**counters, "value": "float64"})


def _rows(record: Record) -> list[dict[str, Any]]:
    where: dict[str, int]
    match record:
        case Block():
            where = {"launch": record.launch, "round": record.round}
            metric = WORKLOADS[record.workload].metric
            values: list[Observed] = [(metric, "s", s) for s in record.seconds_per_unit]
        case Startup():
            where = {"launch": record.launch}
            names = ("import_seconds", "build_seconds", "compile_seconds", "first_step_seconds")
            values = [(name, "s", getattr(record, name)) for name in names]
        case Epoch():
            where = {"epoch": record.epoch}
            values = _epoch(record)
        case Trained():
            where = {}
            values = [("peak_memory", "bytes", record.peak_bytes)]
            values += [_metric(name, value) for name, value in record.metrics.items()]
        case _:
            return []
    contender = {"backend": record.contender.backend, "device": record.contender.device}
    return [{**contender, **where, "metric": m, "unit": u, "value": v} for m, u, v in values]


def _epoch(record: Epoch) -> list[Observed]:
    return [
        ("epoch_seconds", "s", record.seconds),
        ("teacher_forced_loss", "nats", record.teacher_forced_loss_nats),
        ("free_running_loss", "nats", record.free_running_loss_nats),
        ("loss", "nats", record.loss_nats),
        ("validation_accuracy", "1", record.validation_accuracy),
    ]


def _metric(name: str, value: float | None) -> Observed:
    bare = name.removesuffix("_nats")
    return bare, "1" if bare == name else "nats", value

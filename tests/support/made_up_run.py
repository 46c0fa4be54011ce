"""Records of a run that never was, with known speeds."""

import math

import numpy as np

from lstmbench.analysis import results as summary
from lstmbench.protocol.messages import (
    Block,
    Finished,
    Record,
    Row,
    Rung,
    Startup,
    Stopped,
    Workload,
)
from lstmbench.protocol.settings import Settings
from lstmbench.records import folder as store

BASE, FAST, EQUAL = (Row(backend=name, device="cpu") for name in ("torch", "fast", "equal"))
LAUNCHES, ROUNDS = 4, 3
ENVIRONMENT = {
    "cpu": "a processor",
    "cores_usable": 2,
    "memory_bytes": 2**34,
    "gpus": [],
    "load_average": [0.5, 0.4, 0.3],
    "frequency_governor": None,
    "platform": "an operating system",
    "python": "3.11",
    "versions": {"numpy": "2"},
    "git_commit": None,
}


def header(*rows: Row) -> store.Header:
    return store.Header(
        schema=1,
        lstmbench="0",
        created="2026-01-01T00:00:00+00:00",
        settings=Settings(baseline="torch", launches=LAUNCHES, rounds=ROUNDS, threads=2),
        rows=list(rows),
        skipped={"absent": "nothing: not installed; pip install 'nothing'"},
        environment=ENVIRONMENT,
    )


def step(row: Row, launch: int, round_: int, seconds: float, w: Workload = "train") -> Block:
    return Block(
        row=row,
        launch=launch,
        round=round_,
        position=0,
        workload=w,
        calls=10,
        seconds=[seconds * 10] if w != "generate" else [seconds * 64] * 10,
        digits=64 if w == "generate" else 0,
    )


def records(rows: dict[Row, float], spread: float = 0.01) -> list[Record]:
    """A finished run in which each row's steps take its seconds, the whole machine wavering."""
    random = np.random.default_rng(0)
    result: list[Record] = []
    for row in rows:
        result += [Rung(row=row, fixture="run", rung="forward", verdict="agrees", error=0.1)]
    for launch in range(1, LAUNCHES + 1):
        for row in rows:
            result.append(
                Startup(
                    row=row,
                    launch=launch,
                    import_seconds=1.0,
                    build_seconds=0.0,
                    compile_seconds=5.0 if row == FAST else 0.0,
                    first_step_seconds=0.0,
                    calls={"train": 10},
                    description={},
                    peak_bytes=3 << 20,
                    imported_bytes=1 << 20,
                )
            )
        life = {row: random.normal(0, spread) for row in rows}
        for round_ in range(ROUNDS):
            weather = random.normal(0, 0.3)
            for row, seconds in rows.items():
                noise = weather + life[row] + random.normal(0, spread)
                result.append(step(row, launch, round_, seconds * math.exp(noise)))
        result.append(Finished(phase="timing", launch=launch, seconds=1.0))
    result.append(Stopped(reason="precision", half_width=0.01))
    for row in rows:
        result += [Finished(phase="parity", row=row), Finished(phase="training", row=row)]
    return result


def summarised(rows: dict[Row, float], *more: Record) -> summary.Summary:
    return summary.summarise(store.Run(header(*rows), [*records(rows), *more]))


def line(found: summary.Summary, row: Row) -> summary.Line:
    return next(n for n in found.lines if n.row == row)


ROWS = {BASE: 0.010, EQUAL: 0.010, FAST: 0.005}

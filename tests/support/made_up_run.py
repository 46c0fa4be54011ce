"""Records of a run that never was, with known speeds."""

import math

import numpy as np

from lstmbench.analysis.analyse import analyse
from lstmbench.analysis.results import ContenderResult, RunResult
from lstmbench.host.environment import Environment
from lstmbench.parity import Comparison
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import (
    Block,
    Finished,
    Record,
    RungResult,
    Startup,
    Stopped,
)
from lstmbench.protocol.settings import Settings
from lstmbench.records.folder import Header, Run

BASE, FAST, EQUAL = (Contender(backend=name) for name in ("torch", "fast", "equal"))
LAUNCHES, ROUNDS = 4, 3
ENVIRONMENT = Environment(
    cpu="a processor",
    cores_usable=2,
    memory_bytes=2**34,
    load_average=[0.5, 0.4, 0.3],
    platform="an operating system",
    python="3.11",
    versions={"numpy": "2"},
)


def header(*contenders: Contender) -> Header:
    return Header(
        lstmbench="0",
        created="2026-01-01T00:00:00+00:00",
        settings=Settings(baseline="torch", launches=LAUNCHES, rounds=ROUNDS, threads=2),
        contenders=list(contenders),
        skipped={"absent": "nothing: not installed; pip install 'nothing'"},
        environment=ENVIRONMENT,
    )


def step(contender: Contender, launch: int, round_: int, seconds: float, w: str = "train") -> Block:
    """A block in which one step, pass or digit took so many seconds."""
    return Block(
        contender=contender,
        launch=launch,
        round=round_,
        position=0,
        workload=w,
        calls=10,
        seconds=[seconds * 10] if w != "generate" else [seconds * 64] * 10,
        units_per_call=64 if w == "generate" else 1,
    )


def records(contenders: dict[Contender, float], spread: float = 0.01) -> list[Record]:
    """A finished run in which each one's steps take its seconds, on a machine that wavers."""
    random = np.random.default_rng(0)
    result: list[Record] = []
    passed = Comparison(outcome="passed", error=0.1)
    for one in contenders:
        result += [RungResult(contender=one, case="run", rung="forward", result=passed)]
    for launch in range(1, LAUNCHES + 1):
        for one in contenders:
            result.append(
                Startup(
                    contender=one,
                    launch=launch,
                    import_seconds=1.0,
                    build_seconds=0.0,
                    compile_seconds=5.0 if one == FAST else 0.0,
                    first_step_seconds=0.0,
                    calls={"train": 10},
                    description={},
                    peak_bytes=3 << 20,
                    imported_bytes=1 << 20,
                )
            )
        life = {one: random.normal(0, spread) for one in contenders}
        for round_ in range(ROUNDS):
            weather = random.normal(0, 0.3)
            for one, seconds in contenders.items():
                noise = weather + life[one] + random.normal(0, spread)
                result.append(step(one, launch, round_, seconds * math.exp(noise)))
        result.append(Finished(phase="timing", launch=launch, seconds=1.0))
    result.append(Stopped(reason="precision", half_width=0.01))
    for one in contenders:
        result += [Finished(phase=phase, contender=one) for phase in ("parity", "training")]
    return result


def result_of(contenders: dict[Contender, float], *more: Record) -> RunResult:
    """The result of such a run, with more records at its end."""
    return analyse(Run(header(*contenders), [*records(contenders), *more]))


def of(found: RunResult, contender: Contender) -> ContenderResult:
    """What was found out about one contender."""
    return found[contender.label]


CONTENDERS = {BASE: 0.010, EQUAL: 0.010, FAST: 0.005}

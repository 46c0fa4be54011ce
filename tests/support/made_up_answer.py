"""Records of a run that never was, in which everything was measured."""

import math
from collections.abc import Sequence

import numpy as np
from made_up_run import ENVIRONMENT
from msgspec.structs import replace

from lstmbench.analysis.analyse import analyse
from lstmbench.analysis.results import RunResult
from lstmbench.interface.workloads import WORKLOADS
from lstmbench.parity import Comparison
from lstmbench.parity.rungs import ORDER
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import (
    Block,
    Ceiling,
    Disturbance,
    Epoch,
    Failure,
    Finished,
    MachinePeaks,
    Record,
    RungResult,
    Startup,
    Stopped,
    Trained,
)
from lstmbench.protocol.settings import Settings
from lstmbench.records.folder import Header, Run

HOSTILE = "</script><b onload=alert(1)>\x1b[31m & \u202e"
"""What a plugin may write where its messages are shown."""
LONG = "a_name_that_is_long_" * 4
"""A name that plugins may have."""
SECONDS = {"stage": 1e-5, "forward": 2e-3, "gradients": 6e-3, "train": 7e-3, "generate": 1e-4}


def contenders(count: int) -> list[Contender]:
    """So many contenders, the second of which is the baseline."""
    names = [f"backend{number:02d}" for number in range(count)]
    if count > 1:
        names[1] = "torch"
    return [Contender(backend=name) for name in names]


def header(found: Sequence[Contender], launches: int, rounds: int, epochs: int) -> Header:
    return Header(
        lstmbench="0",
        created="2026-01-02T03:04:05+00:00",
        settings=Settings(
            baseline="torch", launches=launches, rounds=rounds, threads=2, epochs=epochs
        ),
        contenders=list(found),
        skipped={},
        environment=ENVIRONMENT,
        workloads={name: workload.version for name, workload in WORKLOADS.items()},
    )


def answer(
    count: int, launches: int = 3, rounds: int = 4, epochs: int = 5, *more: Record
) -> RunResult:
    """The result of such a run, with more records at its end."""
    found = contenders(count)
    return analyse(
        Run(
            header(found, launches, rounds, epochs),
            [*records(found, launches, rounds, epochs), *more],
        )
    )


def with_a_failure(count: int = 3, launches: int = 2) -> RunResult:
    """The result of a run in which the first contender crashed, and wrote what is hostile.

    The last one has a long name.
    """
    found = [*contenders(count)[:-1], Contender(backend=LONG)]
    bad = found[0]
    kept = [
        record
        for record in records(found, launches, 2, 3)
        if not (getattr(record, "contender", None) == bad and not isinstance(record, RungResult))
    ]
    wrong = Comparison(outcome="failed", error=1e6, tolerance=1e-6, array=HOSTILE, note=HOSTILE)
    kept.append(RungResult(contender=bad, case="odd", rung="gradients", result=wrong))
    kept.append(Failure(contender=bad, phase="timing", kind="raised", message=HOSTILE))
    run = header(found, launches, 2, 3)
    run = replace(run, skipped={"absent": HOSTILE}, environment=replace(ENVIRONMENT, cpu=HOSTILE))
    return analyse(Run(run, kept))


def records(found: Sequence[Contender], launches: int, rounds: int, epochs: int) -> list[Record]:
    random = np.random.default_rng(0)
    result: list[Record] = [_ceiling()]
    for number, one in enumerate(found):
        result += _once(one, number, epochs)
    for launch in range(1, launches + 1):
        result += _launch(found, launch, rounds, random)
    result.append(Stopped(reason="precision", half_width=0.01))
    for one in found:
        result += [Finished(phase=phase, contender=one) for phase in ("parity", "training")]
    return result


def _ceiling() -> Ceiling:
    return Ceiling(
        task="digits",
        bayes_accuracy=0.98,
        entropy_floor_nats=0.13,
        test_bayes_accuracy=0.981,
        test_cross_entropy_nats=0.131,
        ngram_accuracy={"1": 0.2, "5": 0.96},
    )


def _once(one: Contender, number: int, epochs: int) -> list[Record]:
    result: list[Record] = [_startup(one, 0, number)]
    for case in ("odd", "run"):
        for rung in ORDER:
            exact = rung == "shapes"
            passed = Comparison(
                outcome="passed",
                error=None if exact else 0.001 * 4 ** (number % 5),
                tolerance=None if exact else 1e-6,
                array="" if exact else "logits",
            )
            result.append(
                RungResult(contender=one, case=case, rung=rung, result=passed, seconds=0.01)
            )
    for epoch in range(epochs):
        result.append(
            Epoch(
                contender=one,
                epoch=epoch,
                seconds=0.2 * (1 + number / 10),
                teacher_forced_batches=10,
                free_running_batches=15,
                teacher_forced_loss_nats=0.2 + 2 / (1 + epoch),
                free_running_loss_nats=0.4 + 2 / (1 + epoch),
                loss_nats=0.3 + 2 / (1 + epoch),
                validation_accuracy=0.96 - 0.8 / (1 + epoch),
            )
        )
    metrics: dict[str, float | None] = {
        "test_accuracy": 0.96,
        "test_accuracy_low": 0.958,
        "test_accuracy_high": 0.962,
        "test_accuracy_share_of_bayes": 0.978,
    }
    result.append(
        Trained(contender=one, metrics=metrics, peak_bytes=3 << 20, imported_bytes=1 << 20)
    )
    return result


def _startup(one: Contender, launch: int, number: int) -> Startup:
    return Startup(
        contender=one,
        launch=launch,
        import_seconds=0.1 * number,
        build_seconds=0.01,
        compile_seconds=5.0 if number == 0 else 0.0,
        first_step_seconds=0.02,
        calls=dict.fromkeys(WORKLOADS, 4),
        description={},
        peak_bytes=3 << 20,
        imported_bytes=1 << 20,
    )


def _launch(
    found: Sequence[Contender], launch: int, rounds: int, random: np.random.Generator
) -> list[Record]:
    result: list[Record] = [
        MachinePeaks(launch=launch, matrix_flops_per_second=2e11, memory_bytes_per_second=5e10)
    ]
    result += [_startup(one, launch, number) for number, one in enumerate(found)]
    life = {one: random.normal(0, 0.02) for one in found}
    for round_ in range(rounds):
        weather = random.normal(0, 0.2)
        for number, one in enumerate(found):
            factor = (1 + number / 4) * math.exp(weather + life[one] + random.normal(0, 0.01))
            result += [
                _block(one, launch, round_, name, seconds * factor, random)
                for name, seconds in SECONDS.items()
            ]
    result.append(Disturbance(launch=launch, other_share=0.01, stolen_share=0.0))
    result.append(Finished(phase="timing", launch=launch, seconds=10.0))
    return result


def _block(
    one: Contender, launch: int, round_: int, name: str, seconds: float, random: np.random.Generator
) -> Block:
    workload, calls = WORKLOADS[name], 40
    units = workload.units_per_call
    apart = workload.timed_apart
    times = (seconds * units * np.exp(random.exponential(0.2, calls))).tolist()
    return Block(
        contender=one,
        launch=launch,
        round=round_,
        position=0,
        workload=name,
        calls=calls,
        seconds=times if apart else [seconds * units * calls],
        units_per_call=units,
        stage_seconds=1e-5 if workload.verified else None,
    )

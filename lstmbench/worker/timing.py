"""The worker's clock: blocks of work, timed so that all of it is inside and nothing else is."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from lstmbench.interface import Backend, Parameters
from lstmbench.interface.parameters import random_generator
from lstmbench.interface.workloads import Arrays, Workload
from lstmbench.protocol.settings import Settings

WARM_UP_CALLS = 2
CALIBRATION_CALLS = 3
MAXIMUM_CALLS = 2_000
SETTLE_SECONDS = 0.003


class Timed(NamedTuple):
    """Seconds of all calls together, or of each; and what all calls handed out, warm-up first."""

    seconds: list[float]
    results: list[Arrays]


def inputs(
    workload: Workload, settings: Settings, launch: int, round_: int, calls: int
) -> np.ndarray:
    """Return fresh uniform digits for each call, calls first, warm-up calls among them.

    They are the same for all contenders, and those of a call do not depend on how many there are.
    """
    random = random_generator(settings.seed, workload.key, launch, round_)
    return workload.inputs(random, calls + WARM_UP_CALLS, settings.shape)


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Keep Python's collector out of what is timed."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def run(backend: Backend, workload: Workload, sequences: np.ndarray) -> Timed:
    """Make one call for each of `sequences`, on inputs staged before the clock starts.

    Calls are made one after the other without waiting, as in training, and timed together until
    every result is on the host and the device is done; or each by itself, if the workload is
    timed apart.
    """
    staged = [workload.stage(backend, x) for x in sequences]
    groups = [[x] for x in staged] if workload.timed_apart else [staged]
    timed = Timed([], [])
    with no_garbage_collection():
        for group in groups:
            seconds, results = _timed_group(backend, workload, group)
            timed.seconds.append(seconds)
            timed.results.extend(results)
    return timed


def _timed_group(
    backend: Backend, workload: Workload, group: list[Any]
) -> tuple[float, list[Arrays]]:
    backend.synchronize()
    start = time.perf_counter()
    pending = [workload.call(backend, x) for x in group]
    results = [workload.fetch(backend, result) for result in pending]
    backend.synchronize()
    return time.perf_counter() - start, results


def block(
    backend: Backend, initial: Parameters, workload: Workload, sequences: np.ndarray
) -> Timed:
    """Time one block from freshly loaded parameters: WARM_UP_CALLS calls, then the timed ones.

    The pause lets the threads of the worker whose turn it was before fall asleep; the warm-up
    brings back the caches that the others have used since.
    """
    backend.load(initial)
    time.sleep(SETTLE_SECONDS)
    warm = run(backend, workload, sequences[:WARM_UP_CALLS])
    timed = run(backend, workload, sequences[WARM_UP_CALLS:])
    return Timed(timed.seconds, warm.results + timed.results)


def calls_for(
    backend: Backend,
    initial: Parameters,
    workload: Workload,
    sequences: np.ndarray,
    seconds: float,
) -> int:
    """Return how many calls fill a block of about `seconds`, by a trial on `sequences`."""
    timed = block(backend, initial, workload, sequences)
    per_call = sum(timed.seconds) / (len(sequences) - WARM_UP_CALLS)
    return max(1, min(MAXIMUM_CALLS, round(seconds / per_call)))

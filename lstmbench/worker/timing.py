"""The worker's clock: blocks of work, timed so that all of it is inside and nothing else is."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from lstmbench.interface import Backend, Parameters
from lstmbench.interface.parameters import random_generator
from lstmbench.interface.workloads import Arrays, Workload
from lstmbench.protocol.settings import Settings

WARM_UP_CALLS = 2
CALIBRATION_CALLS = 3
MAXIMUM_CALLS = 2_000
SETTLE_SECONDS = 0.003
STAGING_SHARE = 10
"""Staging may take so many times as long as a block; more calls are not made."""
TICKS, LOOKS = 5, 1_000_000
"""How many steps of the clock are looked at, and how often at most until it makes one."""
PARAMETERS_KEY = 1
"""The spawn key of a block's parameters, beside those of its inputs."""


@dataclass
class Timed:
    """What came of timing some calls, all times in seconds."""

    seconds: list[float] = field(default_factory=list)
    """Of all calls together, or of each."""
    results: list[Arrays] = field(default_factory=list)
    """What each call returned and was fetched inside the clock, and one call's whole result."""
    whole: int = 0
    """The number of that call."""
    stage_seconds: float = 0.0
    """Of staging the inputs of all calls, before the clock started."""
    rest_seconds: float = 0.0
    """Of bringing the rest of the one call's result to the host, after the clock had stopped."""
    copy_seconds: float = 0.0
    """Of copying as many bytes on the host."""


def inputs(
    workload: Workload, settings: Settings, launch: int, round_: int, calls: int
) -> np.ndarray:
    """Return fresh uniform digits for each call, calls first, warm-up calls among them.

    They are the same for all contenders, and those of a call do not depend on how many there are.
    """
    random = random_generator(settings.seed, workload.key, launch, round_)
    return workload.inputs(random, calls + WARM_UP_CALLS, settings.shape)


def parameters(
    workload: Workload, settings: Settings, launch: int, round_: int, initial: Parameters
) -> Parameters:
    """Return the parameters that a block starts from, the same for all contenders."""
    random = random_generator(settings.seed, workload.key, launch, round_, PARAMETERS_KEY)
    return workload.parameters(initial, random)


@cache
def tick() -> float:
    """Return the least seconds that the clock tells, which may be 16 ms.

    What takes less is noted as so long: more is not known of it.
    """
    return min(_step() for _ in range(TICKS))


def _step() -> float:
    start = time.perf_counter()
    for _ in range(LOOKS):
        if (now := time.perf_counter()) > start:
            return now - start
    return time.get_clock_info("perf_counter").resolution


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
    what is fetched is on the host and the device is done; or each by itself, if the workload is
    timed apart. Of one call, drawn at random, the whole result is fetched afterwards: if that takes
    long, it had not been computed.
    """
    backend.synchronize()
    start = time.perf_counter()
    staged = [workload.stage(backend, x) for x in sequences]
    backend.synchronize()
    timed = Timed(stage_seconds=time.perf_counter() - start)
    random = np.random.default_rng()  # not from the seed: nobody is to know
    timed.whole = int(random.integers(len(staged)))
    picks = random.integers(1 << 63, size=len(staged)).tolist()
    size = 1 if workload.timed_apart else len(staged)
    with no_garbage_collection():
        for first in range(0, len(staged), size):
            group = list(
                zip(staged[first : first + size], picks[first : first + size], strict=True)
            )
            _time_group(backend, workload, group, timed)
    return timed


def _time_group(
    backend: Backend, workload: Workload, group: list[tuple[Any, int]], timed: Timed
) -> None:
    """Make some calls inside one clock, and add what comes of it to `timed`."""
    whole_here = timed.whole - len(timed.results)
    whole: dict[str, Any] = {}
    pending: list[dict[str, Any]] = []
    backend.synchronize()
    start = time.perf_counter()
    for number, (staged, pick) in enumerate(group):
        called = workload.call(backend, staged)
        pending.append({name: called[name] for name in workload.fetched(tuple(called), pick)})
        if number == whole_here:
            whole = called
    results = [{name: backend.fetch(a) for name, a in called.items()} for called in pending]
    backend.synchronize()
    timed.seconds.append(max(time.perf_counter() - start, tick()))
    if 0 <= whole_here < len(group):
        results[whole_here] |= _rest(backend, workload, whole, results[whole_here], timed)
    timed.results += results


def _rest(
    backend: Backend, workload: Workload, whole: dict[str, Any], fetched: Arrays, timed: Timed
) -> Arrays:
    """Fetch what was not fetched of a call's result, and note how long it takes."""
    if not workload.verified:
        return {}
    start = time.perf_counter()
    rest = {name: backend.fetch(a) for name, a in whole.items() if name not in fetched}
    timed.rest_seconds = time.perf_counter() - start
    start = time.perf_counter()
    copies = [array.copy() for array in rest.values()]
    timed.copy_seconds = time.perf_counter() - start if copies else 0.0
    return rest


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
    timed.results = warm.results + timed.results
    timed.whole += WARM_UP_CALLS
    return timed


def calls_for(
    backend: Backend,
    initial: Parameters,
    workload: Workload,
    sequences: np.ndarray,
    seconds: float,
) -> int:
    """Return how many calls fill a block of about `seconds`, by a trial on `sequences`.

    Fewer where staging their inputs would take longer than STAGING_SHARE times that.
    """
    timed = block(backend, initial, workload, sequences)
    trials = len(sequences) - WARM_UP_CALLS
    calls = seconds * trials / sum(timed.seconds)
    stageable = STAGING_SHARE * seconds * trials / max(timed.stage_seconds, 1e-9)
    return max(1, min(MAXIMUM_CALLS, round(min(calls, stageable))))

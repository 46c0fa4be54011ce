"""The worker's clock: blocks of work, timed so that all of it is inside and nothing else is."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from lstmbench.interface import VOCABULARY, Backend, Parameters
from lstmbench.interface.parameters import random_generator
from lstmbench.protocol.messages import Workload

DIGITS_PER_CALL = 64
WARM_UP_CALLS = 2
CALIBRATION_CALLS = 3
MAXIMUM_CALLS = 2_000
SETTLE_SECONDS = 0.003
DEEPEST = "lstm.0.weight_ih"
"""The gradient that a backward pass comes to last; by name, as mappings may be in any order."""

CAPABILITIES: dict[Workload, str] = {
    "stage": "",
    "forward": "forward",
    "gradients": "loss_and_gradients",
    "train": "train_step",
    "generate": "generate",
}
"""The capability that each workload needs, in the order in which they are timed."""

Arrays = dict[str, np.ndarray]


class Timed(NamedTuple):
    """Seconds of all calls together, or of each; and the results of all calls, warm-up first."""

    seconds: list[float]
    results: list[Any]


def inputs(
    workload: Workload,
    seed: int,
    launch: int,
    round_: int,
    calls: int,
    batch: int,
    length: int,
) -> np.ndarray:
    """Fresh uniform digits for each call: (calls, B, T + 1), or (calls, 1, 1) for "generate".

    The same for all backends, and call k does not depend on how many calls there are.
    """
    key = 1 + list(CAPABILITIES).index(workload)  # (0, ...) are the keys of the task's data
    random = random_generator(seed, key, launch, round_)
    shape = (1, 1) if workload == "generate" else (batch, length + 1)
    return random.integers(0, VOCABULARY, (calls, *shape), dtype=np.uint8)


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Keep Python's collector out of what is timed."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _stage(backend: Backend, sequences: np.ndarray) -> Any:
    return backend.stage(sequences[:, :-1]), backend.stage(sequences[:, 1:])


def _call(backend: Backend, workload: Workload, given: Any) -> Any:
    """One call; what it returns may still be being computed."""
    match workload:
        case "stage":
            return _stage(backend, given)
        case "forward":
            return backend.forward(given[0])[0]
        case "gradients":
            loss, gradients = backend.loss_and_gradients(*given)
            return loss, gradients[DEEPEST]
        case "train":
            return backend.train_step(*given)
        case "generate":
            return backend.generate(given, DIGITS_PER_CALL)


def _consume(backend: Backend, workload: Workload, result: Any) -> Any:
    """A result as it is needed on the host; staged inputs have nothing to fetch."""
    if workload == "stage":
        return None
    if workload == "gradients":
        return tuple(backend.fetch(array) for array in result)
    return backend.fetch(result)


def run(backend: Backend, workload: Workload, sequences: np.ndarray) -> Timed:
    """Make one call for each of `sequences`, on inputs staged before the clock starts.

    Calls are made one after the other without waiting, as in training, and timed together until
    every result is on the host and the device is done; those of "generate" are timed one by one,
    as someone waits for the digits.
    """
    match workload:
        case "stage":
            given = list(sequences)
        case "generate":
            given = [backend.stage(prompt) for prompt in sequences]
        case _:
            given = [_stage(backend, x) for x in sequences]
    apart = workload == "generate"
    groups = [[x] for x in given] if apart else [given]
    seconds, results = [], []
    with no_garbage_collection():
        for group in groups:
            backend.synchronize()
            start = time.perf_counter()
            pending = [_call(backend, workload, x) for x in group]
            done = [_consume(backend, workload, result) for result in pending]
            backend.synchronize()
            seconds.append(time.perf_counter() - start)
            results += done
    return Timed(seconds, results)


def block(
    backend: Backend, initial: Parameters, workload: Workload, sequences: np.ndarray
) -> Timed:
    """One block from freshly loaded parameters: WARM_UP_CALLS calls, then the timed ones.

    The pause lets the threads of the worker whose turn it was before fall asleep; the warm-up
    brings back the caches that the others have used since.
    """
    backend.load(initial)
    time.sleep(SETTLE_SECONDS)
    warm = run(backend, workload, sequences[:WARM_UP_CALLS])
    timed = run(backend, workload, sequences[WARM_UP_CALLS:])
    return Timed(timed.seconds, warm.results + timed.results)


def outputs(workload: Workload, results: list[Any], calls: list[int]) -> Arrays:
    """Results of the calls named, as arrays that can be held against a reference."""
    chosen = [results[n] for n in calls]
    match workload:
        case "train":
            return {"loss": np.array([float(loss) for loss in chosen])}
        case "forward":
            return {"logits": np.concatenate(chosen)}
        case "gradients":
            return {
                "loss": np.array([float(loss) for loss, _ in chosen]),
                "gradient": np.stack([gradient for _, gradient in chosen]),
            }
        case "generate":
            return {"digits": np.concatenate(chosen)}
        case "stage":
            return {}


def calls_for(
    backend: Backend,
    initial: Parameters,
    workload: Workload,
    sequences: np.ndarray,
    seconds: float,
) -> int:
    """How many calls fill a block of about `seconds`, by a trial on `sequences`."""
    timed = block(backend, initial, workload, sequences)
    per_call = sum(timed.seconds) / (len(sequences) - WARM_UP_CALLS)
    return max(1, min(MAXIMUM_CALLS, round(seconds / per_call)))

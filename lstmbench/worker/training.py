"""Training a backend on a task, and what the trained model is worth."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from lstmbench import statistics
from lstmbench.interface import Backend, Task
from lstmbench.interface.parameters import random_generator
from lstmbench.interface.workloads import Arrays
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.messages import Evaluated, TrainOracle
from lstmbench.protocol.observations import Ceiling, Epoch, OracleEpoch, OracleTrained
from lstmbench.protocol.settings import Settings
from lstmbench.worker import metrics

VALIDATION_SEQUENCES = 2_000
TEST_SEQUENCES = 10_000
SMALL_TEST_SEQUENCES = 50
GENERATED_SEQUENCES = 1_000
EVALUATION_BATCH = 500
SHOWN_SEQUENCES = 20
"""How many generated sequences are compared with the oracle's."""


class Lesson(NamedTuple):
    """An epoch's batches (n, B, T + 1), and which of them are free-running (n,)."""

    epoch: int
    batches: np.ndarray
    free: np.ndarray


def lessons(task: Task, settings: Settings) -> Iterator[Lesson]:
    """Yield what is trained on, epoch by epoch; the same for all, and for the oracle."""
    coins = random_generator(settings.seed, 0, 4)
    count = settings.batches_per_epoch
    for epoch in range(settings.epochs):
        data = task.sequences(settings.seed, "train", count * settings.batch, epoch)
        free = coins.random(count) >= settings.teacher_forcing
        yield Lesson(epoch, np.stack(np.split(data, count)), free)


def train(
    backend: Backend, task: Task, settings: Settings, contender: Contender
) -> Iterator[Epoch | Evaluated]:
    """Train for all epochs, from the parameters that are loaded; yields after each epoch.

    After one epoch, drawn at random, what the model made of one batch is yielded too. The clock
    runs over training steps alone. A loss that is not finite ends the training with
    FloatingPointError.
    """
    validation = task.sequences(settings.seed, "validation", VALIDATION_SEQUENCES)
    truth = metrics.predictions(task, validation)
    random = np.random.default_rng()  # not from the seed: nobody is to know
    shown = random.integers(settings.epochs)
    for epoch, batches, free in lessons(task, settings):
        pairs = [(backend.stage(x[:, :-1]), backend.stage(x[:, 1:])) for x in batches]
        seconds, losses = _run_epoch(backend, pairs, free)
        if not np.isfinite(losses).all():
            raise FloatingPointError(f"training loss is not finite in epoch {epoch}")
        logits = _logits(backend, validation)
        yield Epoch(
            contender=contender,
            epoch=epoch,
            seconds=seconds,
            teacher_forced_batches=int((~free).sum()),
            free_running_batches=int(free.sum()),
            teacher_forced_loss_nats=float(losses[~free].mean()) if (~free).any() else None,
            free_running_loss_nats=float(losses[free].mean()) if free.any() else None,
            loss_nats=float(losses.mean()),
            validation_accuracy=float(metrics.hits(logits.argmax(-1), truth).mean()),
            losses_nats=losses.tolist(),
        )
        if epoch == shown:
            yield _evaluated(backend, epoch, _one_batch(random, validation, logits))


def train_oracle(
    backend: Backend, task: Task, settings: Settings, request: TrainOracle
) -> Iterator[OracleEpoch | OracleTrained]:
    """Train the oracle from the parameters that are loaded, as far as it was asked to."""
    start, accuracy = time.monotonic(), None
    for epoch, batches, free in lessons(task, settings):
        if epoch == request.epochs:
            break
        losses = []
        for x, f in zip(batches, free, strict=True):
            pair = backend.stage(x[:, :-1]), backend.stage(x[:, 1:])
            losses.append(float(backend.train_step(*pair, free_running=bool(f))))
            if time.monotonic() - start > request.seconds:
                break
        told = [loss if np.isfinite(loss) else None for loss in losses]
        yield OracleEpoch(variant=request.variant, epoch=epoch, losses_nats=told)
        if len(losses) < len(batches) or None in told:
            break
    else:
        truth = metrics.predictions(task, task.sequences(settings.seed, "test", TEST_SEQUENCES))
        guesses = _logits(backend, truth.sequences).argmax(-1)
        accuracy = float(metrics.hits(guesses, truth).mean())
    seconds = time.monotonic() - start
    yield OracleTrained(variant=request.variant, seconds=seconds, test_accuracy=accuracy)


def _run_epoch(
    backend: Backend, batches: list[tuple[Any, Any]], free: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return the seconds of all steps of an epoch, and their losses."""
    backend.synchronize()
    start = time.perf_counter()
    results = [
        backend.train_step(x, y, free_running=bool(f))
        for (x, y), f in zip(batches, free, strict=True)
    ]
    backend.fetch(results[-1])
    backend.synchronize()
    seconds = time.perf_counter() - start
    return seconds, np.array([float(backend.fetch(loss)) for loss in results])


def _logits(backend: Backend, sequences: np.ndarray) -> np.ndarray:
    """Return the logits (n, T, V) of all sequences, a batch at a time.

    Raises FloatingPointError if one is not finite.
    """
    parts = [
        backend.fetch(backend.forward(backend.stage(part[:, :-1]))[0])
        for part in np.split(sequences, range(EVALUATION_BATCH, len(sequences), EVALUATION_BATCH))
    ]
    logits = np.concatenate(parts)
    if not np.isfinite(logits).all():
        raise FloatingPointError("logits are not finite in evaluation")
    return logits


class Shown(NamedTuple):
    """What went into an evaluation and what came out, by name."""

    given: Arrays
    found: Arrays


def _one_batch(random: np.random.Generator, sequences: np.ndarray, logits: np.ndarray) -> Shown:
    """Return one batch of an evaluation, drawn at random."""
    first = EVALUATION_BATCH * int(random.integers(-(-len(sequences) // EVALUATION_BATCH)))
    rows = slice(first, first + EVALUATION_BATCH)
    return Shown({"logits": sequences[rows, :-1]}, {"logits": logits[rows]})


def _evaluated(backend: Backend, epoch: int, *shown: Shown) -> Evaluated:
    return Evaluated(
        epoch=epoch,
        parameters=backend.parameters(),
        sequences={name: array for one in shown for name, array in one.given.items()},
        arrays={name: array for one in shown for name, array in one.found.items()},
    )


def evaluate(
    backend: Backend, task: Task, settings: Settings
) -> tuple[dict[str, float], Evaluated]:
    """Return the metrics on the test split, and what they were made from in part.

    Metrics with a unit have it in their name. The part, drawn at random, is a batch of logits, and
    some rows of generated digits.
    """
    truth = metrics.predictions(task, task.sequences(settings.seed, "test", TEST_SEQUENCES))
    random = np.random.default_rng()  # not from the seed: nobody is to know
    logits = _logits(backend, truth.sequences)
    shown = [_one_batch(random, truth.sequences, logits)]
    log_probabilities = metrics.log_softmax(logits)
    guesses = log_probabilities.argmax(-1)
    hits = metrics.hits(guesses, truth)
    best = truth.probabilities.argmax(-1)
    ceiling = float(metrics.hits(best, truth).mean())
    accuracy = statistics.proportion(hits)
    small = statistics.proportion(hits[:SMALL_TEST_SEQUENCES])
    model, process = (
        metrics.cross_entropy(p, truth) for p in (log_probabilities, np.log(truth.probabilities))
    )
    result = {
        "test_accuracy": accuracy.value,
        "test_accuracy_low": accuracy.low,
        "test_accuracy_high": accuracy.high,
        "test_accuracy_share_of_bayes": accuracy.value / ceiling,
        "small_test_accuracy": small.value,
        "small_test_accuracy_low": small.low,
        "small_test_accuracy_high": small.high,
        "agreement_with_best_guess": float((guesses == best)[:, truth.scored].mean()),
        "test_cross_entropy_nats": model,
        "test_cross_entropy_above_process_nats": model - process,
        "divergence_from_process_nats": metrics.divergence(log_probabilities, truth),
    }
    if "generate" in backend.capabilities():
        prompts, digits = _generated(backend, task, settings.seed)
        written = metrics.predictions(task, np.concatenate([prompts, digits], 1).astype(np.uint8))
        entropy = metrics.cross_entropy(np.log(written.probabilities), written)
        result["generated_cross_entropy_nats"] = entropy
        rows = random.choice(GENERATED_SEQUENCES, SHOWN_SEQUENCES, replace=False)
        shown.append(Shown({"digits": prompts[rows]}, {"digits": digits[rows]}))
    return result, _evaluated(backend, settings.epochs - 1, *shown)


def _generated(backend: Backend, task: Task, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return prompts (n, 1), and the digits (n, T) that the model writes after them."""
    prompts = random_generator(seed, 0, 6).integers(0, 10, (GENERATED_SEQUENCES, 1), np.uint8)
    digits = backend.fetch(backend.generate(backend.stage(prompts), task.length))
    return prompts, digits


def survey(task: Task, name: str, settings: Settings) -> Ceiling:
    """Return what can be reached on the test split, exactly and by guessing from few digits."""
    truth = metrics.predictions(task, task.sequences(settings.seed, "test", TEST_SEQUENCES))
    per_epoch = settings.batch * settings.batches_per_epoch
    epochs = range(settings.epochs)
    fit = np.concatenate(
        [task.sequences(settings.seed, "train", per_epoch, epoch) for epoch in epochs]
    )
    return Ceiling(
        task=name,
        bayes_accuracy=task.bayes_accuracy,
        entropy_floor_nats=task.entropy_floor,
        test_bayes_accuracy=float(metrics.hits(truth.probabilities.argmax(-1), truth).mean()),
        test_cross_entropy_nats=metrics.cross_entropy(np.log(truth.probabilities), truth),
        ngram_accuracy=metrics.ngram_accuracy(fit, truth),
    )

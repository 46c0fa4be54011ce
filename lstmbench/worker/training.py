"""Training a backend on a task, and what the trained model is worth."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from lstmbench import statistics
from lstmbench.interface import Backend, Task
from lstmbench.interface.parameters import random_generator
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import Ceiling, Epoch
from lstmbench.protocol.settings import Settings
from lstmbench.worker import metrics

VALIDATION_SEQUENCES = 2_000
TEST_SEQUENCES = 10_000
SMALL_TEST_SEQUENCES = 50
GENERATED_SEQUENCES = 1_000
EVALUATION_BATCH = 500


def train(
    backend: Backend, task: Task, settings: Settings, contender: Contender
) -> Iterator[Epoch]:
    """Train for all epochs, from the parameters that are loaded; yields after each epoch.

    The clock runs over training steps alone. A loss that is not finite ends the training with
    FloatingPointError.
    """
    coins = random_generator(settings.seed, 0, 4)
    validation = task.sequences(settings.seed, "validation", VALIDATION_SEQUENCES)
    truth = metrics.predictions(task, validation)
    for epoch in range(settings.epochs):
        count = settings.batches_per_epoch
        data = task.sequences(settings.seed, "train", count * settings.batch, epoch)
        free = coins.random(count) >= settings.teacher_forcing
        batches = [
            (backend.stage(x[:, :-1]), backend.stage(x[:, 1:])) for x in np.split(data, count)
        ]
        seconds, losses = _run_epoch(backend, batches, free)
        if not np.isfinite(losses).all():
            raise FloatingPointError(f"training loss is not finite in epoch {epoch}")
        guesses = _logits(backend, validation).argmax(-1)
        yield Epoch(
            contender=contender,
            epoch=epoch,
            seconds=seconds,
            teacher_forced_batches=int((~free).sum()),
            free_running_batches=int(free.sum()),
            teacher_forced_loss_nats=float(losses[~free].mean()) if (~free).any() else None,
            free_running_loss_nats=float(losses[free].mean()) if free.any() else None,
            loss_nats=float(losses.mean()),
            validation_accuracy=float(metrics.hits(guesses, truth).mean()),
        )


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
    """Return the logits (n, T, V) of all sequences, a batch at a time."""
    parts = [
        backend.fetch(backend.forward(backend.stage(part[:, :-1]))[0])
        for part in np.split(sequences, range(EVALUATION_BATCH, len(sequences), EVALUATION_BATCH))
    ]
    return np.concatenate(parts)


def evaluate(backend: Backend, task: Task, seed: int) -> dict[str, float]:
    """Return the metrics on the test split; those with a unit have it in their name."""
    truth = metrics.predictions(task, task.sequences(seed, "test", TEST_SEQUENCES))
    log_probabilities = metrics.log_softmax(_logits(backend, truth.sequences))
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
        result["generated_cross_entropy_nats"] = _generated(backend, task, seed)
    return result


def _generated(backend: Backend, task: Task, seed: int) -> float:
    """Return mean -log P(digit) in nats under the process, of digits that the model wrote."""
    prompts = random_generator(seed, 0, 6).integers(0, 10, (GENERATED_SEQUENCES, 1), np.uint8)
    digits = backend.fetch(backend.generate(backend.stage(prompts), task.length))
    written = metrics.predictions(task, np.concatenate([prompts, digits], 1).astype(np.uint8))
    return metrics.cross_entropy(np.log(written.probabilities), written)


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

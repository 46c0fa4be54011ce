"""Training a backend on a task, and what the trained model is worth."""

import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from lstmbench import statistics
from lstmbench.interface import Backend, Split, Task
from lstmbench.interface.parameters import random_generator
from lstmbench.interface.workloads import Arrays
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.messages import Evaluated, TrainOracle
from lstmbench.protocol.observations import Ceiling, Epoch, OracleEpoch, OracleTrained
from lstmbench.protocol.settings import Settings
from lstmbench.worker import metrics

VALIDATION_SEQUENCES, VALIDATION_TOKENS = 2_000, 200_000
TEST_SEQUENCES, TEST_TOKENS = 10_000, 1_000_000
"""How many sequences of a split are taken: of long ones, as many as so many tokens make."""
LEAST_SEQUENCES = 500
SMALL_TEST_SEQUENCES = 50
GENERATED_SEQUENCES = 1_000
EVALUATION_BATCH, EVALUATION_TOKENS = 500, 100_000
"""How many sequences, and how many of their tokens, are evaluated together at most."""
SHOWN_SEQUENCES = 20
"""How many generated sequences are compared with the oracle's."""


class Lesson(NamedTuple):
    """An epoch's batches (n, B, T + 1), and which of them are free-running (n,)."""

    epoch: int
    batches: np.ndarray
    free: np.ndarray


def validation(task: Task, seed: int) -> np.ndarray:
    """Return the sequences (n, T + 1) that a model is validated on after each epoch."""
    return _held_out(task, seed, "validation", VALIDATION_SEQUENCES, VALIDATION_TOKENS)


def test(task: Task, seed: int) -> np.ndarray:
    """Return the sequences (n, T + 1) that a trained model is tested on."""
    return _held_out(task, seed, "test", TEST_SEQUENCES, TEST_TOKENS)


def _held_out(task: Task, seed: int, split: Split, most: int, tokens: int) -> np.ndarray:
    count = min(most, max(LEAST_SEQUENCES, tokens // task.length))
    return task.sequences(seed, split, count)


def lessons(task: Task, settings: Settings) -> Iterator[Lesson]:
    """Yield what is trained on, epoch by epoch; the same for all, and for the oracle."""
    coins = random_generator(settings.seed, 0, 4)
    count = settings.batches_per_epoch
    for epoch in range(settings.epochs):
        data = task.sequences(settings.seed, "train", count * settings.batch, epoch)
        free = coins.random(count) >= settings.teacher_forcing
        yield Lesson(epoch, data.reshape(count, settings.batch, -1), free)


def train(
    backend: Backend, task: Task, settings: Settings, contender: Contender
) -> Iterator[Epoch | Evaluated]:
    """Train for all epochs, from the parameters that are loaded; yields after each epoch.

    After one epoch, drawn at random, what the model made of one batch is yielded too. The clock
    runs over training steps alone. A loss that is not finite ends the training with
    FloatingPointError.
    """
    held_out = validation(task, settings.seed)
    scored = task.scored()
    random = np.random.default_rng()  # not from the seed: nobody is to know
    chosen = random.integers(settings.epochs)
    batch = int(random.integers(len(batches(held_out))))
    for epoch, data, free in lessons(task, settings):
        pairs = [(backend.stage(x[:, :-1]), backend.stage(x[:, 1:])) for x in data]
        seconds, losses = _run_epoch(backend, pairs, free)
        if not np.isfinite(losses).all():
            raise FloatingPointError(f"training loss is not finite in epoch {epoch}")
        accuracy, shown = _accuracy(backend, held_out, scored, batch)
        yield Epoch(
            contender=contender,
            epoch=epoch,
            seconds=seconds,
            teacher_forced_batches=int((~free).sum()),
            free_running_batches=int(free.sum()),
            teacher_forced_loss_nats=float(losses[~free].mean()) if (~free).any() else None,
            free_running_loss_nats=float(losses[free].mean()) if free.any() else None,
            loss_nats=float(losses.mean()),
            validation_accuracy=accuracy,
            losses_nats=losses.tolist(),
        )
        if epoch == chosen and shown:
            yield _evaluated(backend, epoch, shown)


def train_oracle(
    backend: Backend, task: Task, settings: Settings, request: TrainOracle
) -> Iterator[OracleEpoch | OracleTrained]:
    """Train the oracle from the parameters that are loaded, as far as it was asked to."""
    start, accuracy = time.monotonic(), None
    for epoch, data, free in lessons(task, settings):
        if epoch == request.epochs:
            break
        losses = []
        for x, f in zip(data, free, strict=True):
            pair = backend.stage(x[:, :-1]), backend.stage(x[:, 1:])
            losses.append(float(backend.train_step(*pair, free_running=bool(f))))
            if time.monotonic() - start > request.seconds:
                break
        told = [loss if np.isfinite(loss) else None for loss in losses]
        yield OracleEpoch(variant=request.variant, epoch=epoch, losses_nats=told)
        if len(losses) < len(data) or None in told:
            break
    else:
        accuracy, _ = _accuracy(backend, test(task, settings.seed), task.scored())
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


def evaluation_batch(length: int) -> int:
    """Return how many sequences of T = `length` are evaluated together."""
    return max(1, min(EVALUATION_BATCH, EVALUATION_TOKENS // length))


def batches(sequences: np.ndarray) -> list[np.ndarray]:
    """Return sequences (n, T + 1) in parts that are evaluated together."""
    size = evaluation_batch(sequences.shape[1] - 1)
    return np.split(sequences, range(size, len(sequences), size))


def _logits(backend: Backend, sequences: np.ndarray) -> np.ndarray:
    """Return the logits (n, T, V) of some sequences.

    Raises FloatingPointError if one is not finite.
    """
    logits = backend.fetch(backend.forward(backend.stage(sequences[:, :-1]))[0])
    if not np.isfinite(logits).all():
        raise FloatingPointError("logits are not finite in evaluation")
    return logits


def _accuracy(
    backend: Backend, sequences: np.ndarray, scored: np.ndarray, shown: int | None = None
) -> tuple[float, "Shown | None"]:
    """Return the share of scored targets that are guessed right, and what one batch showed."""
    right, kept = [], None
    for number, part in enumerate(batches(sequences)):
        logits = _logits(backend, part)
        right.append((logits.argmax(-1) == part[:, 1:])[:, scored])
        if number == shown:
            kept = Shown({"logits": part[:, :-1]}, {"logits": logits})
    return float(np.concatenate(right).mean()), kept


class Means:
    """Means of some quantities over sequences, of which some are added at a time."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = defaultdict(float)
        self._counts: dict[str, int] = defaultdict(int)

    def add(self, name: str, mean: float, count: int) -> None:
        """Take in the mean over so many sequences."""
        self._sums[name] += float(mean) * count
        self._counts[name] += count

    def __getitem__(self, name: str) -> float:
        return self._sums[name] / self._counts[name]


class Shown(NamedTuple):
    """What went into an evaluation and what came out, by name."""

    given: Arrays
    found: Arrays


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
    parts = batches(test(task, settings.seed))
    random = np.random.default_rng()  # not from the seed: nobody is to know
    chosen = int(random.integers(len(parts)))
    shown, right, means = [], [], Means()
    for number, part in enumerate(parts):
        logits, truth = _logits(backend, part), metrics.predictions(task, part)
        if number == chosen:
            shown.append(Shown({"logits": part[:, :-1]}, {"logits": logits}))
        model, process = metrics.log_softmax(logits), np.log(truth.probabilities)
        guesses, best = model.argmax(-1), process.argmax(-1)
        right.append(metrics.hits(guesses, truth))
        means.add("ceiling", metrics.hits(best, truth).mean(), len(part))
        means.add("agreement", (guesses == best)[:, truth.scored].mean(), len(part))
        means.add("model", metrics.cross_entropy(model, truth), len(part))
        means.add("process", metrics.cross_entropy(process, truth), len(part))
        means.add("divergence", metrics.divergence(model, truth), len(part))
    hits = np.concatenate(right)
    accuracy = statistics.proportion(hits)
    small = statistics.proportion(hits[:SMALL_TEST_SEQUENCES])
    result = {
        "test_accuracy": accuracy.value,
        "test_accuracy_low": accuracy.low,
        "test_accuracy_high": accuracy.high,
        "test_accuracy_share_of_bayes": accuracy.value / means["ceiling"],
        "small_test_accuracy": small.value,
        "small_test_accuracy_low": small.low,
        "small_test_accuracy_high": small.high,
        "agreement_with_best_guess": means["agreement"],
        "test_cross_entropy_nats": means["model"],
        "test_cross_entropy_above_process_nats": means["model"] - means["process"],
        "divergence_from_process_nats": means["divergence"],
    }
    if "generate" in backend.capabilities():
        prompts, digits = _generated(backend, task, settings.seed)
        for part in batches(np.concatenate([prompts, digits], 1).astype(np.uint8)):
            written = metrics.predictions(task, part)
            entropy = metrics.cross_entropy(np.log(written.probabilities), written)
            means.add("generated", entropy, len(part))
        result["generated_cross_entropy_nats"] = means["generated"]
        rows = random.choice(GENERATED_SEQUENCES, SHOWN_SEQUENCES, replace=False)
        shown.append(Shown({"digits": prompts[rows]}, {"digits": digits[rows]}))
    return result, _evaluated(backend, settings.epochs - 1, *shown)


def _generated(backend: Backend, task: Task, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return prompts (n, 1), and the digits (n, T) that the model writes after them."""
    prompts = random_generator(seed, 0, 6).integers(0, 10, (GENERATED_SEQUENCES, 1), np.uint8)
    digits = backend.fetch(backend.generate(backend.stage(prompts), task.length))
    return prompts, digits


def survey(task: Task, name: str, settings: Settings) -> Ceiling:
    """Return what can be reached on the test split, exactly and by guessing from few digits.

    Neither all of the training data nor all probabilities are in memory at a time. Without
    training there are no digits to guess from.
    """
    ngrams, means = metrics.Ngrams(), Means()
    for epoch in range(settings.epochs):
        count = settings.batch * settings.batches_per_epoch
        for part in batches(task.sequences(settings.seed, "train", count, epoch)):
            ngrams.count(part)
    for part in batches(test(task, settings.seed)):
        truth = metrics.predictions(task, part)
        process = np.log(truth.probabilities)
        means.add("bayes", metrics.hits(process.argmax(-1), truth).mean(), len(part))
        means.add("process", metrics.cross_entropy(process, truth), len(part))
        for order, guesses in ngrams.guesses(part).items() if settings.epochs else ():
            means.add(str(order), metrics.hits(guesses, truth).mean(), len(part))
    orders = metrics.NGRAM_ORDERS if settings.epochs else ()
    return Ceiling(
        task=name,
        bayes_accuracy=task.bayes_accuracy,
        entropy_floor_nats=task.entropy_floor,
        test_bayes_accuracy=means["bayes"],
        test_cross_entropy_nats=means["process"],
        ngram_accuracy={str(order): means[str(order)] for order in orders},
    )

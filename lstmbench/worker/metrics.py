"""How good a model's predictions are, compared with what the task's own process allows."""

from typing import NamedTuple

import numpy as np

from lstmbench.interface import VOCABULARY, Task

NGRAM_ORDERS = (1, 2, 3, 4, 5)


class Predictions(NamedTuple):
    """Sequences (n, T + 1), the process's own P (n, T, V), and which targets are scored (T,)."""

    sequences: np.ndarray
    probabilities: np.ndarray
    scored: np.ndarray

    @property
    def targets(self) -> np.ndarray:
        return self.sequences[:, 1:]


def predictions(task: Task, sequences: np.ndarray) -> Predictions:
    """Return the process's own predictions for `sequences`."""
    return Predictions(sequences, task.probabilities(sequences), task.scored())


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return log softmax over the last axis, in float64."""
    logits = logits.astype(np.float64)
    logits -= logits.max(-1, keepdims=True)
    return np.asarray(logits - np.log(np.exp(logits).sum(-1, keepdims=True)))


def hits(guesses: np.ndarray, truth: Predictions) -> np.ndarray:
    """Return which scored targets the guesses (n, T) got right: (n, scored)."""
    return np.asarray((guesses == truth.targets)[:, truth.scored])


def cross_entropy(log_probabilities: np.ndarray, truth: Predictions) -> float:
    """Return the mean -log p(target) in nats over scored targets."""
    targets = truth.targets[..., None].astype(np.intp)
    chosen = np.take_along_axis(log_probabilities, targets, -1)[..., 0]
    return float(-chosen[:, truth.scored].mean())


def divergence(log_probabilities: np.ndarray, truth: Predictions) -> float:
    """Return the mean over scored contexts of the exact KL(process || model), in nats."""
    p = truth.probabilities
    terms = (p * (np.log(p) - log_probabilities)).sum(-1)
    return float(terms[:, truth.scored].mean())


def ngram_accuracy(fit: np.ndarray, truth: Predictions) -> dict[str, float]:
    """Return the accuracy of guessing from the last k digits alone, for each k of NGRAM_ORDERS.

    The guess is the digit that most often followed the same k digits in `fit` (m, T + 1); a
    digit before the first counts as a symbol of its own.
    """
    symbols = VOCABULARY + 1
    steps = fit.shape[1] - 1
    result = {}
    for order in NGRAM_ORDERS:
        counts = np.zeros((symbols**order, VOCABULARY))
        codes = _contexts(fit, order, symbols)
        np.add.at(counts, (codes.ravel(), fit[:, 1:].ravel()), 1)
        guesses = counts.argmax(-1)[_contexts(truth.sequences, order, symbols)]
        result[str(order)] = float(hits(guesses.reshape(-1, steps), truth).mean())
    return result


def _contexts(sequences: np.ndarray, order: int, symbols: int) -> np.ndarray:
    """Return the last `order` digits before each target as one number: (n, T)."""
    steps = sequences.shape[1] - 1
    padded = np.pad(sequences, ((0, 0), (order - 1, 0)), constant_values=VOCABULARY)
    codes = np.zeros((len(sequences), steps), np.int64)
    for k in range(order):
        codes = codes * symbols + padded[:, k : k + steps]
    return codes

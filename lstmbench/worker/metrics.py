"""How good a model's predictions are, compared with what the task's own process allows."""

from typing import NamedTuple

import numpy as np

from lstmbench.interface import VOCABULARY, Task

NGRAM_ORDERS = (1, 2, 3, 4, 5)
SYMBOLS = VOCABULARY + 1
"""The digits, and none."""


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


class Ngrams:
    """What most often follows the last k digits, for each k of NGRAM_ORDERS.

    A digit before the first counts as a symbol of its own.
    """

    def __init__(self) -> None:
        self._counts = {k: np.zeros(SYMBOLS**k * VOCABULARY, np.int64) for k in NGRAM_ORDERS}

    def count(self, sequences: np.ndarray) -> None:
        """Take in training data (m, T + 1)."""
        for order, counts in self._counts.items():
            codes = _contexts(sequences, order) * VOCABULARY + sequences[:, 1:]
            if codes.size < counts.size:
                np.add.at(counts, codes.ravel(), 1)
            else:
                counts += np.bincount(codes.ravel(), minlength=counts.size)

    def guesses(self, sequences: np.ndarray) -> dict[int, np.ndarray]:
        """Return the guesses (n, T) from the last k digits of each context, by k."""
        return {
            order: counts.reshape(-1, VOCABULARY).argmax(-1)[_contexts(sequences, order)]
            for order, counts in self._counts.items()
        }


def _contexts(sequences: np.ndarray, order: int) -> np.ndarray:
    """Return the last `order` digits before each target as one number: (n, T)."""
    steps = sequences.shape[1] - 1
    padded = np.pad(sequences, ((0, 0), (order - 1, 0)), constant_values=VOCABULARY)
    codes = np.zeros((len(sequences), steps), np.int64)
    for k in range(order):
        codes = codes * SYMBOLS + padded[:, k : k + steps]
    return codes

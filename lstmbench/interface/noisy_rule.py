"""Random processes that tasks are made of: a rule that is followed with probability 1 - epsilon."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np

from lstmbench.interface import VOCABULARY, Split, Task
from lstmbench.interface.parameters import random_generator

SPLIT_KEYS: dict[str, tuple[int, ...]] = {
    "train": (0, 1),
    "validation": (0, 2),
    "test": (0, 3),
}

BLOCK_NUMBERS = 1 << 20
"""How many uniform numbers are drawn at a time."""


def uniforms(seed: int, split: Split, count: int, width: int, epoch: int = 0) -> np.ndarray:
    """Return uniform numbers (count, width) of a split; row i does not depend on `count`."""
    return _generator(seed, split, epoch).random((count, width))


def uniform_blocks(
    seed: int, split: Split, count: int, width: int, epoch: int = 0
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the rows of `uniforms` in blocks, with which rows they are.

    What is made of them needs no more memory at a time than a block takes.
    """
    random = _generator(seed, split, epoch)
    size = max(1, BLOCK_NUMBERS // width)
    for first in range(0, count, size):
        rows = slice(first, min(first + size, count))
        yield rows, random.random((rows.stop - first, width))


def _generator(seed: int, split: Split, epoch: int) -> np.random.Generator:
    key = SPLIT_KEYS[split] + ((epoch,) if split == "train" else ())
    return random_generator(seed, *key)


class NoisyRule(Task):
    """x[t+1] is the rule's digit with probability 1 - epsilon, else a uniform digit.

    Where the rule gives no digit (-1), x[t+1] is uniform and cannot be known. So in every
    scored context the best guess is right with probability 1 - epsilon (1 - 1/V).
    """

    epsilon = 0.02

    @abstractmethod
    def begin(self, count: int) -> Any:
        """Return the rule's state before the first digit, for `count` sequences."""

    @abstractmethod
    def follow(self, state: Any, digits: np.ndarray) -> tuple[Any, np.ndarray]:
        """Return the next state, and the rule's digits (n,), -1 for none, after `digits` (n,)."""

    @property
    def bayes_accuracy(self) -> float:
        return 1 - self.epsilon * (1 - 1 / VOCABULARY)

    @property
    def entropy_floor(self) -> float:
        wrong = self.epsilon / VOCABULARY
        right = 1 - self.epsilon + wrong
        return float(-right * np.log(right) - (VOCABULARY - 1) * wrong * np.log(wrong))

    def sequences(self, seed: int, split: Split, count: int, epoch: int = 0) -> np.ndarray:
        result = np.empty((count, self.length + 1), np.uint8)
        for rows, u in uniform_blocks(seed, split, count, 1 + 2 * self.length, epoch):
            result[rows] = self._sequences(u)
        return result

    def _sequences(self, u: np.ndarray) -> np.ndarray:
        """Return the sequences (n, T + 1) of uniform numbers (n, 1 + 2 T)."""
        steps = self.length
        noisy = u[:, 1 : 1 + steps] < self.epsilon
        noise = (VOCABULARY * u[:, 1 + steps :]).astype(np.uint8)
        result = np.empty((len(u), steps + 1), np.uint8)
        result[:, 0] = VOCABULARY * u[:, 0]
        state = self.begin(len(u))
        for t in range(steps):
            state, rule = self.follow(state, result[:, t])
            result[:, t + 1] = np.where(noisy[:, t] | (rule < 0), noise[:, t], rule)
        return result

    def probabilities(self, sequences: np.ndarray) -> np.ndarray:
        count = len(sequences)
        result = np.full((count, self.length, VOCABULARY), self.epsilon / VOCABULARY)
        state = self.begin(count)
        for t in range(self.length):
            state, rule = self.follow(state, sequences[:, t])
            known = rule >= 0
            result[known, t, rule[known]] += 1 - self.epsilon
            result[~known, t] = 1 / VOCABULARY
        return result

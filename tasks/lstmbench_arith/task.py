"""Arithmetic progressions modulo 10, each digit of which may be replaced by noise."""

from functools import cached_property

import numpy as np

from lstmbench import VOCABULARY, Split, Task, UsageError, uniform_blocks

EPSILON = 0.05
CEILING_SEED = 116
CEILING_SEQUENCES, CEILING_TOKENS = 20_000, 2_000_000
"""How many sequences the sample has: of long ones, as many as so many tokens make."""
LEAST_SEQUENCES = 500
TOKENS_TOGETHER = 200_000
"""Of the sample, that are looked at together."""
FIRST_SCORED = 2


class Arith(Task):
    """x[t] = a + t d (mod 10) with a and d uniform; each x[t], x[0] too, is a uniform digit
    instead with probability EPSILON, independently. x[1], for which the stride is not yet
    known, is not scored.
    """

    def __init__(self, length: int) -> None:
        super().__init__(length)
        if length < FIRST_SCORED:
            raise UsageError(
                f"sequence length {length}: task 'arith' needs at least {FIRST_SCORED}"
            )

    def scored(self) -> np.ndarray:
        return np.arange(1, self.length + 1) >= FIRST_SCORED

    def sequences(self, seed: int, split: Split, count: int, epoch: int = 0) -> np.ndarray:
        digits = self.length + 1
        result = np.empty((count, digits), np.uint8)
        for rows, u in uniform_blocks(seed, split, count, 2 + 2 * digits, epoch):
            result[rows] = self._sequences(u)
        return result

    def _sequences(self, u: np.ndarray) -> np.ndarray:
        """Return the sequences (n, T + 1) of uniform numbers (n, 2 + 2 (T + 1))."""
        digits = self.length + 1
        start, stride = (VOCABULARY * u[:, :2]).astype(int).T
        clean = (start[:, None] + stride[:, None] * np.arange(digits)) % VOCABULARY
        noisy = u[:, 2 : 2 + digits] < EPSILON
        noise = (VOCABULARY * u[:, 2 + digits :]).astype(np.uint8)
        return np.where(noisy, noise, clean).astype(np.uint8)

    def probabilities(self, sequences: np.ndarray) -> np.ndarray:
        """Return by Bayes' rule over the 100 hypotheses (a, d), equally likely beforehand."""
        start, stride = np.divmod(np.arange(VOCABULARY**2), VOCABULARY)
        posterior = np.full((len(sequences), VOCABULARY**2), 1 / VOCABULARY**2)
        result = np.empty((len(sequences), self.length, VOCABULARY))
        for t in range(self.length):
            expected = (start + t * stride) % VOCABULARY
            hit = sequences[:, t, None] == expected
            posterior *= EPSILON / VOCABULARY + (1 - EPSILON) * hit
            posterior /= posterior.sum(axis=1, keepdims=True)
            following = np.eye(VOCABULARY)[(start + (t + 1) * stride) % VOCABULARY]
            result[:, t] = EPSILON / VOCABULARY + (1 - EPSILON) * posterior @ following
        return result

    @cached_property
    def _ceiling(self) -> tuple[float, float]:
        """Accuracy of the best guess, and entropy, of the exact probabilities on a fixed sample."""
        count = min(CEILING_SEQUENCES, max(LEAST_SEQUENCES, CEILING_TOKENS // self.length))
        sample = self.sequences(CEILING_SEED, "test", count)
        size = max(1, TOKENS_TOGETHER // self.length)
        best, entropy = [], []
        for part in np.split(sample, range(size, len(sample), size)):
            p = self.probabilities(part)[:, self.scored()]
            best.append(p.max(axis=-1).sum())
            entropy.append(-(p * np.log(p)).sum())
        scored = len(sample) * self.scored().sum()
        return float(sum(best) / scored), float(sum(entropy) / scored)

    @property
    def bayes_accuracy(self) -> float:
        """Mean over a fixed sample of the exact best guess's probability (error about 0.0003)."""
        return self._ceiling[0]

    @property
    def entropy_floor(self) -> float:
        """Mean over a fixed sample of the exact entropy, in nats."""
        return self._ceiling[1]

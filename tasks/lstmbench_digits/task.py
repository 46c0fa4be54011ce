"""Digits written by a fixed random recurrent network, the teacher, with a little noise."""

import numpy as np

from lstmbench import VOCABULARY, NoisyRule, random_generator

TEACHER_SEED = 116
TEACHER_HIDDEN = 32
GAIN = 4


class Digits(NoisyRule):
    """h <- sigmoid(W[x] h), from h = 0.5; the rule's digit is argmax(Wo h).

    W (V, H, H) and Wo (V, H) are drawn once, W first, from N(0, 1), scaled by GAIN / sqrt(H) and
    1 / sqrt(H); the rows of Wo are centred, so that no digit is favoured.
    """

    def __init__(self, length: int) -> None:
        super().__init__(length)
        random = random_generator(TEACHER_SEED, 0, 0)
        size = TEACHER_HIDDEN
        self.recurrent = random.standard_normal((VOCABULARY, size, size)) * GAIN / np.sqrt(size)
        output = random.standard_normal((VOCABULARY, size)) / np.sqrt(size)
        self.output = output - output.mean(axis=1, keepdims=True)

    def begin(self, count: int) -> np.ndarray:
        return np.full((count, TEACHER_HIDDEN), 0.5)

    def follow(self, state: np.ndarray, digits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        hidden = np.empty_like(state)
        for digit in range(VOCABULARY):
            rows = digits == digit
            hidden[rows] = 1 / (1 + np.exp(-state[rows] @ self.recurrent[digit].T))
        return hidden, (hidden @ self.output.T).argmax(axis=1)

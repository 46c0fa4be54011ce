"""A noisy echo: to predict a digit, a model must remember the last five."""

import numpy as np

from lstmbench import NoisyRule, UsageError

LAG = 5


class Lag(NoisyRule):
    """The rule's digit is the one from LAG steps before; the first LAG digits are uniform."""

    def __init__(self, length: int) -> None:
        super().__init__(length)
        if length < LAG:
            raise UsageError(f"sequence length {length}: task 'lag' needs at least {LAG}")

    def scored(self) -> np.ndarray:
        return np.arange(1, self.length + 1) >= LAG

    def begin(self, count: int) -> np.ndarray:
        return np.full((count, LAG), -1)

    def follow(self, state: np.ndarray, digits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        state = np.column_stack([state[:, 1:], digits])
        return state, state[:, 0]

"""A noisy permutation of the digits: a bigram table is the best possible model."""

import numpy as np

from lstmbench import VOCABULARY, NoisyRule, random_generator

PERMUTATION_SEED = 116


class Markov(NoisyRule):
    """The rule's digit is pi(x), pi a fixed random permutation."""

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.permutation = random_generator(PERMUTATION_SEED, 0, 0).permutation(VOCABULARY)

    def begin(self, count: int) -> None:
        return None

    def follow(self, state: None, digits: np.ndarray) -> tuple[None, np.ndarray]:
        return None, self.permutation[digits]

"""The sizes, weights and options at which the ladder is climbed: none of them convenient.

B, H and V differ, sizes are odd, T = 1 and B = 1 occur, no two gates are alike, no bias is zero,
gates saturate in one fixture, and one is wide enough to need every branch of a vectorised loop.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lstmbench.interface import VOCABULARY, Options
from lstmbench.interface.parameters import random_generator, shapes

SEED = 20
OPTIMISER: dict[str, Any] = {
    "learning_rate": 0.01,
    "clip_norm": 1e3,
    "beta1": 0.8,
    "beta2": 0.95,
    "epsilon": 1e-3,
}
"""Nothing at its default. The epsilon is of the size of the gradients: beside a tiny one, Adam's
first step is the gradient's sign, and hides any error of its size."""

RUN_BATCH = 64
RUN_LENGTH = 32


@dataclass(frozen=True)
class Fixture:
    """One place to climb the ladder; `spread` scales the weights (above 1 gates saturate).

    `optimiser` are the fields of Options that it sets; the others stay as the run has them.
    """

    name: str
    batch: int
    length: int
    hidden: int
    layers: int
    spread: float = 1.0
    optimiser: Mapping[str, Any] = field(default_factory=lambda: OPTIMISER)

    def options(self, options: Options) -> Options:
        return replace(options, **self.optimiser)

    def parameters(self, dtype: str, draw: int = 0) -> dict[str, np.ndarray]:
        """Every tensor normal, no two gates alike, no bias zero; canonical names and shapes.

        Another `draw` gives other numbers.
        """
        random = random_generator(SEED, self.hidden, self.layers, draw)
        scale = self.spread / np.sqrt(self.hidden)
        result = {}
        for name, shape in shapes(self.hidden, self.layers).items():
            values = random.normal(0, scale, shape)
            if name.startswith("lstm"):
                gates = np.repeat([0.3, 1.0, -0.4, 0.6], self.hidden)
                values += (scale * gates).reshape(-1, *[1] * (len(shape) - 1))
            result[name] = values.astype(dtype)
        result["linear.weight"] *= 4
        return result

    def tokens(self, count: int) -> np.ndarray:
        """Digits (count, B, T + 1), uint8."""
        random = random_generator(SEED, self.batch, self.length)
        shape = (count, self.batch, self.length + 1)
        return random.integers(0, VOCABULARY, shape, dtype=np.uint8)

    def lesson(self, seed: int, count: int) -> np.ndarray:
        """Digits (count, B, T + 1), uint8, that can be learned: each row counts on by a stride."""
        random = random_generator(SEED, self.batch, self.length, seed)
        start = random.integers(0, VOCABULARY, (count, self.batch, 1))
        stride = random.integers(1, 4, (count, self.batch, 1))
        rows = start + stride * np.arange(self.length + 1)
        return (rows % VOCABULARY).astype(np.uint8)


FIXTURES = {
    fixture.name: fixture
    for fixture in (
        Fixture("odd", 3, 5, 7, 2, optimiser=OPTIMISER | {"clip_norm": 0.3}),
        Fixture("single", 1, 1, 5, 1),
        Fixture("saturated", 2, 9, 6, 3, spread=4.0),
        Fixture("wide", 17, 3, 33, 1, optimiser=OPTIMISER | {"clip_norm": 0.1}),
    )
}


def fixture(name: str, batch: int, length: int, hidden: int, layers: int) -> Fixture:
    """A fixture by name; "run" is the ladder at a run's own model, options, and at most its (B, T).

    Beyond RUN_BATCH sequences of RUN_LENGTH steps a further one would show nothing new, and some
    argmax is bound to be a tie within rounding.
    """
    if name == "run":
        size = min(batch, RUN_BATCH), min(length, RUN_LENGTH)
        return Fixture(name, *size, hidden, layers, optimiser={})
    return FIXTURES[name]

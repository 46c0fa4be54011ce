"""The cases: sizes, weights and options at which the ladder runs, none of them convenient.

Sizes are mostly odd, B, H and V differ, T = 1 and B = 1 occur, no two gates are alike, no bias is
zero, gates saturate in one case, and one is wide enough to need every branch of a vectorised loop.
Three more have many sequences, long ones, and values so large that exp overflows in float32.
"""

from dataclasses import asdict, dataclass, replace

import numpy as np

from lstmbench.interface import BatchShape, ModelSpec, OptimiserSpec, Options
from lstmbench.interface.model import VOCABULARY
from lstmbench.interface.parameters import draw_varied, random_generator

SEED = 20
OPTIMISER = OptimiserSpec(learning_rate=0.01, clip_norm=1e3, beta1=0.8, beta2=0.95, epsilon=1e-3)
"""Nothing at its default. The epsilon is of the size of the gradients: beside a tiny one, Adam's
first step is the gradient's sign, and hides any error of its size."""

RUN = "run"
"""The name of the case at a run's own model, options and, within limits, batch shape."""
RUN_SEEN = "run-visible"
"""The name of the same case at VISIBLE_RATE, for runs whose own steps are too small to be seen in
rounded parameters, or so large that honest results part."""
VISIBLE_RATE = 1e-3
RUN_BATCH = 64
RUN_LENGTH = 32


@dataclass(frozen=True)
class Case:
    """One setting of the ladder; `spread` scales the weights (above 1 gates saturate).

    Without an `optimiser`, options stay as the run has them, but for a `learning_rate`.
    """

    name: str
    model: ModelSpec
    shape: BatchShape
    spread: float = 1.0
    optimiser: OptimiserSpec | None = OPTIMISER
    learning_rate: float | None = None
    digits: int = 16
    """How many digits are generated."""

    def options(self, options: Options) -> Options:
        """Return `options` with the settings of this case's optimiser."""
        if self.optimiser:
            return replace(options, **asdict(self.optimiser))
        return replace(options, learning_rate=self.learning_rate or options.learning_rate)

    def parameters(self, dtype: str, draw: int = 0) -> dict[str, np.ndarray]:
        """Return canonical parameters: every tensor normal, no two gates alike, no bias zero.

        Another `draw` gives other numbers.
        """
        hidden = self.model.hidden
        random = random_generator(SEED, hidden, self.model.layers, draw)
        scale = self.spread / np.sqrt(hidden)
        result = {}
        for name, shape in self.model.shapes.items():
            values = random.normal(0, scale, shape)
            if name.startswith("lstm"):
                gates = np.repeat([0.3, 1.0, -0.4, 0.6], hidden)
                values += (scale * gates).reshape(-1, *[1] * (len(shape) - 1))
            result[name] = values.astype(dtype)
        result["linear.weight"] *= 4
        return result

    def varied_parameters(self, dtype: str, draw: int = 0) -> dict[str, np.ndarray]:
        """Return canonical parameters with which greedy digits vary; see `draw_varied`."""
        random = random_generator(SEED, self.model.hidden, self.model.layers, draw, 1)
        return draw_varied(random, self.model, dtype)

    def tokens(self, count: int) -> np.ndarray:
        """Return uniform digits (count, B, T + 1), uint8."""
        random = random_generator(SEED, self.shape.batch, self.shape.length)
        size = (count, self.shape.batch, self.shape.length + 1)
        return random.integers(0, VOCABULARY, size, dtype=np.uint8)

    def lesson(self, seed: int, count: int) -> np.ndarray:
        """Return learnable digits (count, B, T + 1), uint8: each row counts on by a stride."""
        random = random_generator(SEED, self.shape.batch, self.shape.length, seed)
        start = random.integers(0, VOCABULARY, (count, self.shape.batch, 1))
        stride = random.integers(1, 4, (count, self.shape.batch, 1))
        rows = start + stride * np.arange(self.shape.length + 1)
        return (rows % VOCABULARY).astype(np.uint8)


class LargeValues(Case):
    """A case with gate inputs z to +-100, a cell that counts the steps, and logits to +-100.

    In float32 exp(89) is infinite.
    """

    def parameters(self, dtype: str, draw: int = 0) -> dict[str, np.ndarray]:
        result = super().parameters("float64", draw)
        hidden = self.model.hidden
        units = np.arange(hidden)
        for layer in range(self.model.layers):
            for name in ("weight_ih", "weight_hh"):
                by_gate = result[f"lstm.{layer}.{name}"].reshape(4, hidden, -1)
                by_gate[:, units % 3 == 1] *= 35
            bias = result[f"lstm.{layer}.bias"].reshape(4, hidden)
            bias[:3, 0] += 25  # i, f and g of this unit stay at 1: its cell counts
        result["linear.weight"] *= 15
        return {name: array.astype(dtype) for name, array in result.items()}


CASES = {
    case.name: case
    for case in (
        Case("odd", ModelSpec(2, 7), BatchShape(3, 5), optimiser=replace(OPTIMISER, clip_norm=0.3)),
        Case("single", ModelSpec(1, 5), BatchShape(1, 1)),
        Case("saturated", ModelSpec(3, 6), BatchShape(2, 9), spread=4.0),
        Case(
            "wide", ModelSpec(1, 33), BatchShape(17, 3), optimiser=replace(OPTIMISER, clip_norm=0.1)
        ),
        Case("tall", ModelSpec(1, 9), BatchShape(521, 3)),
        Case("long", ModelSpec(1, 12), BatchShape(2, 277), digits=150),
        LargeValues("large", ModelSpec(2, 7), BatchShape(3, 65)),
    )
}
"""The cases that do not depend on the run, by name."""

NAMES = (*CASES, RUN, RUN_SEEN)
"""The names of all cases, in the order in which the ladder runs at them."""


def case(name: str, model: ModelSpec, shape: BatchShape) -> Case:
    """Return a case by name; "run" is the ladder at a run's own model, and at most its (B, T).

    Beyond RUN_BATCH sequences of RUN_LENGTH steps a further one would show nothing that the cases
    "tall" and "long" do not, and some argmax is bound to be a tie within rounding.
    """
    if name in CASES:
        return CASES[name]
    capped = BatchShape(min(shape.batch, RUN_BATCH), min(shape.length, RUN_LENGTH))
    rate = VISIBLE_RATE if name == RUN_SEEN else None
    return Case(name, model, capped, optimiser=None, learning_rate=rate)

"""The sizes of a model and of a batch, the optimiser's settings and the precision, as values."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

VOCABULARY = 10
"""Number of symbols V: the digits."""


class Shaped(Protocol):
    """An array of any library."""

    @property
    def shape(self) -> tuple[Any, ...]:
        """Its sizes."""


@dataclass(frozen=True)
class ModelSpec:
    """The sizes of a model: L stacked LSTM layers of H units, and a linear layer onto V logits."""

    layers: int
    hidden: int
    vocabulary: int = VOCABULARY

    @classmethod
    def of(cls, parameters: Mapping[str, "Shaped"]) -> "ModelSpec":
        """Return the sizes of the model that has these canonical parameters, as any arrays."""
        vocabulary, hidden = parameters["linear.weight"].shape
        layers = sum(name.endswith(".weight_hh") for name in parameters)
        return cls(layers=layers, hidden=hidden, vocabulary=vocabulary)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each canonical parameter by name, in canonical order."""
        result: dict[str, tuple[int, ...]] = {}
        for layer in range(self.layers):
            inputs = self.hidden if layer else self.vocabulary
            result[f"lstm.{layer}.weight_ih"] = (4 * self.hidden, inputs)
            result[f"lstm.{layer}.weight_hh"] = (4 * self.hidden, self.hidden)
            result[f"lstm.{layer}.bias"] = (4 * self.hidden,)
        result["linear.weight"] = (self.vocabulary, self.hidden)
        result["linear.bias"] = (self.vocabulary,)
        return result

    @property
    def size(self) -> int:
        """How many numbers all parameters have together."""
        return sum(math.prod(shape) for shape in self.shapes.values())


@dataclass(frozen=True)
class BatchShape:
    """The shape (B, T) of a batch: B sequences of T time steps."""

    batch: int
    length: int

    @property
    def tokens(self) -> int:
        """How many tokens a batch has, B T."""
        return self.batch * self.length


@dataclass(frozen=True)
class OptimiserSpec:
    """Clipping by global norm, then Adam: the settings of a training step.

    `clip_norm` bounds the global L2 norm of all gradients. Adam follows Kingma and Ba,
    https://arxiv.org/abs/1412.6980, algorithm 1, with `epsilon` added outside the root.
    """

    learning_rate: float = 1e-3
    clip_norm: float = 5.0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8


@dataclass(frozen=True)
class Precision:
    """The arithmetic that is asked for: a dtype, and whether its products may be rounded to TF32.

    TF32 keeps 10 bits of a factor's mantissa, and is an option of float32 alone.
    """

    dtype: str
    tf32: bool = False

    @property
    def eps(self) -> float:
        """The distance from 1 to the next number in this arithmetic."""
        if self.dtype == "float64":
            return 2.0**-52
        return 2.0**-10 if self.tf32 else 2.0**-23

    @property
    def itemsize(self) -> int:
        """Bytes of a stored number."""
        return 8 if self.dtype == "float64" else 4

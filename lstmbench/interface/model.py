"""The sizes of a model and of a batch, the optimiser's settings and the precision, as values."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

VOCABULARY = 10
"""Number of symbols V: the digits."""


PrecisionName = Literal["float32", "float64", "tf32", "bfloat16"]
"""The precisions that can be asked for."""

Products = Literal["", "tf32", "bfloat16"]
"""What the factors of matrix products are rounded to; empty where they are not."""

PRECISION_BITS = {"float64": 52, "float32": 23, "tf32": 10, "bfloat16": 7}
"""Bits of the mantissa that are stored; the first one, which is always 1, is not."""


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
    """The arithmetic that is asked for: a dtype, and what the factors of products are rounded to.

    Parameters, logits, states, gradients and losses are of the `dtype`, and products are summed in
    it. If `products` is not empty, their factors are of that shorter kind: bfloat16 must be used,
    TF32 may be. Gates and states inside may be of either.
    """

    dtype: str
    products: Products = ""

    @classmethod
    def named(cls, name: PrecisionName) -> "Precision":
        """Return the precision of a name, such as "bfloat16"."""
        if name == "float32" or name == "float64":
            return cls(name)
        return cls("float32", name)

    @property
    def name(self) -> str:
        """The name, by which it is asked for."""
        return self.products or self.dtype

    @property
    def eps(self) -> float:
        """The distance from 1 to the next number, of what products are made of."""
        return 2.0 ** -PRECISION_BITS[self.name]

    @property
    def stored_eps(self) -> float:
        """The distance from 1 to the next number, of what is stored and summed in."""
        return 2.0 ** -PRECISION_BITS[self.dtype]

    @property
    def itemsize(self) -> int:
        """Bytes of a stored number."""
        return 8 if self.dtype == "float64" else 4

    @property
    def factor_itemsize(self) -> int:
        """Bytes of a factor of a product, at least."""
        return 2 if self.products == "bfloat16" else self.itemsize

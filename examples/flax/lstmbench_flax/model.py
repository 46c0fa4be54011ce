"""The model in flax.nnx, and where its variables stand among the canonical parameters.

flax's gates are in the canonical order; its kernels are (inputs, outputs), the transpose of the
canonical matrices. Of the two dense layers of a cell only the recurrent one has a bias.
"""

from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx

from lstmbench import ModelSpec, Parameters

Carry: TypeAlias = list[tuple[jax.Array, jax.Array]]
"""(c, h) of each layer, each (B, H)."""


class Model(nnx.Module):
    """Digits, one-hot, through LSTM layers to logits."""

    def __init__(self, vocabulary: int, hidden: int, layers: int, dtype: str) -> None:
        self.vocabulary, self.hidden, self.dtype = vocabulary, hidden, dtype
        rngs = nnx.Rngs(0)  # nothing is drawn: see from_canonical
        self.lstm = nnx.List(
            nnx.RNN(
                nnx.OptimizedLSTMCell(
                    hidden if n else vocabulary,
                    hidden,
                    dtype=jnp.dtype(dtype),
                    param_dtype=jnp.dtype(dtype),
                    rngs=rngs,
                ),
                return_carry=True,
                rngs=False,
            )
            for n in range(layers)
        )
        self.linear = nnx.Linear(
            hidden, vocabulary, dtype=jnp.dtype(dtype), param_dtype=jnp.dtype(dtype), rngs=rngs
        )

    def zero_carry(self, batch: int) -> Carry:
        zeros = jnp.zeros((batch, self.hidden), self.dtype)
        return [(zeros, zeros) for _ in self.lstm]

    def __call__(self, tokens: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        """Return the logits (B, T, V) of tokens (B, T), and the carry after the last."""
        x = jax.nn.one_hot(tokens, self.vocabulary, dtype=self.dtype)
        after = []
        for rnn, before in zip(self.lstm, carry, strict=True):
            last, x = rnn(x, initial_carry=before)
            after.append(last)
        return self.linear(x), after

    def canonical(self) -> dict[str, nnx.Param[jax.Array]]:
        """Return the variables by canonical name; matrices are transposes of the canonical ones."""
        result = {}
        for n, rnn in enumerate(self.lstm):
            cell: Any = rnn.cell  # typed as the base class of all cells
            result[f"lstm.{n}.weight_ih"] = cell.dense_i.kernel
            result[f"lstm.{n}.weight_hh"] = cell.dense_h.kernel
            result[f"lstm.{n}.bias"] = cell.dense_h.bias
        return result | {"linear.weight": self.linear.kernel, "linear.bias": self.linear.bias}


def from_canonical(parameters: Parameters, dtype: str) -> Model:
    """Return a model that computes with copies of canonical parameters."""
    sizes = ModelSpec.of(parameters)
    model: Model = nnx.eval_shape(
        lambda: Model(sizes.vocabulary, sizes.hidden, sizes.layers, dtype)
    )
    for name, variable in model.canonical().items():
        variable.set_value(jnp.array(parameters[name].T, dtype))
    return model


def to_canonical(graph: Any, state: Any) -> dict[str, jax.Array]:
    """Return canonical arrays from a model's state, or from gradients laid out like it."""
    model: Model = nnx.merge(graph, state)
    return {name: variable[...].T for name, variable in model.canonical().items()}

"""The layout of the parameters in memory, and the way from the canonical ones and back.

All parameters lie in one flat array, so that the optimiser runs over them in a single loop, and
all gradients in a second one of the same layout. Two things are done for speed:

- Hidden units are padded with zeros to whole vectors, each of the four gates on its own, and so
  are the logits. A padded unit has zero weights: its h and c stay 0, and so do its gradients.
- Matrices are transposed, so that a row of hidden states stands on their left, and lie in panels;
  `panels` has a picture.

    flat:  embedding | bias | below | recurrent | output | output_bias
"""

from typing import Generic, NamedTuple

import numpy as np
from numba.extending import register_jitable

from lstmbench import ModelSpec, Parameters
from lstmbench_numba.compilation import compiled
from lstmbench_numba.memory import Part, Shape, Table, arrays_in, views_in
from lstmbench_numba.panels import from_panels, to_panels
from lstmbench_numba.vectors import lanes


class Sizes(NamedTuple):
    """The sizes of a model, and what they are after padding to whole vectors."""

    vocabulary: int  # V
    layers: int  # L
    hidden: int  # H
    padded: int  # P: H padded to whole vectors
    logits: int  # V padded to whole vectors
    width: int  # numbers in a vector
    panel: int  # columns of a panel: two vectors


class Weights(NamedTuple, Generic[Part]):
    """The parameters, or their gradients, as the forward products read them."""

    embedding: Part  # layer 0's W_ih^T, one row for each digit
    bias: Part
    below: Part  # W_ih^T of the layers above the first, each in panels
    recurrent: Part  # W_hh^T, each in panels
    output: Part  # W^T of the linear layer, in panels
    output_bias: Part


def sizes_of(model: ModelSpec, dtype: str) -> Sizes:
    """Return the sizes of a model for numbers of type `dtype`."""
    width = lanes(np.dtype(dtype).itemsize)
    padded, logits = (-(-n // width) * width for n in (model.hidden, model.vocabulary))
    return Sizes(model.vocabulary, model.layers, model.hidden, padded, logits, width, 2 * width)


@register_jitable
def weight_shapes(s: Sizes) -> Weights[Shape]:
    """Return the layout of the parameters, for Python and for compiled code."""
    gates = 4 * s.padded
    return Weights(
        embedding=(s.vocabulary, gates),
        bias=(s.layers, gates),
        below=(s.layers - 1, s.padded * gates),
        recurrent=(s.layers, s.padded * gates),
        output=(1, s.padded * s.logits),
        output_bias=(1, s.logits),
    )


@compiled
def weights_in(flat: np.ndarray, s: Sizes) -> Weights[Table]:
    """Return views of the parameters in a flat array."""
    return views_in(flat, weight_shapes(s))


def fill(flat: np.ndarray, parameters: Parameters, s: Sizes) -> None:
    """Write canonical parameters into a flat array."""
    parts: Weights[np.ndarray] = arrays_in(flat, weight_shapes(s))
    for n in range(s.layers):
        weight_ih = parameters[f"lstm.{n}.weight_ih"].T
        if n:
            parts.below[n - 1] = _gates_to_panels(weight_ih, s)
        else:
            parts.embedding[...] = _pad_gates(weight_ih, s)
        parts.recurrent[n] = _gates_to_panels(parameters[f"lstm.{n}.weight_hh"].T, s)
        parts.bias[n] = _pad_gates(parameters[f"lstm.{n}.bias"], s)
    output = _pad(parameters["linear.weight"].T, s.padded, s.logits)
    parts.output[0] = to_panels(output, s.panel)
    parts.output_bias[0] = _pad(parameters["linear.bias"], s.logits)


def canonical(flat: np.ndarray, s: Sizes) -> dict[str, np.ndarray]:
    """Return copies of the canonical parameters (or gradients) in a flat array, in order."""
    parts: Weights[np.ndarray] = arrays_in(flat, weight_shapes(s))
    result: dict[str, np.ndarray] = {}
    for n in range(s.layers):
        weight_ih = (
            _gates_from_panels(parts.below[n - 1], s) if n else _cut_gates(parts.embedding, s)
        )
        recurrent = _gates_from_panels(parts.recurrent[n], s)
        result[f"lstm.{n}.weight_ih"] = np.ascontiguousarray(weight_ih.T)
        result[f"lstm.{n}.weight_hh"] = np.ascontiguousarray(recurrent.T)
        result[f"lstm.{n}.bias"] = _cut_gates(parts.bias[n], s).copy()
    output = from_panels(parts.output[0], s.logits, s.panel)[: s.hidden, : s.vocabulary]
    result["linear.weight"] = np.ascontiguousarray(output.T)
    result["linear.bias"] = parts.output_bias[0, : s.vocabulary].copy()
    return result


def _gates_to_panels(matrix: np.ndarray, s: Sizes) -> np.ndarray:
    """Return a matrix (H, 4H), padded to (P, 4P), in panels."""
    return to_panels(_pad(_pad_gates(matrix, s), s.padded, 4 * s.padded), s.panel)


def _gates_from_panels(panels: np.ndarray, s: Sizes) -> np.ndarray:
    """Return the matrix (H, 4H) whose padded panels are given."""
    return _cut_gates(from_panels(panels, 4 * s.padded, s.panel)[: s.hidden], s)


def _pad_gates(array: np.ndarray, s: Sizes) -> np.ndarray:
    """Return an array (..., 4H) as (..., 4P), each gate padded on its own."""
    gates = np.zeros((*array.shape[:-1], 4, s.padded), array.dtype)
    gates[..., : s.hidden] = array.reshape(*array.shape[:-1], 4, s.hidden)
    return gates.reshape(*array.shape[:-1], 4 * s.padded)


def _cut_gates(array: np.ndarray, s: Sizes) -> np.ndarray:
    """Return an array (..., 4P) as (..., 4H), without the padding of each gate."""
    gates = array.reshape(*array.shape[:-1], 4, s.padded)[..., : s.hidden]
    return gates.reshape(*array.shape[:-1], 4 * s.hidden)


def _pad(array: np.ndarray, *shape: int) -> np.ndarray:
    """Return an array with zeros at the ends of its axes, up to `shape`."""
    return np.pad(array, [(0, n - m) for n, m in zip(shape, array.shape, strict=True)])

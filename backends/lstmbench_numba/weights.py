"""The layout of the weights in memory, and the way there from canonical parameters and back.

Two things are done for speed. Hidden units are padded with zeros to whole vectors, H to P: a padded
unit has zero weights, so that its c and h stay 0, and so do its gradients. And matrices are stored
in panels. The right-hand side of a product, (depth, columns), is cut into panels of two vectors of
columns; each is one contiguous (depth, width) piece, so that a product reads memory from first to
last. Where the columns run out the last panel is one vector wide::

    matrix (depth, columns)             in memory

    a a b b c        panel a            a a a a a a   row after row of panel a
    a a b b c   ->   2 vectors wide     b b b b b b   then panel b
    a a b b c                           c c c         then panel c, one vector wide

All weights lie in one flat vector, one `Table` after the other, so that clipping and Adam see one
array; so do the copies that the backward pass multiplies by. `weight_shapes` and `transpose_shapes`
are the only places where their sizes are written.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from lstmbench import ModelSpec, Parameters, views
from lstmbench_numba.compiling import compiled
from lstmbench_numba.memory import Table, next_table, pointer
from lstmbench_numba.vector import VECTOR_BYTES, lanes

Shapes = tuple[tuple[int, int], ...]
"""Rows and columns of consecutive tables."""


class Sizes(NamedTuple):
    """V, L and H, what H and V are after padding to whole vectors, and the width of those."""

    vocabulary: int
    layers: int
    hidden: int
    padded: int  # P
    logits: int  # padded V
    width: int  # numbers in a vector


class Weights(NamedTuple):
    """Parameters (or their gradients) as the forward products want them.

    Each matrix is transposed, so that a row of hidden states stands on its left.
    """

    embedding: Table  # layer 0's W_ih^T: one row for each digit
    bias: Table  # one row for each layer
    below: Table  # W_ih^T of the layers above the first, panels
    recurrent: Table  # W_hh^T, panels
    output: Table  # W^T of the linear layer, panels
    output_bias: Table


@compiled
def weight_shapes(s: Sizes) -> Shapes:
    """Return the shapes of the tables of `Weights`, in their order in memory."""
    gates = 4 * s.padded
    return (
        (s.vocabulary, gates),
        (s.layers, gates),
        (s.layers - 1, s.padded * gates),
        (s.layers, s.padded * gates),
        (1, s.padded * s.logits),
        (1, s.logits),
    )


@compiled
def weights_in(flat: np.ndarray, s: Sizes) -> Weights:
    """Return the tables of one flat vector."""
    shapes = weight_shapes(s)
    embedding = Table(pointer(flat), shapes[0][1])
    bias = next_table(embedding, shapes[0][0], shapes[1][1])
    below = next_table(bias, shapes[1][0], shapes[2][1])
    recurrent = next_table(below, shapes[2][0], shapes[3][1])
    output = next_table(recurrent, shapes[3][0], shapes[4][1])
    output_bias = next_table(output, shapes[4][0], shapes[5][1])
    return Weights(embedding, bias, below, recurrent, output, output_bias)


class Transposes(NamedTuple):
    """The same matrices as the backward products want them: not transposed, in panels."""

    below: Table
    recurrent: Table
    output: Table


@compiled
def transpose_shapes(s: Sizes) -> Shapes:
    """Return the shapes of the tables of `Transposes`, in their order in memory."""
    square = 4 * s.padded * s.padded
    return (s.layers - 1, square), (s.layers, square), (1, s.logits * s.padded)


@compiled
def transposes_in(flat: np.ndarray, s: Sizes) -> Transposes:
    """Return the tables of one flat vector."""
    shapes = transpose_shapes(s)
    below = Table(pointer(flat), shapes[0][1])
    recurrent = next_table(below, shapes[0][0], shapes[1][1])
    output = next_table(recurrent, shapes[1][0], shapes[2][1])
    return Transposes(below, recurrent, output)


def weight_layout(s: Sizes) -> dict[str, tuple[int, int]]:
    """Return the shape of each table of `Weights` by name, in order."""
    return dict(zip(Weights._fields, weight_shapes.py_func(s), strict=True))


def transpose_layout(s: Sizes) -> dict[str, tuple[int, int]]:
    """Return the shape of each table of `Transposes` by name, in order."""
    return dict(zip(Transposes._fields, transpose_shapes.py_func(s), strict=True))


def aligned(length: int, dtype: str) -> np.ndarray:
    """Return zeros (length,) that begin on a vector boundary."""
    size = length * np.dtype(dtype).itemsize
    raw = np.zeros(size + VECTOR_BYTES, np.uint8)
    start = -raw.ctypes.data % VECTOR_BYTES
    return raw[start : start + size].view(dtype)


def count(layout: Mapping[str, tuple[int, ...]]) -> int:
    """Return how many numbers a layout holds."""
    return sum(math.prod(shape) for shape in layout.values())


def sizes(model: ModelSpec, dtype: str) -> Sizes:
    """Return the sizes of a model, H and V rounded up to whole vectors of `dtype`."""
    width = lanes(np.dtype(dtype).itemsize)
    padded, logits = (-(-n // width) * width for n in (model.hidden, model.vocabulary))
    return Sizes(model.vocabulary, model.layers, model.hidden, padded, logits, width)


def to_panels(matrix: np.ndarray, width: int) -> np.ndarray:
    """Return (depth, columns) as one flat vector of panels of up to `width` columns."""
    columns = range(0, matrix.shape[1], width)
    return np.concatenate([matrix[:, c : c + width].ravel() for c in columns])


def from_panels(panels: np.ndarray, columns: int, width: int) -> np.ndarray:
    """Return the inverse of `to_panels`: (depth, columns)."""
    depth = panels.size // columns
    result = np.empty((depth, columns), panels.dtype)
    for c in range(0, columns, width):
        panel = result[:, c : c + width]
        panel[...] = panels[c * depth : c * depth + panel.size].reshape(panel.shape)
    return result


def _pad_gates(array: np.ndarray, s: Sizes) -> np.ndarray:
    """Return (..., 4H) as (..., 4P): each gate padded on its own."""
    gates = np.zeros((*array.shape[:-1], 4, s.padded), array.dtype)
    gates[..., : s.hidden] = array.reshape(*array.shape[:-1], 4, s.hidden)
    return gates.reshape(*array.shape[:-1], 4 * s.padded)


def _cut_gates(array: np.ndarray, s: Sizes) -> np.ndarray:
    """Return (..., 4P) as (..., 4H)."""
    gates = array.reshape(*array.shape[:-1], 4, s.padded)[..., : s.hidden]
    return gates.reshape(*array.shape[:-1], 4 * s.hidden)


def _pad(array: np.ndarray, *shape: int) -> np.ndarray:
    return np.pad(array, [(0, n - m) for n, m in zip(shape, array.shape, strict=True)])


def fill(flat: np.ndarray, parameters: Parameters, s: Sizes) -> None:
    """Write canonical parameters into the vector that `weights_in` divides."""
    parts = views(flat, weight_layout(s))

    def panels(matrix: np.ndarray) -> np.ndarray:
        return to_panels(_pad(_pad_gates(matrix.T, s), s.padded, 4 * s.padded), 2 * s.width)

    for n in range(s.layers):
        weight_ih = parameters[f"lstm.{n}.weight_ih"]
        if n:
            parts["below"][n - 1] = panels(weight_ih)
        else:
            parts["embedding"][...] = _pad_gates(weight_ih.T, s)
        parts["recurrent"][n] = panels(parameters[f"lstm.{n}.weight_hh"])
        parts["bias"][n] = _pad_gates(parameters[f"lstm.{n}.bias"], s)
    output = _pad(parameters["linear.weight"].T, s.padded, s.logits)
    parts["output"][0] = to_panels(output, 2 * s.width)
    parts["output_bias"][0] = _pad(parameters["linear.bias"], s.logits)


def canonical(flat: np.ndarray, s: Sizes) -> dict[str, np.ndarray]:
    """Return copies of the canonical parameters (or gradients) in `flat`, in canonical order."""
    parts = views(flat, weight_layout(s))

    def matrix(panels: np.ndarray) -> np.ndarray:
        rows = from_panels(panels, 4 * s.padded, 2 * s.width)[: s.hidden]
        return np.ascontiguousarray(_cut_gates(rows, s).T)

    result: dict[str, np.ndarray] = {}
    for n in range(s.layers):
        embedding = np.ascontiguousarray(_cut_gates(parts["embedding"], s).T)
        result[f"lstm.{n}.weight_ih"] = matrix(parts["below"][n - 1]) if n else embedding
        result[f"lstm.{n}.weight_hh"] = matrix(parts["recurrent"][n])
        result[f"lstm.{n}.bias"] = _cut_gates(parts["bias"][n], s).copy()
    output = from_panels(parts["output"][0], s.logits, 2 * s.width)[: s.hidden, : s.vocabulary]
    result["linear.weight"] = np.ascontiguousarray(output.T)
    result["linear.bias"] = parts["output_bias"][0, : s.vocabulary].copy()
    return result

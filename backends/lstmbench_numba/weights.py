"""Where the numbers lie in memory, and the way there from the canonical parameters and back.

Two things are done for speed. Hidden units are padded with zeros to whole vectors: a padded unit
has zero weights, so that its c and h stay 0, and so do its gradients. And matrices are stored as
panels: the right-hand side of a product, (depth, columns), is cut into strips of two vectors of
columns, each strip stored as one contiguous (depth, width) piece, so that a product reads it
from first to last; the last strip is one vector wide where the columns run out.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from lstmbench import Parameters, views
from lstmbench_numba.simd import VECTOR_BYTES, Table, compiled, lanes, pointer, row_of


class Sizes(NamedTuple):
    """V, L and H, what H and V are after padding to whole vectors, and the width of those."""

    vocabulary: int
    layers: int
    hidden: int
    padded: int
    logits: int
    width: int  # numbers in a vector


class Weights(NamedTuple):
    """Parameters (or their gradients) as the forward products want them; P = padded H.

    Each matrix is transposed, so that a row of hidden states stands on its left.
    """

    embedding: Table  # (V, 4P) layer 0's W_ih^T: one row for each digit
    bias: Table  # (L, 4P)
    below: Table  # (L - 1, P * 4P) W_ih^T of the layers above the first, panels
    recurrent: Table  # (L, P * 4P) W_hh^T, panels
    output: Table  # (1, P * padded V) W^T of the linear layer, panels
    output_bias: Table  # (1, padded V)


class Transposes(NamedTuple):
    """The same matrices as the backward products want them: not transposed."""

    below: Table  # (L - 1, 4P * P) panels
    recurrent: Table  # (L, 4P * P) panels
    output: Table  # (1, padded V * P) panels


def aligned(length: int, dtype: str) -> np.ndarray:
    """Zeros that begin on a vector boundary."""
    size = length * np.dtype(dtype).itemsize
    raw = np.zeros(size + VECTOR_BYTES, np.uint8)
    start = -raw.ctypes.data % VECTOR_BYTES
    return raw[start : start + size].view(dtype)


def count(layout: Mapping[str, tuple[int, ...]]) -> int:
    """How many numbers a layout holds."""
    return sum(math.prod(shape) for shape in layout.values())


def sizes(vocabulary: int, hidden: int, layers: int, dtype: str) -> Sizes:
    """Round H and V up to whole vectors of `dtype`."""
    width = lanes(np.dtype(dtype).itemsize)
    padded, logits = (-(-n // width) * width for n in (hidden, vocabulary))
    return Sizes(vocabulary, layers, hidden, padded, logits, width)


def weight_layout(s: Sizes) -> dict[str, tuple[int, ...]]:
    """Shapes of the parts of the flat vector that `weights_in` divides, in its order."""
    gates = 4 * s.padded
    return {
        "embedding": (s.vocabulary, gates),
        "bias": (s.layers, gates),
        "below": (s.layers - 1, gates * s.padded),
        "recurrent": (s.layers, gates * s.padded),
        "output": (s.padded * s.logits,),
        "output_bias": (s.logits,),
    }


@compiled
def weights_in(flat: np.ndarray, s: Sizes) -> Weights:
    """The named parts of one flat vector."""
    gates = 4 * s.padded
    embedding = Table(pointer(flat), gates)
    bias = Table(row_of(embedding, s.vocabulary), gates)
    below = Table(row_of(bias, s.layers), gates * s.padded)
    recurrent = Table(row_of(below, s.layers - 1), gates * s.padded)
    output = Table(row_of(recurrent, s.layers), s.padded * s.logits)
    return Weights(embedding, bias, below, recurrent, output, Table(row_of(output, 1), s.logits))


def transpose_count(s: Sizes) -> int:
    """How many numbers `transposes_in` divides."""
    return (2 * s.layers - 1) * 4 * s.padded * s.padded + s.logits * s.padded


@compiled
def transposes_in(flat: np.ndarray, s: Sizes) -> Transposes:
    """The named parts of one flat vector."""
    below = Table(pointer(flat), 4 * s.padded * s.padded)
    recurrent = Table(row_of(below, s.layers - 1), below.columns)
    output = Table(row_of(recurrent, s.layers), s.logits * s.padded)
    return Transposes(below, recurrent, output)


def to_panels(matrix: np.ndarray, width: int) -> np.ndarray:
    """(depth, columns) as one flat vector of strips of up to `width` columns."""
    columns = range(0, matrix.shape[1], width)
    return np.concatenate([matrix[:, c : c + width].ravel() for c in columns])


def from_panels(panels: np.ndarray, columns: int, width: int) -> np.ndarray:
    """The inverse of `to_panels`: (depth, columns)."""
    depth = panels.size // columns
    result = np.empty((depth, columns), panels.dtype)
    for c in range(0, columns, width):
        strip = result[:, c : c + width]
        strip[...] = panels[c * depth : c * depth + strip.size].reshape(strip.shape)
    return result


def _pad_gates(array: np.ndarray, s: Sizes) -> np.ndarray:
    """(..., 4H) as (..., 4P): each gate padded on its own."""
    gates = np.zeros((*array.shape[:-1], 4, s.padded), array.dtype)
    gates[..., : s.hidden] = array.reshape(*array.shape[:-1], 4, s.hidden)
    return gates.reshape(*array.shape[:-1], 4 * s.padded)


def _cut_gates(array: np.ndarray, s: Sizes) -> np.ndarray:
    """(..., 4P) as (..., 4H)."""
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
    parts["output"][...] = to_panels(output, 2 * s.width)
    parts["output_bias"][...] = _pad(parameters["linear.bias"], s.logits)


def canonical(flat: np.ndarray, s: Sizes) -> dict[str, np.ndarray]:
    """Copies of the canonical parameters (or gradients) in `flat`, in canonical order."""
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
    output = from_panels(parts["output"], s.logits, 2 * s.width)[: s.hidden, : s.vocabulary]
    result["linear.weight"] = np.ascontiguousarray(output.T)
    result["linear.bias"] = parts["output_bias"][: s.vocabulary].copy()
    return result

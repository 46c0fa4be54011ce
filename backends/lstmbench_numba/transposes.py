"""The second copy of the matrices, which the backward products read, and how it is kept up to date.

Backpropagation multiplies by W where the forward pass multiplies by W^T. A product reads panels
from the first number to the last only in one of the two directions, so each matrix is kept in
both. The copies are renewed after each step of the optimiser.

    flat:  below | recurrent | output
"""

from typing import Generic, NamedTuple

import numpy as np
from numba import prange
from numba.extending import register_jitable

from lstmbench_numba.compilation import compiled, compiled_parallel
from lstmbench_numba.memory import Part, Shape, Table, row_of, views_in
from lstmbench_numba.panels import transpose_panels
from lstmbench_numba.threads import part
from lstmbench_numba.vectors import outlined
from lstmbench_numba.weights import Sizes, weights_in


class Transposes(NamedTuple, Generic[Part]):
    """The matrices as the backward products read them; compare `Weights`."""

    below: Part  # W_ih of the layers above the first, each in panels
    recurrent: Part  # W_hh, each in panels
    output: Part  # W of the linear layer, in panels


@register_jitable
def transpose_shapes(s: Sizes) -> Transposes[Shape]:
    """Return the layout of the copies, for Python and for compiled code."""
    matrix = 4 * s.padded * s.padded
    return Transposes(
        below=(s.layers - 1, matrix),
        recurrent=(s.layers, matrix),
        output=(1, s.logits * s.padded),
    )


@compiled
def transposes_in(flat: np.ndarray, s: Sizes) -> Transposes[Table]:
    """Return views of the copies in a flat array."""
    return views_in(flat, transpose_shapes(s))


@compiled
def _refresh_part(
    s: Sizes, parameters: np.ndarray, copies: np.ndarray, parts: int, index: int
) -> None:
    """Do part number `index` of `refresh`: a range of the columns of each matrix."""
    outlined()
    sources, targets = weights_in(parameters, s), transposes_in(copies, s)
    gates = 4 * s.padded
    start, stop = part(gates, parts, index, s.panel)
    for n in range(s.layers):
        source, target = row_of(sources.recurrent, n), row_of(targets.recurrent, n)
        transpose_panels(source, target, s.padded, gates, start, stop)
        if n:
            source, target = row_of(sources.below, n - 1), row_of(targets.below, n - 1)
            transpose_panels(source, target, s.padded, gates, start, stop)
    start, stop = part(s.logits, parts, index, s.panel)
    source, target = sources.output.start, targets.output.start
    transpose_panels(source, target, s.padded, s.logits, start, stop)


@compiled_parallel
def refresh(s: Sizes, parameters: np.ndarray, copies: np.ndarray, parts: int) -> None:
    """Bring the copies up to date with the parameters, in `parts` parts at once."""
    for index in prange(parts):
        _refresh_part(s, parameters, copies, parts, np.int64(index))

"""The gradients of the weights, for a range of their columns, from every step's d loss / d z.

Each thread sums the whole batch into columns of its own, so that nothing has to be added up after.
"""

from typing import Any

import numpy as np

from lstmbench_numba.compiling import compiled, outlined
from lstmbench_numba.memory import Block, Table, ahead, at, clear, down, right, row_of
from lstmbench_numba.products import strip_1, strip_2
from lstmbench_numba.vector import load, store, width
from lstmbench_numba.weights import Sizes, Weights
from lstmbench_numba.workspace import DEPTH, Workspace


@compiled
def pack(block: Block, rows: int, columns: int, out: Any, sums: Any) -> Block:
    """Copy some columns of `rows` rows to `out`, row after row, and add them up into `sums`.

    Returns the copy. Uncopied, a strip of the gates spans so many pages of memory that each read
    would wait for the translation of its address.
    """
    outlined()
    for c in range(0, columns, width(out)):
        total = load(sums, c)
        for row in range(rows):
            value = load(block.start, row * block.row + c)
            store(out, row * columns + c, value)
            total = total + value
        store(sums, c, total)
    return Block(out, columns, 1)


@compiled
def add_gradient(x: Block, d_z: Block, out: Any, units: int, depth: int) -> None:
    """Add x^T d_z, summed over `depth` rows, to the panel at the pointer `out`.

    x (depth, units), d_z (depth, one or two vectors) packed.
    """
    a, total = Block(x.start, 1, x.row), Block(out, d_z.row, 1)
    if d_z.row > width(out):
        strip_2(a, d_z, total, total, units, depth)
    else:
        strip_1(a, d_z, total, total, units, depth)


@compiled
def clear_columns(table: Table, rows: int, start: int, stop: int) -> None:
    """Write zeros to columns [start, stop) of the first `rows` rows."""
    clear(Block(ahead(table.start, start), table.columns, 1), rows, stop - start)


@compiled
def add_digits(tokens: np.ndarray, d_z: Block, embedding: Table, start: int) -> None:
    """Add one-hot(tokens)^T d_z to the columns from `start` on: each row to that of its digit."""
    for row, token in enumerate(tokens):
        out, x = ahead(row_of(embedding, token), start), ahead(d_z.start, row * d_z.row)
        for c in range(0, d_z.row, width(out)):
            store(out, c, load(out, c) + load(x, c))


@compiled
def layer_gradients(
    s: Sizes, work: Workspace, n: int, gradient: Weights, strip: Any, start: int, stop: int
) -> None:
    """Add the gradients of the gate columns [start, stop) of layer n."""
    outlined()
    count, batch, units, panel = work.tokens.size, work.gates.rows, s.padded, 2 * s.width
    bias, recurrent = row_of(gradient.bias, n), row_of(gradient.recurrent, n)
    tokens = work.tokens.ravel()
    for row in range(0, count, DEPTH):
        depth = min(DEPTH, count - row)
        skipped = min(max(batch - row, 0), depth)  # rows of the first step: h before it is zero
        h = at(work.hidden, n, 0, row + skipped)
        for c in range(start, stop, panel):
            d_z = right(at(work.gates, n, 0, row), c)
            d_z = pack(d_z, depth, min(panel, stop - c), strip, ahead(bias, c))
            if n:
                x, below = at(work.hidden, n - 1, 1, row), row_of(gradient.below, n - 1)
                add_gradient(x, d_z, ahead(below, c * units), units, depth)
            else:
                add_digits(tokens[row : row + depth], d_z, gradient.embedding, c)
            d_z, out = down(d_z, skipped), ahead(recurrent, c * units)
            add_gradient(h, d_z, out, units, depth - skipped)


@compiled
def weight_gradients(
    s: Sizes, work: Workspace, gradient: Weights, strip: Any, start: int, stop: int
) -> None:
    """Write the gradients of the gate columns [start, stop) of all layers."""
    outlined()
    clear_columns(gradient.embedding, s.vocabulary, start, stop)
    clear_columns(gradient.bias, s.layers, start, stop)
    clear_columns(gradient.recurrent, s.layers, start * s.padded, stop * s.padded)
    clear_columns(gradient.below, s.layers - 1, start * s.padded, stop * s.padded)
    for n in range(s.layers):
        layer_gradients(s, work, n, gradient, strip, start, stop)


@compiled
def output_gradients(
    s: Sizes, work: Workspace, gradient: Weights, strip: Any, start: int, stop: int
) -> None:
    """Write the gradients of the columns [start, stop) of the linear layer."""
    outlined()
    clear_columns(gradient.output_bias, 1, start, stop)
    clear_columns(gradient.output, 1, start * s.padded, stop * s.padded)
    count, units, panel = work.tokens.size, s.padded, 2 * s.width
    for row in range(0, count, DEPTH):
        depth, h = min(DEPTH, count - row), at(work.hidden, s.layers - 1, 1, row)
        for c in range(start, stop, panel):
            d_z = right(at(work.logits, 0, 0, row), c)
            bias = ahead(gradient.output_bias.start, c)
            d_z = pack(d_z, depth, min(panel, stop - c), strip, bias)
            add_gradient(h, d_z, ahead(gradient.output.start, c * units), units, depth)

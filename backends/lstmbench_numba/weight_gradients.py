"""The gradients of the weights after backpropagation, for a range of the gates' columns.

The gradient of a matrix is x^T d_z, summed over all rows of the batch and all steps. Each thread
sums the whole batch for its own columns: nothing is added up across threads, and a panel of
the gradient stays in the cache while `DEPTH` rows at a time are added to it. Those rows are summed
on their own first: one running sum over all rows would round each of them to the sum's size.
"""

from typing import Any

import numpy as np

from lstmbench_numba.compilation import compiled
from lstmbench_numba.memory import Block, Grid, Table, ahead, at, clear, down, right, row_of
from lstmbench_numba.products import strip_1, strip_2
from lstmbench_numba.vectors import load, outlined, spread, store, width
from lstmbench_numba.weights import Sizes, Weights
from lstmbench_numba.workspace import DEPTH, Workspace


@compiled
def pack(block: Block, rows: int, columns: int, out: Any, sums: Any) -> Block:
    """Copy `rows` rows of `columns` columns to the pointer `out`, and return the copy.

    The sum of the rows, which is the gradient of the bias, is added to `sums` (columns,). The copy
    is made because a strip of the gates spans so many pages of memory that each read would wait
    for the translation of its address.
    """
    outlined()
    for c in range(0, columns, width(out)):
        total = spread(sums, 0)
        for row in range(rows):
            value = load(block.start, row * block.row_stride + c)
            store(out, row * columns + c, value)
            total = total + value
        store(sums, c, load(sums, c) + total)
    return Block(out, columns, 1)


@compiled
def add_gradient(x: Block, d_z: Block, out: Any, units: int, depth: int) -> None:
    """Add x^T d_z, summed over `depth` rows, to the panel at the pointer `out`.

    x is (depth, units); d_z is (depth, one or two vectors), packed.
    """
    x_transposed, sums = Block(x.start, 1, x.row_stride), Block(out, d_z.row_stride, 1)
    if d_z.row_stride > width(out):
        strip_2(x_transposed, d_z, sums, sums, units, depth)
    else:
        strip_1(x_transposed, d_z, sums, sums, units, depth)


@compiled
def add_row(x: Any, out: Any, columns: int) -> None:
    """Add `columns` numbers, whole vectors, from the pointer `x` on to those from `out` on."""
    for c in range(0, columns, width(out)):
        store(out, c, load(out, c) + load(x, c))


@compiled
def add_embedding_gradient(
    tokens: np.ndarray, d_z: Block, sums: Any, embedding: Table, vocabulary: int, start: int
) -> None:
    """Add one-hot(tokens)^T d_z to the columns of `embedding` from `start` on.

    Each row of d_z is added to the sum of its digit, and then the sums, for which the pointer
    `sums` has memory, to the rows of `embedding`.
    """
    columns = d_z.row_stride
    clear(Block(sums, columns, 1), vocabulary, columns)
    for row, token in enumerate(tokens):
        add_row(ahead(d_z.start, row * columns), ahead(sums, token * columns), columns)
    for digit in range(vocabulary):
        out = ahead(row_of(embedding, digit), start)
        add_row(ahead(sums, digit * columns), out, columns)


@compiled
def layer_gradients(
    s: Sizes,
    work: Workspace[Grid],
    tokens: np.ndarray,
    n: int,
    gradient: Weights[Table],
    strip: Any,
    start: int,
    stop: int,
) -> None:
    """Add the gradients of the gate columns [start, stop) of layer n, from d loss / d z.

    `tokens` is (T B,); `strip` points to memory for `pack`, and behind that for the sums of
    `add_embedding_gradient`.
    """
    outlined()
    units, batch = s.padded, work.gates.rows
    bias, recurrent = row_of(gradient.bias, n), row_of(gradient.recurrent, n)
    for row in range(0, len(tokens), DEPTH):
        depth = min(DEPTH, len(tokens) - row)
        # The first step starts from h = 0: its rows add nothing to the recurrent gradient.
        skipped = min(max(batch - row, 0), depth)
        h = at(work.hidden, n, 0, row + skipped)
        for c in range(start, stop, s.panel):
            d_z = right(at(work.gates, n, 0, row), c)
            d_z = pack(d_z, depth, min(s.panel, stop - c), strip, ahead(bias, c))
            if n:
                x, below = at(work.hidden, n - 1, 1, row), row_of(gradient.below, n - 1)
                add_gradient(x, d_z, ahead(below, c * units), units, depth)
            else:
                digits, sums = tokens[row : row + depth], ahead(strip, DEPTH * s.panel)
                add_embedding_gradient(digits, d_z, sums, gradient.embedding, s.vocabulary, c)
            d_z, out = down(d_z, skipped), ahead(recurrent, c * units)
            add_gradient(h, d_z, out, units, depth - skipped)


@compiled
def lstm_gradients(
    s: Sizes,
    work: Workspace[Grid],
    tokens: np.ndarray,
    gradient: Weights[Table],
    strip: Any,
    start: int,
    stop: int,
) -> None:
    """Compute the gradients of the gate columns [start, stop) of all layers."""
    outlined()
    clear_columns(gradient.embedding, s.vocabulary, start, stop)
    clear_columns(gradient.bias, s.layers, start, stop)
    clear_columns(gradient.recurrent, s.layers, start * s.padded, stop * s.padded)
    clear_columns(gradient.below, s.layers - 1, start * s.padded, stop * s.padded)
    for n in range(s.layers):
        layer_gradients(s, work, tokens.ravel(), n, gradient, strip, start, stop)


@compiled
def output_gradients(
    s: Sizes, work: Workspace[Grid], gradient: Weights[Table], strip: Any, start: int, stop: int
) -> None:
    """Compute the gradients of the logits [start, stop) of the linear layer."""
    outlined()
    clear_columns(gradient.output_bias, 1, start, stop)
    clear_columns(gradient.output, 1, start * s.padded, stop * s.padded)
    count, units = work.logits.steps * work.logits.rows, s.padded
    for row in range(0, count, DEPTH):
        depth, h = min(DEPTH, count - row), at(work.hidden, s.layers - 1, 1, row)
        for c in range(start, stop, s.panel):
            d_logits = right(at(work.logits, 0, 0, row), c)
            bias = ahead(gradient.output_bias.start, c)
            d_logits = pack(d_logits, depth, min(s.panel, stop - c), strip, bias)
            add_gradient(h, d_logits, ahead(gradient.output.start, c * units), units, depth)


@compiled
def clear_columns(table: Table, rows: int, start: int, stop: int) -> None:
    """Set columns [start, stop) of the first `rows` rows to zero."""
    clear(Block(ahead(table.start, start), table.columns, 1), rows, stop - start)

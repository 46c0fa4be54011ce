"""The forward pass, for a range of the batch's rows.

In each step all layers run, from the first to the last, so that the same code serves inputs that
are given and those that the model chooses itself. Only a small batch with given inputs runs layer
by layer.
"""

from typing import NamedTuple

import numpy as np

from lstmbench_numba.cell import cell_forward
from lstmbench_numba.compilation import compiled
from lstmbench_numba.loss import argmax
from lstmbench_numba.memory import Block, Grid, Table, ahead, at, down, row_of
from lstmbench_numba.products import product
from lstmbench_numba.vectors import load, outlined, store, width
from lstmbench_numba.weights import Sizes, Weights
from lstmbench_numba.workspace import Workspace, slots_of

# Up to so many rows it pays to compute a layer's input products of all steps as one, for which the
# matrix is read once. With more rows, z is no longer in the cache when the recurrent product is
# added to it.
MOST_ROWS = 32


class Pass(NamedTuple):
    """What all functions of a forward pass read and write."""

    sizes: Sizes
    weights: Weights[Table]
    work: Workspace[Grid]
    tokens: np.ndarray  # (T, B) int64, the digit that goes in at each step


@compiled
def embed(p: Pass, out: Block, t: int, start: int, stop: int) -> None:
    """Compute z = one-hot(tokens[t, start:stop]) W_ih^T + b of layer 0.

    The product of a one-hot row is the matrix row of that digit: it is copied.
    """
    outlined()
    bias = p.weights.bias.start
    for row in range(stop - start):
        x = row_of(p.weights.embedding, p.tokens[t, start + row])
        z = ahead(out.start, row * out.row_stride)
        for c in range(0, p.weights.bias.columns, width(bias)):
            store(z, c, load(x, c) + load(bias, c))


@compiled
def input_product(p: Pass, n: int, step: int, steps: int, start: int, stop: int) -> None:
    """Compute z = x W_ih^T + b of layer n for `steps` steps from number `step` on.

    Several steps need all rows of the batch: only then do the rows of a step follow those of the
    step before in memory.
    """
    outlined()
    slots, rows, units = slots_of(p.work, step), stop - start, p.sizes.padded
    z = at(p.work.gates, n, slots.now, start)
    if n == 0:
        for k in range(steps):
            embed(p, down(z, k * rows), slots.now + k, start, stop)
    else:
        x = at(p.work.hidden, n - 1, slots.after, start)
        below, bias = row_of(p.weights.below, n - 1), Block(row_of(p.weights.bias, n), 0, 1)
        product(x, below, bias, z, steps * rows, units, 4 * units)


@compiled
def layer_forward(p: Pass, n: int, step: int, from_zero: bool, start: int, stop: int) -> None:
    """Add the recurrent product to z of layer n, and compute its gates and states.

    The product is left out if the state before is known to be zero.
    """
    outlined()
    work, slots, rows, units = p.work, slots_of(p.work, step), stop - start, p.sizes.padded
    z = at(work.gates, n, slots.now, start)
    if not from_zero:
        h = at(work.hidden, n, slots.before, start)
        product(h, row_of(p.weights.recurrent, n), z, z, rows, units, 4 * units)
    c, c_after = at(work.cell, n, slots.before, start), at(work.cell, n, slots.after, start)
    tanh_c, h_after = (
        at(work.tanh_cell, n, slots.now, start),
        at(work.hidden, n, slots.after, start),
    )
    cell_forward(z, c, c_after, tanh_c, h_after, rows, units)


@compiled
def output_product(p: Pass, step: int, steps: int, start: int, stop: int) -> None:
    """Compute the logits of `steps` steps from number `step` on; compare `input_product`."""
    s, slots = p.sizes, slots_of(p.work, step)
    h = at(p.work.hidden, s.layers - 1, slots.after, start)
    logits = at(p.work.logits, 0, slots.now, start)
    bias = Block(p.weights.output_bias.start, 0, 1)
    product(h, p.weights.output.start, bias, logits, steps * (stop - start), s.padded, s.logits)


@compiled
def step_forward(p: Pass, step: int, from_zero: bool, start: int, stop: int) -> None:
    """Run all layers at step number `step` for rows [start, stop), and compute the logits."""
    outlined()
    for n in range(p.sizes.layers):
        input_product(p, n, step, 1, start, stop)
        layer_forward(p, n, step, from_zero, start, stop)
    output_product(p, step, 1, start, stop)


@compiled
def answer(p: Pass, t: int, row: int) -> int:
    """Return the digit that the model finds most likely after slot t."""
    return argmax(at(p.work.logits, 0, t, row).start, p.sizes.vocabulary)


@compiled
def pass_forward(p: Pass, from_zero: bool, free_running: bool, start: int, stop: int) -> None:
    """Run all T steps for rows [start, stop).

    The first step starts from the states in slot 0, or skips products with them if they are zero.
    Free running, each digit but the first is the model's own answer to the one before.
    """
    outlined()
    if not free_running and stop - start == p.work.gates.rows <= MOST_ROWS:
        _pass_by_layer(p, from_zero, start, stop)
        return
    for t in range(p.work.gates.steps):
        if free_running and t:
            for row in range(start, stop):
                p.tokens[t, row] = answer(p, t - 1, row)
        step_forward(p, t, t == 0 and from_zero, start, stop)


@compiled
def _pass_by_layer(p: Pass, from_zero: bool, start: int, stop: int) -> None:
    """Run one layer after the other through all T steps."""
    length = p.work.gates.steps
    for n in range(p.sizes.layers):
        input_product(p, n, 0, length, start, stop)
        for t in range(length):
            layer_forward(p, n, t, t == 0 and from_zero, start, stop)
    output_product(p, 0, length, start, stop)

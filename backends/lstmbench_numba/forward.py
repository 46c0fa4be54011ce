"""The forward pass for a range of the batch's rows, and greedy generation.

A pass runs all layers at each step, so that the same code serves given inputs and the model's own
digits; over a small batch with given inputs, it goes layer by layer.

Formulas: `lstmbench.interface.parameters`.
"""

import numpy as np

from lstmbench_numba.cell import argmax, cell_forward
from lstmbench_numba.compiling import compiled, outlined
from lstmbench_numba.memory import Block, ahead, at, clear, down, row_of
from lstmbench_numba.products import product
from lstmbench_numba.vector import load, store, width
from lstmbench_numba.weights import Sizes, Weights
from lstmbench_numba.workspace import Workspace

MOST_ROWS = 32
"""Batches of up to so many rows gain from a layer's input products being one, for which a matrix is
read once; with more rows z is no longer in the cache when the recurrent product is added."""


@compiled
def feed(weights: Weights, tokens: np.ndarray, out: Block, t: int, start: int, stop: int) -> None:
    """Write z = one-hot(tokens[t, start:stop]) W_ih^T + b of layer 0, a look-up for each digit."""
    outlined()
    bias = weights.bias.start
    for row in range(stop - start):
        x, z = row_of(weights.embedding, tokens[t, start + row]), ahead(out.start, row * out.row)
        for c in range(0, weights.bias.columns, width(bias)):
            store(z, c, load(x, c) + load(bias, c))


@compiled
def input_product(
    s: Sizes,
    weights: Weights,
    work: Workspace,
    n: int,
    step: int,
    steps: int,
    start: int,
    stop: int,
) -> None:
    """Write z = x W_ih^T + b of layer n at `steps` steps from number `step` on.

    For rows [start, stop); of more than one step, these must be all rows of the batch.
    """
    outlined()
    t, after, rows = step % work.gates.steps, (step + 1) % work.hidden.steps, stop - start
    z = at(work.gates, n, t, start)
    if n == 0:
        for k in range(steps):
            feed(weights, work.tokens, down(z, k * rows), t + k, start, stop)
    else:
        x, bias = at(work.hidden, n - 1, after, start), Block(row_of(weights.bias, n), 0, 1)
        below, units = row_of(weights.below, n - 1), s.padded
        product(x, below, bias, z, steps * rows, units, 4 * units)


@compiled
def layer_forward(
    s: Sizes,
    weights: Weights,
    work: Workspace,
    n: int,
    step: int,
    from_zero: bool,
    start: int,
    stop: int,
) -> None:
    """Run layer n at step number `step`, from z without the recurrent product to h."""
    outlined()
    rows, units, t = stop - start, s.padded, step % work.gates.steps
    before, after = step % work.hidden.steps, (step + 1) % work.hidden.steps
    z = at(work.gates, n, t, start)
    if not from_zero:
        h = at(work.hidden, n, before, start)
        product(h, row_of(weights.recurrent, n), z, z, rows, units, 4 * units)
    c, c_after = at(work.cell, n, before, start), at(work.cell, n, after, start)
    tanh_c, h_after = at(work.tanh_cell, n, t, start), at(work.hidden, n, after, start)
    cell_forward(z, c, c_after, tanh_c, h_after, rows, units)


@compiled
def output_product(
    s: Sizes, weights: Weights, work: Workspace, step: int, steps: int, start: int, stop: int
) -> None:
    """Write the logits of some steps, as `input_product` does its products."""
    t, after, rows = step % work.gates.steps, (step + 1) % work.hidden.steps, stop - start
    h, logits = at(work.hidden, s.layers - 1, after, start), at(work.logits, 0, t, start)
    bias = Block(weights.output_bias.start, 0, 1)
    product(h, weights.output.start, bias, logits, steps * rows, s.padded, s.logits)


@compiled
def step_forward(
    s: Sizes,
    weights: Weights,
    work: Workspace,
    step: int,
    from_zero: bool,
    start: int,
    stop: int,
) -> None:
    """Run all layers at step number `step` for rows [start, stop), from a zero state or not.

    Where `work` holds fewer steps, each one takes the place of an earlier one.
    """
    outlined()
    for n in range(s.layers):
        input_product(s, weights, work, n, step, 1, start, stop)
        layer_forward(s, weights, work, n, step, from_zero, start, stop)
    output_product(s, weights, work, step, 1, start, stop)


@compiled
def next_digit(s: Sizes, work: Workspace, t: int, row: int) -> int:
    """Return the model's own next digit after step t."""
    return argmax(at(work.logits, 0, t, row).start, s.vocabulary)


@compiled
def pass_forward(
    s: Sizes,
    weights: Weights,
    work: Workspace,
    from_zero: bool,
    free_running: bool,
    start: int,
    stop: int,
) -> None:
    """Run all T steps for rows [start, stop).

    From a zero state, or from the one in `work`. Free-running: each digit but the first is the
    argmax after the one before it. Of a small batch, where all inputs are known and all rows are
    here, layer by layer.
    """
    outlined()
    length = work.gates.steps
    if not free_running and stop - start == work.gates.rows <= MOST_ROWS:
        for n in range(s.layers):
            input_product(s, weights, work, n, 0, length, start, stop)
            for t in range(length):
                layer_forward(s, weights, work, n, t, t == 0 and from_zero, start, stop)
        output_product(s, weights, work, 0, length, start, stop)
        return
    for t in range(length):
        if free_running and t:
            for row in range(start, stop):
                work.tokens[t, row] = next_digit(s, work, t - 1, row)
        step_forward(s, weights, work, t, t == 0 and from_zero, start, stop)


@compiled
def generate(
    s: Sizes,
    weights: Weights,
    work: Workspace,
    prompts: np.ndarray,
    digits: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Write greedy digits (B, steps) after prompts (B, P), for rows [start, stop).

    From a zero state, in a workspace of one step.
    """
    outlined()
    given = prompts.shape[1]
    for n in range(s.layers):
        clear(at(work.hidden, n, 0, start), stop - start, s.padded)
        clear(at(work.cell, n, 0, start), stop - start, s.padded)
    for t in range(given + digits.shape[1] - 1):
        for row in range(start, stop):
            work.tokens[0, row] = prompts[row, t] if t < given else digits[row, t - given]
        step_forward(s, weights, work, t, t == 0, start, stop)
        if t >= given - 1:
            for row in range(start, stop):
                digits[row, t - given + 1] = next_digit(s, work, 0, row)

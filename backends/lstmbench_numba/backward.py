"""The loss and backpropagation through time, for a range of the batch's rows.

The result is d loss / d z of all gates, written over the gates, from which `weight_gradients`
computes the gradients of the weights.
"""

import numpy as np

from lstmbench_numba.cell import cell_backward
from lstmbench_numba.compilation import compiled
from lstmbench_numba.loss import cross_entropy
from lstmbench_numba.memory import Block, Grid, Table, at, clear, row_of
from lstmbench_numba.products import product
from lstmbench_numba.transposes import Transposes
from lstmbench_numba.vectors import outlined
from lstmbench_numba.weights import Sizes
from lstmbench_numba.workspace import Workspace


@compiled
def loss_backward(
    s: Sizes, work: Workspace[Grid], targets: np.ndarray, start: int, stop: int
) -> float:
    """Return the cross-entropy in nats, summed over rows [start, stop) of `targets` (T, B).

    The gradient of its mean over the batch replaces the logits.
    """
    outlined()
    weight, total = 1 / targets.size, 0.0
    for t in range(work.gates.steps):
        for row in range(start, stop):
            logits = at(work.logits, 0, t, row).start
            total += cross_entropy(logits, s.logits, s.vocabulary, targets[t, row], weight)
    return total


@compiled
def pass_backward(
    s: Sizes, transposes: Transposes[Table], work: Workspace[Grid], start: int, stop: int
) -> None:
    """Compute d loss / d z of all steps from d loss / d logits, for rows [start, stop)."""
    outlined()
    rows, units = stop - start, s.padded
    for n in range(s.layers):
        clear(at(work.d_hidden, n, 0, start), rows, units)
        clear(at(work.d_cell, n, 0, start), rows, units)
    for t in range(work.gates.steps - 1, -1, -1):
        d_logits, d_h = at(work.logits, 0, t, start), at(work.d_hidden, s.layers - 1, 0, start)
        product(d_logits, transposes.output.start, d_h, d_h, rows, s.logits, units)
        for n in range(s.layers - 1, -1, -1):
            layer_backward(s, transposes, work, n, t, start, stop)


@compiled
def layer_backward(
    s: Sizes,
    transposes: Transposes[Table],
    work: Workspace[Grid],
    n: int,
    t: int,
    start: int,
    stop: int,
) -> None:
    """Compute d loss / d z of layer n at step t, and propagate the gradient further back.

    `d_hidden` and `d_cell` of the layer, which hold the gradient of step t, are replaced by that
    of step t - 1. What reaches the layer below at step t is added to its `d_hidden`.
    """
    rows, units = stop - start, s.padded
    d_z, d_h = at(work.gates, n, t, start), at(work.d_hidden, n, 0, start)
    c, tanh_c = at(work.cell, n, t, start), at(work.tanh_cell, n, t, start)
    cell_backward(d_z, c, tanh_c, d_h, at(work.d_cell, n, 0, start), rows, units)
    if t:
        zero = Block(work.zero.start, 0, 1)
        product(d_z, row_of(transposes.recurrent, n), zero, d_h, rows, 4 * units, units)
    if n:
        d_x = at(work.d_hidden, n - 1, 0, start)
        product(d_z, row_of(transposes.below, n - 1), d_x, d_x, rows, 4 * units, units)

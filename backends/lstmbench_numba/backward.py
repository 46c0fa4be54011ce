"""Backpropagation through time for a range of the batch's rows, from the logits to every z.

Gradients are those of the formulas in `lstmbench.interface.parameters`; Werbos,
https://doi.org/10.1109/5.58337.
"""

from lstmbench_numba.cell import cell_backward, cross_entropy
from lstmbench_numba.compiling import compiled, outlined
from lstmbench_numba.memory import Block, at, clear, row_of
from lstmbench_numba.products import product
from lstmbench_numba.weights import Sizes, Transposes
from lstmbench_numba.workspace import Workspace


@compiled
def loss_backward(s: Sizes, work: Workspace, start: int, stop: int) -> float:
    """Return cross-entropy summed over rows [start, stop), in nats.

    The logits are overwritten by the gradient of its mean over the whole batch.
    """
    outlined()
    weight, total = 1 / work.targets.size, 0.0
    for t in range(work.gates.steps):
        for row in range(start, stop):
            logits, target = at(work.logits, 0, t, row).start, work.targets[t, row]
            total += cross_entropy(logits, s.logits, s.vocabulary, target, weight)
    return total


@compiled
def pass_backward(s: Sizes, transposes: Transposes, work: Workspace, start: int, stop: int) -> None:
    """Go back through all T steps for rows [start, stop), from d loss / d logits to d loss / d z.

    At each step the gradient goes down through the layers; what a layer's z contributes to h of the
    step before and of the layer below is added up in `d_hidden`.
    """
    outlined()
    rows, units = stop - start, s.padded
    zero = Block(work.zero.start, 0, 1)
    for n in range(s.layers):
        clear(at(work.d_hidden, n, 0, start), rows, units)
        clear(at(work.d_cell, n, 0, start), rows, units)
    for t in range(work.gates.steps - 1, -1, -1):
        d_z, d_h = at(work.logits, 0, t, start), at(work.d_hidden, s.layers - 1, 0, start)
        product(d_z, transposes.output.start, d_h, d_h, rows, s.logits, units)
        for n in range(s.layers - 1, -1, -1):
            d_z, d_h = at(work.gates, n, t, start), at(work.d_hidden, n, 0, start)
            c, tanh_c = at(work.cell, n, t, start), at(work.tanh_cell, n, t, start)
            cell_backward(d_z, c, tanh_c, d_h, at(work.d_cell, n, 0, start), rows, units)
            if t:
                product(d_z, row_of(transposes.recurrent, n), zero, d_h, rows, 4 * units, units)
            if n:
                d_x = at(work.d_hidden, n - 1, 0, start)
                product(d_z, row_of(transposes.below, n - 1), d_x, d_x, rows, 4 * units, units)

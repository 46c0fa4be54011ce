"""The layout of what a pass leaves behind at one (B, T), and the views of it.

Arrays are time-major. P is the padded hidden size; a row of hidden units is P + one vector long,
and a row of gates 4P + one vector: the vector more keeps rows from competing for the same few sets
of the cache.

States have T + 1 places for T steps, as a ring::

    place            0     1     2   ...   T
    before step 1    h_0                         h_0 is zero, or what the caller gives
    after step T     h_0   h_1   h_2  ...  h_T   step t reads place t and writes place t + 1

Step number k, counted on and on, reads place k mod (T + 1) and writes place (k + 1) mod (T + 1);
its gates are in place k mod T. With T = 1, as when digits are generated, two places of states serve
any number of steps in turn.

`workspace_shapes` is the only place where the sizes are written.
"""

from typing import Any, NamedTuple

import numpy as np

from lstmbench_numba.compiling import compiled
from lstmbench_numba.memory import Grid, next_grid, pointer
from lstmbench_numba.weights import Sizes

DEPTH = 128
"""How many rows, of the batch at all steps, a weight gradient sums at once: what stays in the L2
cache."""

Shapes = tuple[tuple[int, int, int, int], ...]
"""Layers, steps, rows and columns of consecutive grids."""


class Workspace(NamedTuple):
    """Views of what a pass leaves behind; made once and used by every call."""

    tokens: np.ndarray  # (T, B) int64, the digit that goes in at each step
    targets: np.ndarray  # (T, B) int64
    gates: Grid  # activated i, f, g, o; in the backward pass d loss / d z
    hidden: Grid  # h; a ring of T + 1 places
    cell: Grid  # c; likewise
    tanh_cell: Grid
    d_hidden: Grid  # d loss / d h of the step at hand
    d_cell: Grid  # d loss / d c, likewise
    logits: Grid  # after the loss its gradient
    zero: Grid  # to start sums from
    strips: Grid  # a strip of d loss / d z, for each thread


GRIDS = Workspace._fields[2:]
"""The names of the grids, in their order in memory."""


class Memory(NamedTuple):
    """The arrays behind a `Workspace`: few, as each one adds to a parallel loop's compilation."""

    tokens: np.ndarray  # (2, T, B) int64: inputs and targets
    numbers: np.ndarray  # all grids, one after the other
    losses: np.ndarray  # (parts,) float64: cross-entropy summed over each part of the rows, in nats


@compiled
def workspace_shapes(s: Sizes, batch: int, length: int, parts: int) -> Shapes:
    """Return the shapes of the grids of a workspace at (B, T), for so many threads."""
    units, gates = s.padded + s.width, 4 * s.padded + s.width
    return (
        (s.layers, length, batch, gates),
        (s.layers, length + 1, batch, units),
        (s.layers, length + 1, batch, units),
        (s.layers, length, batch, units),
        (s.layers, 1, batch, units),
        (s.layers, 1, batch, units),
        (1, length, batch, s.logits),
        (1, 1, 1, units),
        (parts, 1, DEPTH, 2 * s.width),
    )


@compiled
def workspace_in(m: Memory, s: Sizes) -> Workspace:
    """Return the grids of a memory."""
    _, length, batch = m.tokens.shape
    shapes = workspace_shapes(s, batch, length, 1)
    gates = Grid(pointer(m.numbers), shapes[0][1], shapes[0][2], shapes[0][3])
    hidden = _next(gates, shapes[0], shapes[1])
    cell = _next(hidden, shapes[1], shapes[2])
    tanh_cell = _next(cell, shapes[2], shapes[3])
    d_hidden = _next(tanh_cell, shapes[3], shapes[4])
    d_cell = _next(d_hidden, shapes[4], shapes[5])
    logits = _next(d_cell, shapes[5], shapes[6])
    zero = _next(logits, shapes[6], shapes[7])
    strips = _next(zero, shapes[7], shapes[8])
    tokens, targets = m.tokens[0], m.tokens[1]
    return Workspace(
        tokens, targets, gates, hidden, cell, tanh_cell, d_hidden, d_cell, logits, zero, strips
    )


@compiled
def _next(grid: Grid, shape: Any, following: Any) -> Grid:
    """Return the grid of shape `following` after one of `shape`."""
    return next_grid(grid, shape[0], following[1], following[2], following[3])


def workspace_layout(
    s: Sizes, batch: int, length: int, parts: int
) -> dict[str, tuple[int, int, int, int]]:
    """Return the shape of each grid by name, in order."""
    return dict(zip(GRIDS, workspace_shapes.py_func(s, batch, length, parts), strict=True))

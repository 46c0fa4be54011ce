"""The layout of what a pass leaves in memory, made once for each shape (B, T) of a batch.

Arrays are time-major. P is the padded hidden size. Rows of hidden units lie S = P + one vector
apart, rows of gates 4P + one vector: rows a power of two apart would compete for the same few sets
of the cache.

Steps are numbered from 0 on, without end, while arrays have a limited number of slots for them and
are used as ring buffers. With T slots, step number t uses slot t mod T of `gates`, `tanh_cell` and
`logits`. The states `hidden` and `cell` have T + 1 slots: step t reads slot t mod (T + 1) and
writes the slot after it. A pass over T steps keeps all of them for backpropagation:

    step         0        1        2             T - 1
    gates       [0]      [1]      [2]     ...   [T - 1]
    hidden   [0] -> [1] -> [2] -> [3]     ...          -> [T]
              ^ the initial state                          ^ the final state

Generation keeps nothing. It runs with T = 1, so that two slots of states take turns:

    step         0        1        2        3
    gates       [0]      [0]      [0]      [0]
    hidden   [0] -> [1] -> [0] -> [1] -> [0]   ...
"""

from typing import Generic, NamedTuple

import numpy as np
from numba.extending import register_jitable

from lstmbench_numba.compilation import compiled
from lstmbench_numba.memory import Grid, Part, Shape, views_in
from lstmbench_numba.weights import Sizes

# Rows of the batch and time that a weight gradient sums at once: what stays in the L2 cache.
DEPTH = 128


class Buffers(NamedTuple):
    """The arrays of one workspace: few, as each one adds to a parallel loop's compile time."""

    tokens: np.ndarray  # (2, T, B) int64: inputs and targets
    numbers: np.ndarray  # all parts of `Workspace`
    losses: np.ndarray  # (threads,) float64: cross-entropy of each part of the rows, in nats


class Workspace(NamedTuple, Generic[Part]):
    """What a pass leaves behind."""

    gates: Part  # activated i, f, g, o; on the way back d loss / d z
    hidden: Part  # h; slot 0 is the initial state
    cell: Part  # c; likewise
    tanh_cell: Part  # tanh c
    d_hidden: Part  # d loss / d h of the step at hand
    d_cell: Part  # d loss / d c of the step at hand
    logits: Part  # after the loss its gradient
    zero: Part  # one row of zeros, for sums to start from
    strips: Part  # for each thread a panel of d loss / d z, and its sums by digit


class Slots(NamedTuple):
    """Where a step lies in the ring buffers."""

    now: int  # in gates, tanh_cell and logits
    before: int  # the states that it reads
    after: int  # the states that it writes


@register_jitable
def workspace_shapes(s: Sizes, batch: int, length: int, threads: int) -> Workspace[Shape]:
    """Return the layout for (B, T) = (batch, length), for Python and for compiled code."""
    units = s.padded + s.width
    return Workspace(
        gates=(s.layers, length, batch, 4 * s.padded + s.width),
        hidden=(s.layers, length + 1, batch, units),
        cell=(s.layers, length + 1, batch, units),
        tanh_cell=(s.layers, length, batch, units),
        d_hidden=(s.layers, 1, batch, units),
        d_cell=(s.layers, 1, batch, units),
        logits=(1, length, batch, s.logits),
        zero=(1, 1, 1, units),
        strips=(threads, 1, DEPTH + s.vocabulary, s.panel),
    )


@compiled
def workspace_in(buffers: Buffers, s: Sizes) -> Workspace[Grid]:
    """Return views of the workspace in its buffers."""
    _, length, batch = buffers.tokens.shape
    return views_in(buffers.numbers, workspace_shapes(s, batch, length, len(buffers.losses)))


@compiled
def slots_of(work: Workspace[Grid], step: int) -> Slots:
    """Return the slots of step number `step`."""
    states = work.hidden.steps
    return Slots(step % work.gates.steps, step % states, (step + 1) % states)

"""Forward pass and backpropagation through time, by hand, for a range of the batch's rows.

Arrays are time-major; P is the padded hidden size, S = P + one vector the distance between rows
of hidden units (4P + one vector between rows of gates), which keeps rows from competing for the
same few sets of the cache. A pass runs all layers at each step, so that the same code serves
given inputs and the model's own; one over a small batch with given inputs, layer by layer.

Formulas: `lstmbench.parameters`; their gradients: Werbos, https://doi.org/10.1109/5.58337.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import prange

from lstmbench_numba.cell import argmax, cell_backward, cell_forward, cross_entropy
from lstmbench_numba.simd import (
    PANELS_AT_ONCE,
    Block,
    Grid,
    Table,
    ahead,
    at,
    compiled,
    compiled_parallel,
    down,
    load,
    outlined,
    pointer,
    row_by_panels,
    row_of,
    spread,
    store,
    strip_1,
    strip_2,
    width,
)
from lstmbench_numba.weights import Sizes, Transposes, Weights, transposes_in, weights_in

# Rows of the batch and the time that a weight gradient sums at once: what stays in the L2 cache.
DEPTH = 128
# A product of fewer rows than these waits for the matrix to be read.
FEW_ROWS = 4
# Batches of up to so many rows gain from a layer's input products being one, for which a matrix
# is read once; with more rows z is no longer in the cache when the recurrent product is added.
MOST_ROWS = 32

CONTINUE, FORWARD, TEACHER_FORCED, FREE_RUNNING, GENERATE = range(5)


class Workspace(NamedTuple):
    """What a pass at one (B, T) leaves behind; made once and used by every call."""

    tokens: np.ndarray  # (T, B) int64, the digit that goes in at each step
    targets: np.ndarray  # (T, B) int64
    gates: Grid  # (L, T, B, 4P + one vector) activated i, f, g, o; on the way back d loss / d z
    hidden: Grid  # (L, T + 1, B, S) h; [:, 0] is the initial state
    cell: Grid  # (L, T + 1, B, S) c; likewise
    tanh_cell: Grid  # (L, T, B, S)
    d_hidden: Grid  # (L, 1, B, S) d loss / d h of the step at hand
    d_cell: Grid  # (L, 1, B, S) d loss / d c, likewise
    logits: Grid  # (1, T, B, padded V); after the loss its gradient
    zero: Grid  # (1, 1, 1, S) to start sums from
    strips: Grid  # (parts, 1, DEPTH, 2 vectors) a strip of d loss / d z, for each thread


class Memory(NamedTuple):
    """The arrays behind a `Workspace`: few, as each one adds to a parallel loop's compilation."""

    tokens: np.ndarray  # (2, T, B) int64: inputs and targets
    numbers: np.ndarray  # all of the others
    losses: np.ndarray  # (parts) float64: cross-entropy of each part of the rows, summed, in nats


def workspace_layout(s: Sizes, batch: int, length: int, parts: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the parts of `Memory.numbers`, in order, for (B, T) = (batch, length)."""
    units = s.padded + s.width
    return {
        "gates": (s.layers, length, batch, 4 * s.padded + s.width),
        "hidden": (s.layers, length + 1, batch, units),
        "cell": (s.layers, length + 1, batch, units),
        "tanh_cell": (s.layers, length, batch, units),
        "d_hidden": (s.layers, 1, batch, units),
        "d_cell": (s.layers, 1, batch, units),
        "logits": (1, length, batch, s.logits),
        "zero": (1, 1, 1, units),
        "strips": (parts, 1, DEPTH, 2 * s.width),
    }


@compiled
def _after(grid: Grid, layers: int, steps: int, columns: int) -> Grid:
    """The grid that follows a grid of `layers` in memory, for as many rows."""
    return Grid(at(grid, layers, 0, 0).start, steps, grid.rows, columns)


@compiled
def workspace_in(m: Memory, s: Sizes) -> Workspace:
    """The named parts of `m`, as `workspace_layout` has them."""
    _, length, batch = m.tokens.shape
    units = s.padded + s.width
    gates = Grid(pointer(m.numbers), length, batch, 4 * s.padded + s.width)
    hidden = _after(gates, s.layers, length + 1, units)
    cell = _after(hidden, s.layers, length + 1, units)
    tanh_cell = _after(cell, s.layers, length, units)
    d_hidden = _after(tanh_cell, s.layers, 1, units)
    d_cell = _after(d_hidden, s.layers, 1, units)
    logits = _after(d_cell, s.layers, length, s.logits)
    zero = _after(logits, 1, 1, units)
    strips = Grid(at(zero, 0, 0, 1).start, 1, DEPTH, 2 * s.width)
    return Workspace(
        m.tokens[0],
        m.tokens[1],
        gates,
        hidden,
        cell,
        tanh_cell,
        d_hidden,
        d_cell,
        logits,
        zero,
        strips,
    )


@compiled
def right(part: Block, columns: int) -> Block:
    """The same block from `columns` further on."""
    return Block(ahead(part.start, columns * part.step), part.row, part.step)


@compiled
def product(
    a: Block, panels: Any, first: Block, out: Block, rows: int, depth: int, columns: int
) -> None:
    """out (rows, columns) = first + a (rows, depth) b (depth, columns), b in panels at `panels`."""
    outlined()
    one, done = width(out.start), 0
    if rows < FEW_ROWS:
        group = 2 * PANELS_AT_ONCE * one
        done = columns // group * group
        for c in range(0, done, group):
            b = Block(ahead(panels, c * depth), 2 * one, 1)
            for row in range(rows):
                here = right(down(first, row), c), right(down(out, row), c)
                row_by_panels(down(a, row), b, *here, depth)
    for c in range(done, columns, 2 * one):
        strip = ahead(panels, c * depth)
        if columns - c > one:
            b = Block(strip, 2 * one, 1)
            strip_2(a, b, right(first, c), right(out, c), rows, depth)
        else:
            b = Block(strip, one, 1)
            strip_1(a, b, right(first, c), right(out, c), rows, depth)


@compiled
def clear(out: Block, rows: int, columns: int) -> None:
    """Zeros in whole vectors. (A slice set to 0 compiles to hundreds of instructions.)"""
    outlined()
    zeros = spread(out.start, 0)
    for row in range(rows):
        for c in range(0, columns, width(out.start)):
            store(out.start, row * out.row + c, zeros)


@compiled
def feed(weights: Weights, tokens: np.ndarray, out: Block, t: int, start: int, stop: int) -> None:
    """z = one-hot(tokens[t, start:stop]) W_ih^T + b of layer 0: a row of it for each digit."""
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
    """z = x W_ih^T + b of layer n at `steps` steps from number `step` on, rows [start, stop).

    Of more than one step, all rows of the batch.
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
    """Layer n at step number `step`, from z without the recurrent product to h."""
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
    """Logits, as `input_product` has it."""
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
    """All layers at step number `step` for rows [start, stop), from a zero state or not.

    Where `work` holds fewer steps, each one takes the place of an earlier one.
    """
    outlined()
    for n in range(s.layers):
        input_product(s, weights, work, n, step, 1, start, stop)
        layer_forward(s, weights, work, n, step, from_zero, start, stop)
    output_product(s, weights, work, step, 1, start, stop)


@compiled
def answer(s: Sizes, work: Workspace, t: int, row: int) -> int:
    """The model's own next digit after step t."""
    return argmax(at(work.logits, 0, t, row).start, s.vocabulary)


@compiled
def pass_forward(
    s: Sizes, weights: Weights, work: Workspace, job: int, start: int, stop: int
) -> None:
    """All T steps for rows [start, stop).

    Of a small batch, where all inputs are known and all rows are here, layer by layer.
    """
    outlined()
    length, from_zero = work.gates.steps, job != CONTINUE
    if job != FREE_RUNNING and stop - start == work.gates.rows <= MOST_ROWS:
        for n in range(s.layers):
            input_product(s, weights, work, n, 0, length, start, stop)
            for t in range(length):
                layer_forward(s, weights, work, n, t, t == 0 and from_zero, start, stop)
        output_product(s, weights, work, 0, length, start, stop)
        return
    for t in range(length):
        if job == FREE_RUNNING and t:
            for row in range(start, stop):
                work.tokens[t, row] = answer(s, work, t - 1, row)
        step_forward(s, weights, work, t, t == 0 and from_zero, start, stop)


@compiled
def loss_backward(s: Sizes, work: Workspace, start: int, stop: int) -> float:
    """Cross-entropy summed over rows [start, stop), in nats; logits become its mean's gradient."""
    outlined()
    weight, total = 1 / work.targets.size, 0.0
    for t in range(work.gates.steps):
        for row in range(start, stop):
            logits, target = at(work.logits, 0, t, row).start, work.targets[t, row]
            total += cross_entropy(logits, s.logits, s.vocabulary, target, weight)
    return total


@compiled
def pass_backward(s: Sizes, transposes: Transposes, work: Workspace, start: int, stop: int) -> None:
    """All T steps back for rows [start, stop): from d loss / d logits to d loss / d z."""
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


@compiled
def pack(block: Block, rows: int, columns: int, out: Any, sums: Any) -> Block:
    """Copy some columns of `rows` rows to `out`, row after row, and add them up into `sums`.

    A strip of the gates spans so many pages of memory that each read would wait for its address.
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
    """Zeros in columns [start, stop) of the first `rows` rows."""
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
    """Gradients of the gate columns [start, stop) of layer n, from d loss / d z."""
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
    """Gradients of the gate columns [start, stop) of all layers, from d loss / d z."""
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
    """Gradients of the logits [start, stop) of the linear layer, from d loss / d logits."""
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


@compiled
def generate_part(
    s: Sizes,
    weights: Weights,
    work: Workspace,
    prompts: np.ndarray,
    digits: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Job GENERATE of `over_rows` for rows [start, stop)."""
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
                digits[row, t - given + 1] = answer(s, work, 0, row)


@compiled
def part(count: int, parts: int, index: int, unit: int) -> tuple[int, int]:
    """[start, stop) of one of `parts` parts of `count`, in whole units but for the end."""
    units = -(-count // unit)
    return index * units // parts * unit, min((index + 1) * units // parts * unit, count)


@compiled
def rows_job(
    job: int,
    s: Sizes,
    parameters: np.ndarray,
    copies: np.ndarray,
    m: Memory,
    prompts: np.ndarray,
    digits: np.ndarray,
    index: int,
) -> None:
    """`over_rows` for part number `index` of the rows."""
    outlined()
    weights, work = weights_in(parameters, s), workspace_in(m, s)
    start, stop = part(work.tokens.shape[1], len(m.losses), index, 1)
    if job == GENERATE:
        generate_part(s, weights, work, prompts, digits, start, stop)
    else:
        pass_forward(s, weights, work, job, start, stop)
        if job in (TEACHER_FORCED, FREE_RUNNING):
            m.losses[index] = loss_backward(s, work, start, stop)
            pass_backward(s, transposes_in(copies, s), work, start, stop)


@compiled_parallel
def over_rows(
    job: int,
    s: Sizes,
    parameters: np.ndarray,
    copies: np.ndarray,
    m: Memory,
    prompts: np.ndarray,
    digits: np.ndarray,
) -> None:
    """Do a job for all rows of the batch, one part of them on each thread.

    FORWARD: all T steps over the tokens, to the logits. States in `m` before the first are zero.
    CONTINUE: the same from any states.
    TEACHER_FORCED: the same from zero, then the loss and its gradient for each z.
    FREE_RUNNING: the same, with each digit but the first the argmax after the one before.
    GENERATE: greedy digits (B, steps) after prompts (B, P), from zero; `m` is for T = 1.
    One function for all of them, because compiling a parallel loop takes seconds.
    """
    for index in prange(len(m.losses)):
        rows_job(job, s, parameters, copies, m, prompts, digits, np.int64(index))


@compiled
def columns_job(s: Sizes, m: Memory, gradient: np.ndarray, parts: int, index: int) -> None:
    """`over_columns` for part number `index` of the columns."""
    outlined()
    work, total = workspace_in(m, s), weights_in(gradient, s)
    panel, strip = 2 * s.width, at(work.strips, index, 0, 0).start
    start, stop = part(4 * s.padded, parts, index, panel)
    weight_gradients(s, work, total, strip, start, stop)
    start, stop = part(s.logits, parts, index, panel)
    output_gradients(s, work, total, strip, start, stop)


@compiled_parallel
def over_columns(s: Sizes, m: Memory, gradient: np.ndarray, parts: int) -> None:
    """The gradient of all weights after `over_rows`, one part of the columns on each thread.

    Each thread sums the whole batch into its own columns: nothing has to be added up after.
    """
    for index in prange(parts):
        columns_job(s, m, gradient, parts, np.int64(index))

"""The parallel kernels of the model, which the backend calls.

`over_rows` runs a pass, or generation, with a part of the batch's rows on each thread.
`over_columns` then computes the gradients of the weights, with a part of the matrices' columns on
each thread. Between the two all threads wait for each other: a weight gradient needs d loss / d z
of all rows.

The work itself is in `forward`, `generation`, `backward` and `weight_gradients`.
"""

import numpy as np
from numba import prange

from lstmbench_numba.backward import loss_backward, pass_backward
from lstmbench_numba.compilation import compiled, compiled_parallel
from lstmbench_numba.forward import Pass, pass_forward
from lstmbench_numba.generation import generate_rows
from lstmbench_numba.memory import at
from lstmbench_numba.threads import part
from lstmbench_numba.transposes import transposes_in
from lstmbench_numba.vectors import outlined
from lstmbench_numba.weight_gradients import lstm_gradients, output_gradients
from lstmbench_numba.weights import Sizes, weights_in
from lstmbench_numba.workspace import Buffers, workspace_in

# The jobs of `over_rows`.
CONTINUE, FORWARD, TEACHER_FORCED, FREE_RUNNING, GENERATE = range(5)


@compiled_parallel
def over_rows(
    job: int,
    s: Sizes,
    parameters: np.ndarray,
    copies: np.ndarray,
    buffers: Buffers,
    prompts: np.ndarray,
    digits: np.ndarray,
    parts: int,
) -> None:
    """Do a job for all rows of the batch, in `parts` parts at once.

    FORWARD: run all T steps over the tokens, from zero states in `buffers`, up to the logits.
    CONTINUE: the same from any states.
    TEACHER_FORCED: the same from zero, then compute the loss and its gradient for each z.
    FREE_RUNNING: the same, with each digit but the first the argmax after the one before.
    GENERATE: fill `digits` (B, steps) after `prompts` (B, P), from zero; `buffers` are for T = 1.

    One kernel does all of them, because each parallel loop takes seconds to compile.
    """
    for index in prange(parts):
        _rows_part(job, s, parameters, copies, buffers, prompts, digits, parts, np.int64(index))


@compiled
def _rows_part(
    job: int,
    s: Sizes,
    parameters: np.ndarray,
    copies: np.ndarray,
    buffers: Buffers,
    prompts: np.ndarray,
    digits: np.ndarray,
    parts: int,
    index: int,
) -> None:
    """Do part number `index` of `over_rows`."""
    outlined()
    work = workspace_in(buffers, s)
    tokens, targets = buffers.tokens[0], buffers.tokens[1]
    p = Pass(s, weights_in(parameters, s), work, tokens)
    start, stop = part(tokens.shape[1], parts, index, 1)
    if job == GENERATE:
        generate_rows(p, prompts, digits, start, stop)
    else:
        pass_forward(p, job != CONTINUE, job == FREE_RUNNING, start, stop)
        if job in (TEACHER_FORCED, FREE_RUNNING):
            buffers.losses[index] = loss_backward(s, work, targets, start, stop)
            pass_backward(s, transposes_in(copies, s), work, start, stop)


@compiled_parallel
def over_columns(s: Sizes, buffers: Buffers, gradient: np.ndarray, parts: int) -> None:
    """Compute the gradients of all weights after `over_rows`, in `parts` parts at once."""
    for index in prange(parts):
        _columns_part(s, buffers, gradient, parts, np.int64(index))


@compiled
def _columns_part(s: Sizes, buffers: Buffers, gradient: np.ndarray, parts: int, index: int) -> None:
    """Do part number `index` of `over_columns`."""
    outlined()
    work, result = workspace_in(buffers, s), weights_in(gradient, s)
    strip = at(work.strips, index, 0, 0).start
    start, stop = part(4 * s.padded, parts, index, s.panel)
    lstm_gradients(s, work, buffers.tokens[0], result, strip, start, stop)
    start, stop = part(s.logits, parts, index, s.panel)
    output_gradients(s, work, result, strip, start, stop)

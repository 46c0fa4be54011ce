"""The parallel jobs of the model: parts of the rows, or of the columns, one on each thread.

There are two parallel loops, one over rows and one over columns, because compiling one takes
seconds.
"""

import numpy as np
from numba import prange

from lstmbench_numba.backward import loss_backward, pass_backward
from lstmbench_numba.compiling import compiled, compiled_parallel, outlined, part
from lstmbench_numba.forward import generate, pass_forward
from lstmbench_numba.gradients import output_gradients, weight_gradients
from lstmbench_numba.memory import at
from lstmbench_numba.weights import Sizes, transposes_in, weights_in
from lstmbench_numba.workspace import Memory, workspace_in

CONTINUE, FORWARD, TEACHER_FORCED, FREE_RUNNING, GENERATE = range(5)
"""The jobs of `over_rows`."""


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
    """Do the job of `over_rows` for part number `index` of the rows."""
    outlined()
    weights, work = weights_in(parameters, s), workspace_in(m, s)
    start, stop = part(work.tokens.shape[1], len(m.losses), index, 1)
    if job == GENERATE:
        generate(s, weights, work, prompts, digits, start, stop)
    else:
        free_running = job == FREE_RUNNING
        pass_forward(s, weights, work, job != CONTINUE, free_running, start, stop)
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
    """
    for index in prange(len(m.losses)):
        rows_job(job, s, parameters, copies, m, prompts, digits, np.int64(index))


@compiled
def columns_job(s: Sizes, m: Memory, gradient: np.ndarray, parts: int, index: int) -> None:
    """Do the job of `over_columns` for part number `index` of the columns."""
    outlined()
    work, total = workspace_in(m, s), weights_in(gradient, s)
    panel, strip = 2 * s.width, at(work.strips, index, 0, 0).start
    start, stop = part(4 * s.padded, parts, index, panel)
    weight_gradients(s, work, total, strip, start, stop)
    start, stop = part(s.logits, parts, index, panel)
    output_gradients(s, work, total, strip, start, stop)


@compiled_parallel
def over_columns(s: Sizes, m: Memory, gradient: np.ndarray, parts: int) -> None:
    """Write the gradient of all weights after `over_rows`, a part of the columns on each thread."""
    for index in prange(parts):
        columns_job(s, m, gradient, parts, np.int64(index))

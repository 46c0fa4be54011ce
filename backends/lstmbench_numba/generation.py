"""Greedy generation of digits, for a range of the batch's rows."""

import numpy as np

from lstmbench_numba.compilation import compiled
from lstmbench_numba.forward import Pass, answer, step_forward
from lstmbench_numba.memory import at, clear
from lstmbench_numba.vectors import outlined


@compiled
def generate_rows(p: Pass, prompts: np.ndarray, digits: np.ndarray, start: int, stop: int) -> None:
    """Fill rows [start, stop) of `digits` (B, steps) with the model's answers to `prompts` (B, P).

    The workspace is one for T = 1, in which each step takes the place of earlier ones.
    """
    outlined()
    given = prompts.shape[1]
    for n in range(p.sizes.layers):
        clear(at(p.work.hidden, n, 0, start), stop - start, p.sizes.padded)
        clear(at(p.work.cell, n, 0, start), stop - start, p.sizes.padded)
    for t in range(given + digits.shape[1] - 1):
        for row in range(start, stop):
            p.tokens[0, row] = prompts[row, t] if t < given else digits[row, t - given]
        step_forward(p, t, t == 0, start, stop)
        if t >= given - 1:
            for row in range(start, stop):
                digits[row, t - given + 1] = answer(p, 0, row)

"""Global-norm clipping, Adam and the copies that follow from them, in parallel."""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import prange

from lstmbench import Options
from lstmbench_numba.compiling import compiled, compiled_parallel, outlined, part
from lstmbench_numba.memory import ahead, pointer, row_of
from lstmbench_numba.vector import load, spread, square_root, store, total, transpose_square, width
from lstmbench_numba.weights import Sizes, aligned, transposes_in, weights_in


class Adam(NamedTuple):
    """Scalars of one step: Kingma and Ba, https://arxiv.org/abs/1412.6980, algorithm 1."""

    clip_norm: float
    beta1: float
    beta2: float
    epsilon: float
    rate: float  # learning rate / (1 - beta1^t)
    correction: float  # 1 / (1 - beta2^t)


class Moments:
    """Running means of the gradient (n,) and of its square, and how many steps made them.

    `norms` (parts,) is where each part of an update leaves its share of the squared norm.
    """

    def __init__(self, size: int, options: Options, parts: int) -> None:
        self.options = options
        self.mean = aligned(size, options.dtype)
        self.square = aligned(size, options.dtype)
        self.norms = np.zeros(parts)
        self.steps = 0

    def advance(self) -> Adam:
        """Count one more step and return its scalars."""
        o = self.options
        self.steps += 1
        return Adam(
            o.clip_norm,
            o.beta1,
            o.beta2,
            o.epsilon,
            o.learning_rate / (1 - o.beta1**self.steps),
            1 / (1 - o.beta2**self.steps),
        )


@compiled
def _sum_of_squares(values: np.ndarray, start: int, stop: int) -> float:
    """Return the sum of the squares of values[start:stop], whole vectors.

    A few vectors at a time are summed in their own precision, and those sums in float64.
    """
    outlined()
    x, result = pointer(values), 0.0
    for first in range(start, stop, 64 * width(x)):
        squares = spread(x, 0)
        for at in range(first, min(first + 64 * width(x), stop), width(x)):
            value = load(x, at)
            squares = squares + value * value
        result += total(squares)
    return result


@compiled
def _adam(
    parameters: np.ndarray,
    gradient: np.ndarray,
    mean: np.ndarray,
    square: np.ndarray,
    adam: Adam,
    scale: float,
    start: int,
    stop: int,
) -> None:
    """Make one step for [start, stop), whole vectors, with the gradient times `scale`."""
    outlined()
    p, x, m, v = pointer(parameters), pointer(gradient), pointer(mean), pointer(square)
    for at in range(start, stop, width(p)):
        g = load(x, at) * scale
        first = load(m, at) * adam.beta1 + g * (1 - adam.beta1)
        second = load(v, at) * adam.beta2 + g * g * (1 - adam.beta2)
        store(m, at, first)
        store(v, at, second)
        step = first * adam.rate / (square_root(second * adam.correction) + adam.epsilon)
        store(p, at, load(p, at) - step)


@compiled
def transpose(source: Any, target: Any, rows: int, columns: int, start: int, stop: int) -> None:
    """Transpose columns [start, stop) of (rows, columns), from panels to panels."""
    outlined()
    one = width(source)
    panel = 2 * one
    for c in range(start, stop, one):
        wide = min(panel, columns - c // panel * panel)
        for r in range(0, rows, one):
            high = min(panel, rows - r // panel * panel)
            come = c // panel * panel * rows + r * wide + c % panel
            go = r // panel * panel * columns + c * high + r % panel
            transpose_square(ahead(source, come), wide, ahead(target, go), high)


@compiled
def _refresh(s: Sizes, parameters: np.ndarray, copies: np.ndarray, parts: int, index: int) -> None:
    """Do `refresh` for part number `index` of the columns."""
    outlined()
    weights, targets = weights_in(parameters, s), transposes_in(copies, s)
    panel, columns = 2 * s.width, 4 * s.padded
    start, stop = part(columns, parts, index, panel)
    for n in range(s.layers):
        recurrent, target = row_of(weights.recurrent, n), row_of(targets.recurrent, n)
        transpose(recurrent, target, s.padded, columns, start, stop)
        if n:
            below, target = row_of(weights.below, n - 1), row_of(targets.below, n - 1)
            transpose(below, target, s.padded, columns, start, stop)
    start, stop = part(s.logits, parts, index, panel)
    transpose(weights.output.start, targets.output.start, s.padded, s.logits, start, stop)


@compiled_parallel
def refresh(s: Sizes, parameters: np.ndarray, copies: np.ndarray, parts: int) -> None:
    """Bring the backward copies up to date with the parameters."""
    for index in prange(parts):
        _refresh(s, parameters, copies, parts, np.int64(index))


@compiled_parallel
def update(
    parameters: np.ndarray,
    gradient: np.ndarray,
    mean: np.ndarray,
    square: np.ndarray,
    norms: np.ndarray,
    adam: Adam,
) -> None:
    """Clip `gradient` (n,) to the global norm and move `parameters` (n,), a part for each norm."""
    size, parts, one = len(parameters), len(norms), width(pointer(parameters))
    for index in prange(parts):
        start, stop = part(size, parts, np.int64(index), one)
        norms[index] = _sum_of_squares(gradient, start, stop)
    norm = math.sqrt(norms.sum())
    scale = adam.clip_norm / norm if norm > adam.clip_norm else 1.0
    for index in prange(parts):
        start, stop = part(size, parts, np.int64(index), one)
        _adam(parameters, gradient, mean, square, adam, scale, start, stop)

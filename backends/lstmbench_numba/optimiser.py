"""Clipping by global norm and Adam, in parallel over the flat array of all parameters."""

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from lstmbench import Options
from lstmbench_numba.compilation import compiled, compiled_parallel
from lstmbench_numba.memory import aligned, pointer
from lstmbench_numba.threads import part
from lstmbench_numba.vector_math import square_root
from lstmbench_numba.vectors import load, outlined, spread, store, total, width


class Adam(NamedTuple):
    """The scalars of one step: Kingma and Ba, https://arxiv.org/abs/1412.6980, algorithm 1."""

    clip_norm: float
    beta1: float
    beta2: float
    epsilon: float
    rate: float  # learning rate / (1 - beta1^t)
    correction: float  # 1 / (1 - beta2^t)


class Moments:
    """The optimiser's state: running means of the gradient (n,) and of its square, and a count.

    `norms` (parts,) is where each part of an update writes its share of the squared norm.
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

    Runs of 64 vectors are added up in the precision of the values, and their sums in float64.
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
    """Move parameters [start, stop), whole vectors, with the gradient multiplied by `scale`."""
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


@compiled_parallel
def update(
    parameters: np.ndarray,
    gradient: np.ndarray,
    mean: np.ndarray,
    square: np.ndarray,
    norms: np.ndarray,
    adam: Adam,
) -> None:
    """Clip `gradient` (n,) to the global norm and move `parameters` (n,) by one step of Adam.

    There is a part for each of `norms`. All parts of the norm are known before the first parameter
    moves, since one loop ends before the next one begins.
    """
    size, parts, one = len(parameters), len(norms), width(pointer(parameters))
    for index in prange(parts):
        start, stop = part(size, parts, np.int64(index), one)
        norms[index] = _sum_of_squares(gradient, start, stop)
    norm = math.sqrt(norms.sum())
    scale = adam.clip_norm / norm if norm > adam.clip_norm else 1.0
    for index in prange(parts):
        start, stop = part(size, parts, np.int64(index), one)
        _adam(parameters, gradient, mean, square, adam, scale, start, stop)

"""What a step does between its products: gates, cell state and loss, forward and backward.

Formulas: `lstmbench.interface.parameters`; their gradients: Werbos, https://doi.org/10.1109/5.58337.
"""

import math
from typing import Any

from lstmbench_numba.compiling import compiled, outlined
from lstmbench_numba.memory import Block, ahead
from lstmbench_numba.vector import (
    Vector,
    clamp,
    is_single,
    load,
    nearest,
    power_of_two,
    spread,
    store,
    width,
)

LOG2_E = 1 / math.log(2)
LN2_HIGH = 0.693145751953125  # 17 bits
LN2_LOW = math.log(2) - LN2_HIGH + 2.3190468138462996e-17  # math.log(2) itself is that much short
RECIPROCAL_FACTORIAL = tuple(1 / math.factorial(n) for n in range(14))


@compiled
def exponential(y: Vector) -> tuple[Vector, Vector]:
    """Return (p, s) with e^y = s + s p and s a power of two; |y| beyond 64 counts as 64.

    With y = n ln 2 + r and |r| <= ln(2) / 2: s = 2^n, and p = e^r - 1 is its Taylor series. ln 2
    is the sum of two constants so that n ln 2 loses no digits (Cody and Waite).
    """
    y = clamp(y, 64.0)
    n = nearest(y * LOG2_E)
    r = (y - n * LN2_HIGH) - n * LN2_LOW
    terms = 7 if is_single(y) else 13
    series = r * RECIPROCAL_FACTORIAL[terms] + RECIPROCAL_FACTORIAL[terms - 1]
    for k in range(terms - 2, 1, -1):
        series = series * r + RECIPROCAL_FACTORIAL[k]
    return r + r * r * series, power_of_two(n)


@compiled
def tanh(z: Vector) -> Vector:
    """Return (e^2z - 1) / (e^2z + 1), where e^2z - 1 keeps the digits of a small z."""
    p, s = exponential(z * 2)
    e = s * p + (s - 1)
    return e / (e + 2)


@compiled
def sigmoid(z: Vector) -> Vector:
    """Return 1 / (1 + e^-z)."""
    p, s = exponential(z * -1)
    return 1 / (s * p + (s + 1))


@compiled
def cell_forward(
    gates: Block, before: Block, cell: Block, tanh_cell: Block, hidden: Block, rows: int, units: int
) -> None:
    """Compute the gates, c_t, tanh c_t and h_t, from z in `gates` and c_{t-1} in `before`.

    The gates are written over z, in the order i, f, g, o, `units` numbers each.
    """
    outlined()
    for row in range(rows):
        z = ahead(gates.start, row * gates.row)
        for u in range(0, units, width(z)):
            i = sigmoid(load(z, u))
            f = sigmoid(load(z, u + units))
            g = tanh(load(z, u + 2 * units))
            o = sigmoid(load(z, u + 3 * units))
            store(z, u, i)
            store(z, u + units, f)
            store(z, u + 2 * units, g)
            store(z, u + 3 * units, o)
            here = row * cell.row + u
            c = f * load(before.start, here) + i * g
            tanh_c = tanh(c)
            store(cell.start, here, c)
            store(tanh_cell.start, here, tanh_c)
            store(hidden.start, here, o * tanh_c)


@compiled
def cell_backward(
    gates: Block,
    before: Block,
    tanh_cell: Block,
    d_hidden: Block,
    d_cell: Block,
    rows: int,
    units: int,
) -> None:
    """Compute d loss / d z, written over `gates`, and d c_{t-1}, from d loss / d (h_t, c_t)."""
    outlined()
    for row in range(rows):
        z = ahead(gates.start, row * gates.row)
        for u in range(0, units, width(z)):
            here = row * d_cell.row + u
            i = load(z, u)
            f = load(z, u + units)
            g = load(z, u + 2 * units)
            o = load(z, u + 3 * units)
            tanh_c = load(tanh_cell.start, here)
            d_h = load(d_hidden.start, here)
            d_c = load(d_cell.start, here) + d_h * o * (1 - tanh_c * tanh_c)
            store(z, u, d_c * g * (i * (1 - i)))
            store(z, u + units, d_c * load(before.start, here) * (f * (1 - f)))
            store(z, u + 2 * units, d_c * i * (1 - g * g))
            store(z, u + 3 * units, d_h * tanh_c * (o * (1 - o)))
            store(d_cell.start, here, d_c * f)


@compiled
def argmax(logits: Any, vocabulary: int) -> int:
    """Return the first largest of the V logits at a pointer."""
    best = 0
    for v in range(1, vocabulary):
        if logits[v] > logits[best]:
            best = v
    return best


@compiled
def cross_entropy(logits: Any, padded: int, vocabulary: int, target: int, weight: float) -> float:
    """Return -log softmax(logits)[target] in nats; write its gradient times `weight` over logits.

    `logits` points to V logits and others, up to `padded`, whose gradient is 0.
    """
    outlined()
    highest = spread(logits, logits[argmax(logits, vocabulary)])
    chosen = logits[target] - logits[argmax(logits, vocabulary)]
    for c in range(0, padded, width(logits)):
        p, s = exponential(load(logits, c) - highest)
        store(logits, c, s * p + s)
    total = 0.0
    for v in range(vocabulary):
        total += logits[v]
    for v in range(padded):
        logits[v] = logits[v] * (weight / total) if v < vocabulary else 0
    logits[target] -= weight
    return math.log(total) - chosen

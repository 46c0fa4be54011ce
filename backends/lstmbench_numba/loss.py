"""The largest logit of a row, and the cross-entropy of a row with its gradient."""

import math
from typing import Any

from lstmbench_numba.compilation import compiled
from lstmbench_numba.vector_math import exponential
from lstmbench_numba.vectors import load, outlined, spread, store, width


@compiled
def argmax(logits: Any, vocabulary: int) -> int:
    """Return the index of the largest of V logits from a pointer on, of equal ones the first."""
    best = 0
    for v in range(1, vocabulary):
        if logits[v] > logits[best]:
            best = v
    return best


@compiled
def cross_entropy(logits: Any, padded: int, vocabulary: int, target: int, weight: float) -> float:
    """Return -log softmax(logits)[target] in nats, and replace the logits by its gradient.

    `logits` points to V logits, which padding follows up to `padded` numbers. The gradient is
    multiplied by `weight`; that of the padding is 0.
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

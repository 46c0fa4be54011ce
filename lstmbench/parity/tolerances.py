"""How far from the oracle honest arithmetic may be.

The error of an array a against the oracle's e is ||a - e|| / ||e||. Its tolerance is a fixed
multiple of what honest arithmetic in the same precision does: the larger of the error of a plain
implementation that sums in another order, and of the change in the oracle's own result when its
parameters move by one unit in the last place. For a trajectory that is the envelope of its
perturbations.
"""

from collections.abc import Iterable

import numpy as np

from lstmbench.interface import OptimiserSpec, Parameters
from lstmbench.parity.comparing import relative_error
from lstmbench.parity.values import Arrays

HONEST_FACTOR = 16
"""How many times a plain implementation's error is still honest arithmetic.

Summation order, fused multiply-adds and other approximations of tanh change an error by a small
factor; a fault changes it by thousands.
"""
WIDEST = 0.5
"""No tolerance is wider: an array of zeros, whose error is 1, never passes."""
CLIP_GUARD = 1e-6
"""What PyTorch's `clip_grad_norm_` adds to the norm before it divides. That is an honest way to
clip too, so what it changes is allowed where clipping is active."""


def tolerances(
    exact: Arrays, others: Iterable[Arrays], eps: float, terms: int = 1
) -> dict[str, float]:
    """Return the error allowed in each array: HONEST_FACTOR times the largest among `others`.

    At least that many eps. A loss, being a single number, may be right in all the others by luck:
    it is allowed what summing its `terms` costs.
    """
    variants = list(others)
    result = {}
    for name, value in exact.items():
        largest = max([eps, *(relative_error(other[name], value) for other in variants)])
        least = summation_error(terms, eps) if name.endswith("loss") else 0.0
        result[name] = min(WIDEST, max(least, HONEST_FACTOR * float(largest)))
    return result


def perturbed(parameters: Parameters, eps: float, seed: int) -> Arrays:
    """Return the parameters with each number moved by one unit in the last place, up or down."""
    random = np.random.default_rng(seed)
    return {
        name: array * (1 + eps * random.choice([-1, 1], array.shape))
        for name, array in parameters.items()
    }


def margins(logits: np.ndarray) -> np.ndarray:
    """Return by how much each top logit leads the second, as a share of the largest.

    `logits` are (B, n, V), the result is (B, n).
    """
    second, top = np.sort(logits, axis=-1)[..., -2:].transpose(2, 0, 1)
    return np.asarray((top - second) / np.abs(logits).max())


def clipping_allowance(gradients: Arrays, eps: float) -> float:
    """Return the relative error that honest ways to take and guard the norm add to a clip.

    This is for a clip to far below the norm: dividing by N + g changes the result by g / N.
    """
    return CLIP_GUARD / _norm(gradients) + _norm_error(gradients, eps)


def step_allowance(gradients: Arrays, optimiser: OptimiserSpec, eps: float) -> float:
    """Return the relative error that honest ways to clip and to step add to a parameter's move."""
    allowance = correction_error(optimiser, eps)
    if _norm(gradients) > optimiser.clip_norm:
        allowance += CLIP_GUARD / optimiser.clip_norm + _norm_error(gradients, eps)
    return allowance


def correction_error(optimiser: OptimiserSpec, eps: float) -> float:
    """Return the relative error of an Adam step whose betas and 1 - beta^t are rounded.

    optax rounds them. 1 - beta, the smallest of these, is off by up to eps; of the second
    moment's, a root is taken.
    """
    return eps / (1 - optimiser.beta1) + eps / (1 - optimiser.beta2) / 2


def summation_error(terms: int, eps: float) -> float:
    """Return the relative error that a sum of numbers of one sign, one by one, may well have.

    A multiple of the root of the number of terms; Higham and Mary,
    https://doi.org/10.1137/18M1226312.
    """
    return float(HONEST_FACTOR / 4 * eps * np.sqrt(terms))


def _norm(arrays: Arrays) -> float:
    """Return the global L2 norm of all arrays."""
    return float(np.sqrt(sum((array**2).sum() for array in arrays.values())))


def _norm_error(arrays: Arrays, eps: float) -> float:
    """Return the relative error of their norm when its squares are summed one by one."""
    return summation_error(sum(array.size for array in arrays.values()), eps)

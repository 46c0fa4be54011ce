"""How far from the oracle honest arithmetic may be.

The error of an array a against the oracle's e is ||a - e|| / ||e||. Its tolerance is a fixed
multiple of what honest arithmetic in the same precision does: the largest of the error of a plain
implementation that sums in another order, of the change in the oracle's own result when its
parameters move by one unit in the last place, and when all its activations err to one side. Along a
trajectory that is the envelope so far.

Where numbers are stored, as parameters are after each step, each may be off by half a unit in its
last place besides: the resolution of an array is the norm of these.
"""

import re
from collections.abc import Iterable

import numpy as np

from lstmbench.interface import OptimiserSpec, Parameters, Precision
from lstmbench.parity.comparing import largest_error
from lstmbench.parity.values import Arrays

HONEST_FACTOR = 16
"""How many times a plain implementation's error is still honest arithmetic.

Summation order, fused multiply-adds and other approximations of tanh change an error by a small
factor; a fault changes it by thousands.
"""
BFLOAT16_FACTOR = 4
"""The same where factors of products are rounded to bfloat16.

Nearly all of an error then comes from this rounding, which is the same for all. What honest
implementations do beyond it, as keeping gates or states in bfloat16 too, changes it by less than 3;
and 16 times an eps of 2^-7 would let pass what is off by an eighth.
"""
CLIP_GUARD = 2e-6
"""Twice what PyTorch's `clip_grad_norm_` adds to the norm before it divides. That is an honest way
to clip too, so what it changes is allowed where clipping is active, with room for rounding."""
STEP_NAME = re.compile(r"(.* of step )(\d+)")
"""How an array is named that is observed after each step: "loss of step 3"."""


def tolerances(
    exact: Arrays,
    others: Iterable[Arrays],
    precision: Precision,
    terms: int = 1,
    by_call: bool = False,
) -> dict[str, float]:
    """Return the error allowed in each array: an honest factor times the largest among `others`.

    At least that many eps. A loss, being a single number, may be right by luck in all the others:
    it is allowed what summing its `terms` costs. What is observed after a step is allowed what was
    allowed after the steps before it. The others are looked at one by one: each may be large.
    """
    largest = dict.fromkeys(exact, precision.eps)
    factor = honest_factor(precision)
    for other in others:
        for name, value in exact.items():
            largest[name] = max(largest[name], largest_error(other[name], value, by_call))
    result: dict[str, float] = {}
    for name in exact:
        least = summation_error(terms, precision.stored_eps) if name.startswith("loss") else 0.0
        before = result.get(_one_step_before(name), 0.0)
        result[name] = float(max(least, before, factor * largest[name]))
    return result


def at_both_levels(
    exact: Arrays,
    accurate: Iterable[Arrays],
    approximate: Iterable[Arrays],
    precision: Precision,
    terms: int = 1,
    by_call: bool = False,
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the `tolerances` of each array, and the wider ones of approximate activations.

    `accurate` and `approximate` are what the oracle's variants of either kind show.
    """
    first = tolerances(exact, accurate, precision, terms, by_call)
    further = tolerances(exact, approximate, precision, terms, by_call)
    return first, {name: max(first[name], further[name]) for name in first}


def honest_factor(precision: Precision) -> int:
    """Return how many times a plain implementation's error is still honest arithmetic."""
    return BFLOAT16_FACTOR if precision.products == "bfloat16" else HONEST_FACTOR


def loss_of_step(step: int) -> str:
    """Return the name of the loss of a step; steps are counted from 1."""
    return f"loss of step {step}"


def _one_step_before(name: str) -> str:
    """Return the name of the same array one step earlier, or an empty one."""
    found = STEP_NAME.fullmatch(name)
    return f"{found[1]}{int(found[2]) - 1}" if found else ""


def underflow(exact: Arrays, dtype: str) -> dict[str, float]:
    """Return the resolution of arrays of numbers that are flushed to zero where they are tiny."""
    tiny = float(np.finfo(dtype).tiny)
    return {name: tiny * array.size**0.5 for name, array in exact.items()}


def rounding(values: np.ndarray, dtype: str) -> float:
    """Return the resolution of an array that is stored: half a unit in the last place of each."""
    return float(np.linalg.norm(np.spacing(values.astype(dtype)).astype(np.float64).ravel())) / 2


def perturbed(parameters: Parameters, eps: float, seed: int) -> Arrays:
    """Return the parameters with each number moved by one unit in the last place, up or down."""
    random = np.random.default_rng(seed)
    return {
        name: array * (1 + eps * random.choice([-1, 1], array.shape))
        for name, array in parameters.items()
    }


def by_digit(logits: np.ndarray) -> Arrays:
    """Return logits (B, n, V) as one array for each of the n digits, in order."""
    return {f"logits of step {t + 1}": logits[:, t] for t in range(logits.shape[1])}


def margins(logits: np.ndarray) -> np.ndarray:
    """Return by how much each top logit leads the second, as a share of the largest.

    `logits` are (B, n, V), the result is (B, n).
    """
    second, top = np.sort(logits, axis=-1)[..., -2:].transpose(2, 0, 1)
    return np.asarray((top - second) / np.abs(logits).max())


def margins_by_digit(logits: Arrays) -> np.ndarray:
    """Return the `margins` (B, n) of logits as `by_digit` tells them apart."""
    return margins(np.stack(list(logits.values()), axis=1))


def clipping_allowance(gradients: Arrays, eps: float) -> float:
    """Return the relative error that honest ways to take and guard the norm add to a clip.

    This is for a clip to far below the norm: dividing by N + g changes the result by g / N.
    """
    return CLIP_GUARD / global_norm(gradients) + _norm_error(gradients, eps)


def step_allowance(gradients: Arrays, optimiser: OptimiserSpec, eps: float) -> float:
    """Return the relative error that honest ways to clip and to step add to a parameter's move."""
    allowance = correction_error(optimiser, eps)
    if global_norm(gradients) > optimiser.clip_norm:
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


def global_norm(arrays: Arrays) -> float:
    """Return the global L2 norm of all arrays."""
    return float(np.sqrt(sum((array**2).sum() for array in arrays.values())))


def _norm_error(arrays: Arrays, eps: float) -> float:
    """Return the relative error of their norm when its squares are summed one by one."""
    return summation_error(sum(array.size for array in arrays.values()), eps)

"""What the oracle observes, and how far from it honest arithmetic may be.

The error of a tensor a against the oracle's e is ||a - e|| / ||e||. Its band is a fixed multiple of
what honest arithmetic in the same precision does: the larger of the error of a plain
implementation that sums in another order, and of the change in the oracle's own result when its
parameters move by one unit in the last place. For a trajectory that is the envelope of its
perturbations.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from lstmbench.interface import Options, Parameters
from lstmbench.parity import golden
from lstmbench.parity.cases import Fixture
from lstmbench.parity.mirrored import Mirrored
from lstmbench.parity.rungs import Arrays, Make, observe
from lstmbench.parity.verdict import Reference, error

BAND = 16
"""How many times a plain implementation's error is still honest arithmetic.

Summation order, fused multiply-adds and other approximations of tanh change an error by a small
factor; a fault changes it by thousands.
"""
WIDEST = 0.5
"""No band is wider: a tensor of zeros, whose error is 1, agrees with nothing."""
PERTURBATIONS = 3
GUARD = 1e-6
"""What PyTorch's `clip_grad_norm_` adds to the norm before it divides: as honest a way to clip, so
what it changes is allowed where a clip bites."""
STEPPED = ("step", "steps", "trajectory", "free-running", "after-training")
"""The rungs on which Adam has moved the parameters, with the fixture's own clip."""


def rounding(options: Options) -> float:
    """The distance from 1 to the next number in the arithmetic that `options` allow.

    TF32 keeps 10 bits of a factor's mantissa.
    """
    if options.tf32 and options.dtype == "float32":
        return 2.0**-10
    return float(np.finfo(options.dtype).eps)


def reference(oracle: Make, options: Options, fixture: Fixture) -> Iterator[Reference]:
    """What the ladder must show in `options.dtype`, by an oracle that computes in float64 too.

    Raises UsageError if the oracle does not reproduce its golden values on this machine.
    """
    exact = replace(options, dtype="float64", device="cpu")
    plain = replace(options, device="cpu")
    rounded = fixture.parameters(options.dtype)
    initial = {name: array.astype(np.float64) for name, array in rounded.items()}
    unit = rounding(options)
    golden.verify(oracle, fixture)
    climbs = [
        observe(oracle, exact, fixture, initial),
        observe(lambda o: Mirrored(oracle(o)), plain, fixture, rounded),
        *(
            observe(oracle, exact, fixture, perturbed(initial, unit, seed))
            for seed in range(PERTURBATIONS)
        ),
    ]
    terms = fixture.batch * fixture.length
    logits_band, room = 0.0, dict[str, float]()
    for truth, *others in zip(*climbs, strict=True):
        arrays = dict(truth.arrays)
        allowed = bands(arrays, [other.arrays for other in others], unit, terms)
        more = room.get(truth.rung, 0.0)
        allowed = {name: band + more for name, band in allowed.items()}
        match truth.rung:
            case "shapes":
                arrays = {n: _typed(n, a, options.dtype) for n, a in arrays.items()}
            case "forward":
                logits_band = allowed["logits"]
            case "gradients":
                first = [arrays[name][0] for name in initial]
                room = stepping(first, fixture.options(exact), unit)
            case "generate":
                judge = oracle(fixture.options(exact))
                judge.load(initial)
                prompts = np.concatenate(fixture.tokens(2)[..., :-1])
                logits, _ = judge.forward(judge.stage(greedy_path(prompts, arrays["digits"])))
                arrays["margin"] = margins(judge.fetch(logits)[:, prompts.shape[1] - 1 :])
                allowed["digits"] = logits_band
            case "accuracy":
                allowed["accuracy"] = float(arrays["accuracy"].std(ddof=1))
        yield Reference(truth.rung, arrays, allowed)


def _typed(name: str, array: np.ndarray, dtype: str) -> np.ndarray:
    """An array of the dtype that is asked for under its name; a loss may be any kind of float."""
    return array.astype(dtype) if array.dtype.kind == "f" and not name.endswith("loss") else array


def perturbed(parameters: Parameters, unit: float, seed: int) -> Arrays:
    """Each number moved by one unit in the last place, up or down."""
    random = np.random.default_rng(seed)
    return {
        name: array * (1 + unit * random.choice([-1, 1], array.shape))
        for name, array in parameters.items()
    }


def greedy_path(prompts: np.ndarray, digits: np.ndarray) -> np.ndarray:
    """What a model reads while it writes `digits` (B, n) after `prompts` (B, P)."""
    return np.concatenate([prompts, digits[:, :-1]], axis=1).astype(np.uint8)


def margins(logits: np.ndarray) -> np.ndarray:
    """By how much each top logit leads the second, as a share of the largest: (B, n)."""
    second, top = np.sort(logits, axis=-1)[..., -2:].transpose(2, 0, 1)
    return np.asarray((top - second) / np.abs(logits).max())


def bands(truth: Arrays, others: Iterable[Arrays], unit: float, terms: int = 1) -> dict[str, float]:
    """The error allowed in each array: BAND times the largest among `others`, or one unit.

    A loss, being a single number, may be right in all the others by luck: it is allowed what
    adding up its `terms` costs.
    """
    alternatives = list(others)
    result = {}
    for name, value in truth.items():
        worst = max([unit, *(error(other[name], value) for other in alternatives)])
        least = adding_up(terms, unit) if name.endswith("loss") else 0.0
        result[name] = min(WIDEST, max(least, BAND * float(worst)))
    return result


def stepping(gradients: list[np.ndarray], options: Options, unit: float) -> dict[str, float]:
    """By rung, the relative error that honest ways to clip `gradients` and to step may add."""
    norm = float(np.sqrt(sum((gradient**2).sum() for gradient in gradients)))
    squares = adding_up(sum(gradient.size for gradient in gradients), unit)
    bites = GUARD / options.clip_norm + squares if norm > options.clip_norm else 0.0
    step = bites + correcting(options, unit)
    return {"clip": GUARD / norm + squares} | dict.fromkeys(STEPPED, step)


def correcting(options: Options, unit: float) -> float:
    """The relative error of a step of Adam whose betas and 1 - beta^t are rounded, as optax's are.

    1 - beta, the smallest of these, is off by up to a unit; of the second moment's, a root is
    taken.
    """
    return unit / (1 - options.beta1) + unit / (1 - options.beta2) / 2


def adding_up(terms: int, unit: float) -> float:
    """The relative error that a sum of `terms` numbers of one sign, one by one, may well have.

    A multiple of their root; Higham and Mary, https://doi.org/10.1137/18M1226312.
    """
    return float(BAND / 4 * unit * np.sqrt(terms))

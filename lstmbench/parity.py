"""The parity ladder: what a backend must compute, rung by rung, and how close is close enough.

A backend under test and the float64 oracle climb the same ladder (`observe`). The error of a
tensor a against the oracle's e is ||a - e|| / ||e||. Its band is a fixed multiple of what honest
arithmetic in the same dtype does: the larger of the error of a plain implementation in that
dtype that sums in another order, and of the change in the oracle's own result when its
parameters move by one unit in the last place of that dtype.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from lstmbench.errors import NotSupported
from lstmbench.interface import VOCABULARY, Backend, Options, Parameters, State
from lstmbench.parameters import random_generator, shapes

BAND = 16
"""How many times a plain implementation's error is still honest arithmetic.

Summation order, fused multiply-adds and other approximations of tanh change an error by a small
factor; a fault changes it by thousands.
"""
PERTURBATIONS = 3
TRAJECTORY_STEPS = 12
GENERATED_DIGITS = 16
FIXTURE_SEED = 20

RUN_BATCH = 64
RUN_LENGTH = 32
TYPED = frozenset({"logits", "hidden", "cell"})

Make = Callable[[Options], Backend]
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Fixture:
    """Sizes, weights and options at which the ladder is climbed.

    `spread` scales the weights: at 1 they are as freshly drawn, above it gates saturate.
    A `clip_norm` of 1e-6 or less puts the clipped gradients beside Adam's epsilon, so that a
    fault in either shows in the first step, which is otherwise blind to the gradient's scale.
    """

    name: str
    batch: int
    length: int
    hidden: int
    layers: int
    spread: float = 1.0
    clip_norm: float = 5.0

    def options(self, options: Options) -> Options:
        return replace(options, clip_norm=self.clip_norm, learning_rate=0.01)

    def parameters(self, dtype: str) -> dict[str, np.ndarray]:
        """Every tensor normal, no two gates alike, no bias zero: (names and shapes canonical)."""
        random = random_generator(FIXTURE_SEED, self.hidden, self.layers)
        scale = self.spread / np.sqrt(self.hidden)
        result = {}
        for name, shape in shapes(self.hidden, self.layers).items():
            values = random.normal(0, scale, shape)
            if name.startswith("lstm"):
                gates = np.repeat([0.3, 1.0, -0.4, 0.6], self.hidden)
                values += (scale * gates).reshape(-1, *[1] * (len(shape) - 1))
            result[name] = values.astype(dtype)
        result["linear.weight"] *= 4
        return result

    def tokens(self, count: int) -> np.ndarray:
        """Digits (count, B, T + 1), uint8."""
        random = random_generator(FIXTURE_SEED, self.batch, self.length)
        shape = (count, self.batch, self.length + 1)
        return random.integers(0, VOCABULARY, shape, dtype=np.uint8)


FIXTURES = {
    fixture.name: fixture
    for fixture in (
        Fixture("odd", batch=3, length=5, hidden=7, layers=2, clip_norm=1e-6),
        Fixture("single", batch=1, length=1, hidden=5, layers=1, clip_norm=1e3),
        Fixture(
            "saturated",
            batch=2,
            length=9,
            hidden=6,
            layers=3,
            spread=4.0,
            clip_norm=1e-7,
        ),
    )
}


def fixture(name: str, batch: int, length: int, hidden: int, layers: int, clip: float) -> Fixture:
    """A fixture by name; "run" is the ladder at a run's own model and at most its own (B, T).

    Beyond RUN_BATCH sequences of RUN_LENGTH steps a further one would show nothing new, and some
    argmax is bound to be a tie within rounding.
    """
    if name == "run":
        size = min(batch, RUN_BATCH), min(length, RUN_LENGTH)
        return Fixture(name, *size, hidden, layers, clip_norm=clip)
    return FIXTURES[name]


class Climb:
    """One backend on one fixture; each rung starts from freshly loaded parameters."""

    def __init__(self, backend: Backend, fixture: Fixture, initial: Parameters) -> None:
        self.backend = backend
        self.initial = initial
        self.sequences = fixture.tokens(TRAJECTORY_STEPS)
        self.staged = [(backend.stage(x[:, :-1]), backend.stage(x[:, 1:])) for x in self.sequences]

    def fetch(self, arrays: Mapping[str, Any]) -> Arrays:
        return {name: np.array(self.backend.fetch(a)) for name, a in arrays.items()}

    def moves(self, losses: list[Any]) -> Arrays:
        """How far each parameter has moved since it was loaded, and the losses on the way."""
        after = self.backend.parameters()
        result = {name: after[name] - before for name, before in self.initial.items()}
        result["loss"] = np.array([float(self.backend.fetch(loss)) for loss in losses])
        return result


def _parameters(climb: Climb) -> Arrays:
    return climb.backend.parameters()


def _forward(climb: Climb) -> Arrays:
    logits, _ = climb.backend.forward(climb.staged[0][0])
    return climb.fetch({"logits": logits})


def _state(climb: Climb) -> Arrays:
    """The state is handed on from one call to the next."""
    _, state = climb.backend.forward(climb.staged[0][0])
    logits, (hidden, cell) = climb.backend.forward(climb.staged[1][0], state)
    return climb.fetch({"logits": logits, "hidden": hidden, "cell": cell})


def _loss(climb: Climb) -> Arrays:
    loss, _ = climb.backend.loss_and_gradients(*climb.staged[0])
    return climb.fetch({"loss": loss})


def _gradients(climb: Climb) -> Arrays:
    _, gradients = climb.backend.loss_and_gradients(*climb.staged[0])
    return climb.fetch(gradients)


def _step(climb: Climb) -> Arrays:
    return climb.moves([climb.backend.train_step(*climb.staged[0])])


def _steps(climb: Climb) -> Arrays:
    """Bias correction shows at the second step, the carried moments at the third."""
    return climb.moves([climb.backend.train_step(*pair) for pair in climb.staged[:3]])


def _trajectory(climb: Climb) -> Arrays:
    return climb.moves([climb.backend.train_step(*pair) for pair in climb.staged])


def _free_running(climb: Climb) -> Arrays:
    return climb.moves([climb.backend.train_step(*climb.staged[0], free_running=True)])


def _generate(climb: Climb) -> Arrays:
    return climb.fetch({"digits": climb.backend.generate(climb.staged[0][0], GENERATED_DIGITS)})


def _again(climb: Climb) -> Arrays:
    """The first batch once more: inputs as they were, nothing stale after `load`."""
    logits, _ = climb.backend.forward(climb.staged[0][0])
    result = climb.fetch({"logits": logits})
    return result | {"tokens": climb.sequences.astype(np.float64)}


RUNGS: dict[str, tuple[str, Callable[[Climb], Arrays]]] = {
    "parameters": ("", _parameters),
    "forward": ("forward", _forward),
    "state": ("forward", _state),
    "loss": ("loss_and_gradients", _loss),
    "gradients": ("loss_and_gradients", _gradients),
    "step": ("train_step", _step),
    "steps": ("train_step", _steps),
    "trajectory": ("train_step", _trajectory),
    "free-running": ("train_step", _free_running),
    "generate": ("generate", _generate),
    "again": ("forward", _again),
}
"""Each rung's name, the capability that it needs, and what it observes; first things first."""


class Observation(NamedTuple):
    """Named arrays of one rung; none if the backend does not claim it."""

    rung: str
    arrays: Arrays
    claimed: bool = True


def observe(
    make: Make, options: Options, fixture: Fixture, initial: Parameters | None = None
) -> Iterator[Observation]:
    """Climb the ladder of a fixture with one backend, rung by rung; its errors are the caller's.

    `initial` are the fixture's own parameters unless given.
    """
    backend = make(fixture.options(options))
    claims = backend.capabilities()
    climb = Climb(backend, fixture, initial or fixture.parameters(options.dtype))
    for rung, (capability, look) in RUNGS.items():
        if capability and capability not in claims:
            yield Observation(rung, {}, claimed=False)
            continue
        try:
            backend.load(climb.initial)
            yield Observation(rung, look(climb))
        except NotSupported:
            yield Observation(rung, {}, claimed=False)


class Mirrored(Backend):
    """The same model with its hidden units and its batch in reverse order.

    Mathematically nothing changes; every sum is taken in another order, as an honest
    implementation may. Arrays are NumPy's, as the oracle's are.
    """

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend.options)
        self.backend = backend

    def load(self, parameters: Parameters) -> None:
        self.backend.load(_relabel(parameters))

    def parameters(self) -> Arrays:
        return _relabel(self.backend.parameters())

    def stage(self, tokens: np.ndarray) -> Any:
        return self.backend.stage(tokens[::-1])

    def forward(self, inputs: Any, state: State | None = None) -> tuple[Any, State]:
        start = (_turn(state[0]), _turn(state[1])) if state else None
        logits, (hidden, cell) = self.backend.forward(inputs, start)
        return logits[::-1], (_turn(hidden), _turn(cell))

    def loss_and_gradients(self, inputs: Any, targets: Any) -> tuple[Any, Arrays]:
        loss, gradients = self.backend.loss_and_gradients(inputs, targets)
        return loss, _relabel(gradients)

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        return self.backend.train_step(inputs, targets, free_running)

    def generate(self, prompts: Any, steps: int) -> Any:
        return self.backend.generate(prompts, steps)[::-1]


def _turn(state: np.ndarray) -> np.ndarray:
    """A state (L, B, H) with batch and hidden units in reverse order."""
    return state[:, ::-1, ::-1]


def _relabel(parameters: Parameters) -> Arrays:
    """Canonical parameters of the same model with its hidden units in reverse order."""
    result = {}
    for name, array in parameters.items():
        if name.startswith("lstm"):
            gates = array.reshape(4, -1, *array.shape[1:])
            array = gates[:, ::-1].reshape(array.shape)
        if array.ndim == 2 and not name.endswith("0.weight_ih"):
            array = array[:, ::-1]
        result[name] = np.ascontiguousarray(array)
    return result


class Reference(NamedTuple):
    """Expected float64 arrays of a rung, and the relative error allowed in each."""

    rung: str
    arrays: Arrays
    bands: dict[str, float]


def reference(oracle: Make, options: Options, fixture: Fixture) -> Iterator[Reference]:
    """What the ladder must show in `options.dtype`, by an oracle that computes in float64 too."""
    exact = replace(options, dtype="float64", device="cpu")
    rounded = fixture.parameters(options.dtype)
    initial = {name: array.astype(np.float64) for name, array in rounded.items()}
    unit = float(np.finfo(options.dtype).eps)
    climbs = [
        observe(oracle, exact, fixture, initial),
        observe(
            lambda o: Mirrored(oracle(o)),
            replace(options, device="cpu"),
            fixture,
            rounded,
        ),
        *(
            observe(oracle, exact, fixture, perturbed(initial, unit, seed))
            for seed in range(PERTURBATIONS)
        ),
    ]
    logits_band = 0.0
    for truth, *others in zip(*climbs, strict=True):
        arrays = dict(truth.arrays)
        allowed = bands(arrays, [other.arrays for other in others], unit)
        if truth.rung == "forward":
            logits_band = allowed["logits"]
        elif truth.rung == "generate":
            judge = oracle(fixture.options(exact))
            judge.load(initial)
            prompts = fixture.tokens(1)[0, :, :-1]
            logits, _ = judge.forward(judge.stage(greedy_path(prompts, arrays["digits"])))
            arrays["margin"] = margins(judge.fetch(logits)[:, prompts.shape[1] - 1 :])
            allowed = {"digits": logits_band}
        yield Reference(truth.rung, arrays, allowed)


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


def bands(truth: Arrays, others: Iterable[Arrays], unit: float) -> dict[str, float]:
    """The error allowed in each array: BAND times the largest among `others`, or one unit."""
    alternatives = list(others)
    return {
        name: BAND * max(unit, *(error(other[name], value) for other in alternatives))
        for name, value in truth.items()
    }


def error(actual: np.ndarray, expected: np.ndarray) -> float:
    """||actual - expected|| / ||expected||; infinite for another shape or a number not finite."""
    if actual.shape != expected.shape or not np.isfinite(actual).all():
        return float("inf")
    difference = float(np.linalg.norm(actual.astype(np.float64) - expected))
    norm = float(np.linalg.norm(expected))
    return difference / norm if norm else difference


class Verdict(NamedTuple):
    """The worst tensor of a rung and its error as a multiple of its band; at most 1 agrees."""

    error: float
    tensor: str
    note: str
    band: float = float("nan")

    @property
    def agrees(self) -> bool:
        return self.error <= 1


def compare(expected: Reference, actual: Arrays, dtype: str) -> Verdict:
    """Hold what a backend computed on a rung against what is expected."""
    return max(_verdicts(expected, actual, dtype), key=lambda verdict: verdict.error)


def _verdicts(expected: Reference, actual: Arrays, dtype: str) -> Iterator[Verdict]:
    infinite = float("inf")
    for name, band in expected.bands.items():
        truth = expected.arrays[name]
        if name not in actual:
            yield Verdict(infinite, name, "missing")
            continue
        value = actual[name]
        if value.shape != truth.shape:
            yield Verdict(infinite, name, f"shape {value.shape}, expected {truth.shape}")
        elif name == "digits":
            yield _compare_digits(value, truth, expected.arrays["margin"], band)
        elif name in TYPED and value.dtype != dtype:
            yield Verdict(infinite, name, f"dtype {value.dtype}, expected {dtype}")
        elif not np.isfinite(value).all():
            yield Verdict(infinite, name, "not finite")
        else:
            yield Verdict(error(value, truth) / band, name, "", band)


def _compare_digits(
    digits: np.ndarray, truth: np.ndarray, margin: np.ndarray, band: float
) -> Verdict:
    """A first mismatch counts where the oracle's choice was clear; what follows one is free."""
    differs = digits != truth
    first = np.argmax(differs, axis=1)
    rows = np.flatnonzero(differs.any(axis=1))
    worst = float(margin[rows, first[rows]].max()) if len(rows) else 0.0
    return Verdict(worst / band, "digits", f"{len(rows)} of {len(digits)} sequences differ")


def precision_of(forward_error: float) -> str:
    """The arithmetic that a relative error of the logits gives away.

    Bounds lie half way, in decades, between the roundings: 2^-53 for float64, 2^-24 for float32,
    2^-11 for TF32 and float16, which keep the same number of bits, 2^-8 for bfloat16.
    """
    for bound, name in (
        (3e-12, "float64"),
        (5e-6, "float32"),
        (1.4e-3, "TF32 or float16"),
    ):
        if forward_error < bound:
            return name
    return "bfloat16" if forward_error < 3e-2 else "less than bfloat16"

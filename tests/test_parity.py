from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lstmbench_numpy.backend import NumpyBackend
from lstmbench_numpy.model import Network
from lstmbench_numpy.optimiser import Adam

from lstmbench import Backend, NotSupported, Options, Parameters, parity
from lstmbench.parity import BAND, FIXTURES, RUNGS, Fixture, Mirrored, Reference

Arrays = dict[str, np.ndarray]
DTYPES = ["float32", "float64"]
each_fixture = pytest.mark.parametrize("name", FIXTURES)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


@cache
def references(name: str, dtype: str) -> list[Reference]:
    return list(parity.reference(NumpyBackend, Options(dtype=dtype), FIXTURES[name]))


def verdicts(make: parity.Make, name: str, dtype: str) -> dict[str, parity.Verdict]:
    """How a backend does on each rung of a fixture that it claims."""
    climb = parity.observe(make, Options(dtype=dtype), FIXTURES[name])
    return {
        expected.rung: parity.compare(expected, seen.arrays, dtype)
        for expected, seen in zip(references(name, dtype), climb, strict=True)
        if seen.claimed
    }


# What is expected


@each_fixture
@each_dtype
def test_reference_climbs_every_rung_in_order(name: str, dtype: str) -> None:
    assert [reference.rung for reference in references(name, dtype)] == list(RUNGS)


@each_fixture
def test_the_oracle_agrees_with_itself_without_an_error(name: str) -> None:
    found = verdicts(NumpyBackend, name, "float64")
    assert list(found) == list(RUNGS)
    assert {verdict.error for verdict in found.values()} == {0.0}


@each_fixture
def test_float32_in_numpy_is_well_within_the_bands(name: str) -> None:
    assert max(v.error for v in verdicts(NumpyBackend, name, "float32").values()) < 0.5


@each_fixture
def test_expected_values_are_those_of_float64_at_the_rounded_parameters(name: str) -> None:
    fixture = FIXTURES[name]
    backend = NumpyBackend(fixture.options(Options(dtype="float64")))
    backend.load({n: a.astype(np.float64) for n, a in fixture.parameters("float32").items()})
    logits, _ = backend.forward(fixture.tokens(1)[0, :, :-1])
    expected = next(r for r in references(name, "float32") if r.rung == "forward")
    assert expected.arrays["logits"].dtype == np.float64
    np.testing.assert_array_equal(expected.arrays["logits"], logits)


@each_fixture
@each_dtype
def test_bands_are_small_multiples_of_rounding(name: str, dtype: str) -> None:
    unit = np.finfo(dtype).eps
    for reference in references(name, dtype):
        for tensor, band in reference.bands.items():
            assert BAND * unit <= band, (reference.rung, tensor)
            assert band < 1e6 * unit and band < 0.05, (reference.rung, tensor)


@each_fixture
def test_greedy_digits_are_far_from_a_tie(name: str) -> None:
    (generate,) = (r for r in references(name, "float32") if r.rung == "generate")
    assert generate.arrays["margin"].shape == generate.arrays["digits"].shape
    assert generate.arrays["margin"].min() > 100 * generate.bands["digits"]


@each_fixture
def test_free_running_digits_are_far_from_a_tie(name: str) -> None:
    fixture, options = FIXTURES[name], Options(dtype="float64")
    backend = NumpyBackend(options)
    backend.load(fixture.parameters("float64"))
    path = fixture.tokens(1)[0, :, :1]
    for _ in range(fixture.length - 1):
        logits, _ = backend.forward(path)
        path = np.concatenate([path, logits[:, -1:].argmax(-1).astype(np.uint8)], axis=1)
    logits, _ = backend.forward(path)
    (forward,) = (r for r in references(name, "float32") if r.rung == "forward")
    assert parity.margins(logits).min() > 100 * forward.bands["logits"]


@each_fixture
@each_dtype
def test_no_expected_tensor_is_all_zero(name: str, dtype: str) -> None:
    # In one step from a zero state, and there alone, W_hh meets nothing but zeros.
    one_step = {"lstm.0.weight_hh"} if FIXTURES[name].length == 1 else set()
    for reference in references(name, dtype):
        zero = {tensor for tensor, array in reference.arrays.items() if not array.any()}
        assert zero <= one_step, reference.rung


@each_fixture
def test_fixture_parameters_have_no_symmetry_to_hide_a_fault_in(name: str) -> None:
    fixture = FIXTURES[name]
    for tensor, array in fixture.parameters("float64").items():
        assert (array != 0).all()
        if tensor.startswith("lstm"):
            means = array.reshape(4, -1).mean(axis=1)
            assert len(set(means)) == 4


def test_fixtures_clip_some_gradients_and_leave_others() -> None:
    active = set()
    for name, fixture in FIXTURES.items():
        (gradients,) = (r for r in references(name, "float64") if r.rung == "gradients")
        norm = np.sqrt(sum((g**2).sum() for g in gradients.arrays.values()))
        active.add(bool(norm > fixture.clip_norm))
    assert active == {True, False}


def test_the_fixture_of_a_run_has_its_sizes_within_bounds() -> None:
    small = parity.fixture("run", batch=3, length=4, hidden=5, layers=6, clip=0.5)
    assert (small.batch, small.length, small.hidden, small.layers) == (3, 4, 5, 6)
    assert small.clip_norm == 0.5
    large = parity.fixture("run", batch=4096, length=1000, hidden=5, layers=1, clip=0.5)
    assert (large.batch, large.length) == (parity.RUN_BATCH, parity.RUN_LENGTH)
    assert parity.fixture("odd", 1, 1, 1, 1, 1.0) is FIXTURES["odd"]


# Mirrored


@each_fixture
@each_dtype
def test_mirrored_computes_the_same_to_rounding(name: str, dtype: str) -> None:
    fixture, options = FIXTURES[name], Options(dtype=dtype)
    plain = parity.observe(NumpyBackend, options, fixture)
    mirrored = parity.observe(lambda o: Mirrored(NumpyBackend(o)), options, fixture)
    for here, there in zip(plain, mirrored, strict=True):
        assert here.rung == there.rung and here.arrays.keys() == there.arrays.keys()
        if here.rung in ("parameters", "generate"):
            for tensor, array in here.arrays.items():
                np.testing.assert_array_equal(there.arrays[tensor], array)
    found = verdicts(lambda o: Mirrored(NumpyBackend(o)), name, dtype).values()
    assert 0 < max(verdict.error for verdict in found) < 1.01 / BAND  # it is what bands are made of


def test_mirrored_takes_a_state() -> None:
    fixture, options = FIXTURES["odd"], Options(dtype="float64")
    plain, mirrored = NumpyBackend(options), Mirrored(NumpyBackend(options))
    random = np.random.default_rng(0)
    shape = (fixture.layers, fixture.batch, fixture.hidden)
    state = random.normal(size=shape), random.normal(size=shape)
    tokens = fixture.tokens(1)[0, :, :-1]
    for backend in (plain, mirrored):
        backend.load(fixture.parameters("float64"))
    there, (h, c) = mirrored.forward(mirrored.stage(tokens), state)
    here, (h2, c2) = plain.forward(tokens, state)
    for actual, expected in ((there, here), (h, h2), (c, c2)):
        np.testing.assert_allclose(actual, expected, rtol=1e-10)


# Comparing


def test_error_is_relative_to_the_expected_norm() -> None:
    assert parity.error(np.array([3.0, 4.0]), np.array([3.0, 4.0])) == 0
    assert parity.error(np.array([3.0, 4.5]), np.array([3.0, 4.0])) == pytest.approx(0.1)
    assert parity.error(np.array([0.25]), np.array([0.0])) == 0.25


@given(st.floats(1e-30, 1e30))
def test_zeros_do_not_pass_for_anything(size: float) -> None:
    assert parity.error(np.zeros(3), np.full(3, size)) == pytest.approx(1)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_infinitely_wrong(wrong: float) -> None:
    assert parity.error(np.array([1.0, wrong]), np.array([1.0, 1.0])) == float("inf")


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 1), (1, 2)])
def test_another_shape_is_infinitely_wrong(shape: tuple[int, ...]) -> None:
    assert parity.error(np.ones(shape), np.ones(2)) == float("inf")


EXPECTED = Reference(
    "state", {"logits": np.ones((2, 3)), "other": np.full(4, 2.0)}, {"logits": 1e-3, "other": 1e-6}
)
GOOD = {"logits": np.ones((2, 3), np.float32), "other": np.full(4, 2.0, np.float32)}


def test_what_is_expected_agrees() -> None:
    verdict = parity.compare(EXPECTED, GOOD, "float32")
    assert verdict.agrees and verdict.error == 0


def test_the_worst_tensor_is_named_in_multiples_of_its_own_band() -> None:
    close = {"logits": np.ones((2, 3), np.float32) * 1.0005, "other": np.full(4, 2.00001)}
    verdict = parity.compare(EXPECTED, close, "float32")
    assert verdict.tensor == "other" and verdict.error == pytest.approx(5, rel=1e-3)
    assert not verdict.agrees and verdict.band == 1e-6


@pytest.mark.parametrize(("factor", "agrees"), [(1 + 0.9e-3, True), (1 + 1.1e-3, False)])
def test_the_band_is_where_agreement_ends(factor: float, agrees: bool) -> None:
    near = GOOD | {"logits": GOOD["logits"] * np.float32(factor)}
    assert parity.compare(EXPECTED, near, "float32").agrees == agrees


@pytest.mark.parametrize(
    ("wrong", "tensor", "note"),
    [
        ({"logits": np.ones((2, 3))}, "logits", "dtype float64, expected float32"),
        ({"logits": np.ones((2, 3), np.float16)}, "logits", "dtype float16, expected float32"),
        ({"logits": np.ones((3, 2), np.float32)}, "logits", r"shape (3, 2), expected (2, 3)"),
        ({"other": np.array([2, 2, 2, np.nan])}, "other", "not finite"),
        ({"other": np.array([2, 2, 2, np.inf])}, "other", "not finite"),
    ],
)
def test_what_cannot_be_compared_differs_without_bound(
    wrong: Arrays, tensor: str, note: str
) -> None:
    verdict = parity.compare(EXPECTED, GOOD | wrong, "float32")
    assert (verdict.error, verdict.tensor, verdict.note) == (float("inf"), tensor, note)


def test_a_missing_tensor_differs() -> None:
    verdict = parity.compare(EXPECTED, {"logits": GOOD["logits"]}, "float32")
    assert not verdict.agrees and (verdict.tensor, verdict.note) == ("other", "missing")


DIGITS = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
MARGINS = np.array([[0.5, 1e-6, 0.5], [0.5, 0.5, 0.5]])
GENERATED = Reference("generate", {"digits": DIGITS, "margin": MARGINS}, {"digits": 1e-5})


@pytest.mark.parametrize(
    ("digits", "agrees"),
    [
        ([[1, 2, 3], [4, 5, 6]], True),
        ([[1, 9, 3], [4, 5, 6]], True),  # a tie
        ([[1, 9, 9], [4, 5, 6]], True),  # what follows a tie is free
        ([[1, 2, 9], [4, 5, 6]], False),
        ([[9, 9, 3], [4, 5, 6]], False),  # the tie came after the first mismatch
        ([[1, 9, 9], [4, 5, 9]], False),  # a tie in one sequence excuses no other
    ],
)
def test_digits_may_differ_first_at_a_tie_alone(digits: list[list[int]], agrees: bool) -> None:
    verdict = parity.compare(GENERATED, {"digits": np.array(digits, np.uint8)}, "float32")
    assert verdict.agrees == agrees


def test_digits_of_another_shape_or_none_differ() -> None:
    assert not parity.compare(GENERATED, {"digits": DIGITS[:, :2]}, "float32").agrees
    assert not parity.compare(GENERATED, {}, "float32").agrees


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (1e-15, "float64"),
        (2.0**-24, "float32"),
        (2.0**-11, "TF32 or float16"),
        (2.0**-8, "bfloat16"),
        (0.5, "less than bfloat16"),
    ],
)
def test_an_error_gives_the_precision_away(error: float, name: str) -> None:
    assert parity.precision_of(error) == name


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_logits_of_rounded_weights_give_their_precision_away(dtype: Any) -> None:
    fixture = FIXTURES["odd"]
    exact = fixture.parameters("float64")
    logits = []
    for p in (exact, {name: a.astype(dtype).astype(float) for name, a in exact.items()}):
        backend = NumpyBackend(Options(dtype="float64"))
        backend.load(p)
        logits.append(backend.forward(fixture.tokens(1)[0, :, :-1])[0])
    name = {np.float32: "float32", np.float16: "TF32 or float16"}[dtype]
    assert parity.precision_of(parity.error(logits[1], logits[0])) == name


# Claims


class ForwardOnly(Backend):
    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.backend = NumpyBackend(options)

    def load(self, parameters: Parameters) -> None:
        self.backend.load(parameters)

    def parameters(self) -> Arrays:
        return self.backend.parameters()

    def forward(self, inputs: Any, state: Any = None) -> Any:
        return self.backend.forward(inputs, state)


class NoFreeRunning(NumpyBackend):
    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        if free_running:
            raise NotSupported("free-running")
        return super().train_step(inputs, targets)


def test_what_is_left_out_is_not_claimed_and_the_rest_is_held_to() -> None:
    assert ForwardOnly.capabilities() == {"forward"}
    seen = {o.rung: o for o in parity.observe(ForwardOnly, Options(), FIXTURES["odd"])}
    claimed = {rung for rung, o in seen.items() if o.claimed}
    assert list(seen) == list(RUNGS)
    assert claimed == {"parameters", "forward", "state", "again"}
    assert all(not seen[rung].arrays for rung in RUNGS if rung not in claimed)
    assert all(v.agrees for v in verdicts(ForwardOnly, "odd", "float32").values())


def test_what_is_not_supported_is_not_claimed_rather_than_failed() -> None:
    seen = list(parity.observe(NoFreeRunning, Options(), FIXTURES["odd"]))
    assert [o.rung for o in seen if not o.claimed] == ["free-running"]


def test_any_other_error_is_the_callers_to_see() -> None:
    class Fails(NumpyBackend):
        def generate(self, prompts: Any, steps: int) -> Any:
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        list(parity.observe(Fails, Options(), FIXTURES["odd"]))


# Faults: each of these is caught, first at the rung where it belongs


class GatesSwapped(NumpyBackend):
    """Takes i, f, g, o for i, g, f, o; parameters come out as they went in."""

    def load(self, parameters: Parameters) -> None:
        super().load(self.swap(parameters))

    def parameters(self) -> Arrays:
        return self.swap(super().parameters())

    @staticmethod
    def swap(parameters: Parameters) -> Arrays:
        result = {}
        for name, array in parameters.items():
            if name.startswith("lstm"):
                i, f, g, o = np.split(array, 4)
                array = np.concatenate([i, g, f, o])
            result[name] = array
        return result


class BiasAddedTwice(NumpyBackend):
    """As with two biases, both loaded with the one."""

    def forward(self, inputs: Any, state: Any = None) -> Any:
        double = {n: a * (1 + n.endswith(".bias")) for n, a in self.parameters().items()}
        inner = NumpyBackend(self.options)
        inner.load(double)
        return inner.forward(inputs, state)


class BiasMovesTwice(NumpyBackend):
    """As with two trainable biases: both move."""

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        before = self.parameters()
        loss = super().train_step(inputs, targets, free_running)
        for name, array in self._parameters.items():
            if name.startswith("lstm") and name.endswith("bias"):
                array += array - before[name]
        return loss


class LayersShareWeights(NumpyBackend):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        p = self.parameters()
        inner = NumpyBackend(self.options)
        inner.load(p | {n: p["lstm.0.weight_hh"] for n in p if n.endswith("weight_hh")})
        return inner.forward(inputs, state)


class StateNotCarried(NumpyBackend):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        return super().forward(inputs)


class StateSwapped(NumpyBackend):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, (hidden, cell) = super().forward(inputs, state)
        return logits, (cell, hidden)


class MutatedInput(NumpyBackend):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        result = super().forward(inputs, state)
        inputs[...] = 0
        return result


class MutatedPrompts(NumpyBackend):
    """Late: only the last rung looks at the first batch again."""

    def generate(self, prompts: Any, steps: int) -> Any:
        digits = super().generate(prompts, steps)
        prompts[:, 0] = digits[:, -1]
        return digits


class Float16Inside(NumpyBackend):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, state = super().forward(inputs, state)
        return logits.astype(np.float16).astype(logits.dtype), state


class Float64Outside(NumpyBackend):
    """Right, and not in the dtype that was asked for."""

    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, state = super().forward(inputs, state)
        return logits.astype(np.float64), state


class LossOfLastStep(NumpyBackend):
    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        _, gradients = super().loss_and_gradients(inputs, targets)
        logits, _ = self.forward(inputs)
        last = logits[:, -1] - np.log(np.exp(logits[:, -1]).sum(-1, keepdims=True))
        return -last[np.arange(len(last)), targets[:, -1]].mean(), gradients


class SumForMeanLoss(NumpyBackend):
    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        loss, gradients = super().loss_and_gradients(inputs, targets)
        return loss * inputs.size, {n: g * inputs.size for n, g in gradients.items()}


class ZeroGradient(NumpyBackend):
    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        loss, gradients = super().loss_and_gradients(inputs, targets)
        return loss, gradients | {"lstm.0.weight_hh": 0 * gradients["lstm.0.weight_hh"]}


class MissingGradient(NumpyBackend):
    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        loss, gradients = super().loss_and_gradients(inputs, targets)
        del gradients["linear.bias"]
        return loss, gradients


class WithOptimiser(NumpyBackend):
    """The model is right and its optimiser is `optimiser`."""

    def optimiser(self) -> None:
        raise NotImplementedError

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        loss = self._loss_and_gradients(inputs, targets, free_running)
        self.steps += 1
        self.optimiser()
        return loss

    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        self.steps = 0
        self.mean, self.square = (np.zeros_like(self._flat) for _ in range(2))

    def adam(self, corrected: bool = True, inside: bool = False) -> None:
        o, g = self.options, self._gradient
        self.mean += (1 - o.beta1) * (g - self.mean)
        self.square += (1 - o.beta2) * (g * g - self.square)
        m = self.mean / (1 - o.beta1**self.steps * corrected)
        v = self.square / (1 - o.beta2**self.steps * corrected)
        root = np.sqrt(v + o.epsilon) if inside else np.sqrt(v) + o.epsilon
        self._flat -= o.learning_rate * m / root

    def clip(self) -> None:
        norm = np.linalg.norm(self._gradient)
        self._gradient *= min(1, self.options.clip_norm / norm)


class OwnAdam(WithOptimiser):
    """No fault at all: this is what the faulty optimisers are made of."""

    def optimiser(self) -> None:
        self.clip()
        self.adam()


class ClipPerTensor(WithOptimiser):
    def optimiser(self) -> None:
        for gradient in self._gradients.values():
            norm = np.linalg.norm(gradient)
            gradient *= min(1, self.options.clip_norm / norm) if norm else 1
        self.adam()


class ClipPerValue(WithOptimiser):
    def optimiser(self) -> None:
        bound = self.options.clip_norm
        np.clip(self._gradient, -bound, bound, out=self._gradient)
        self.adam()


class NoClip(WithOptimiser):
    def optimiser(self) -> None:
        self.adam()


class ClipAlways(WithOptimiser):
    """Scales small gradients up."""

    def optimiser(self) -> None:
        self._gradient *= self.options.clip_norm / np.linalg.norm(self._gradient)
        self.adam()


class NoBiasCorrection(WithOptimiser):
    def optimiser(self) -> None:
        self.clip()
        self.adam(corrected=False)


class EpsilonInsideRoot(WithOptimiser):
    def optimiser(self) -> None:
        self.clip()
        self.adam(inside=True)


class PlainGradientDescent(WithOptimiser):
    def optimiser(self) -> None:
        self._flat -= self.options.learning_rate * self._gradient


class BiasCorrectionStuckAtFirstStep(WithOptimiser):
    def optimiser(self) -> None:
        self.steps = 1
        self.clip()
        self.adam()


class MomentsForgotten(NumpyBackend):
    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        self._adam = Adam(self._flat.size, self.options)
        return super().train_step(inputs, targets, free_running)


class MomentsKeptOverLoad(NumpyBackend):
    def load(self, parameters: Parameters) -> None:
        before = getattr(self, "_adam", None)
        super().load(parameters)
        self._adam = before or self._adam


class LossAfterUpdate(NumpyBackend):
    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        super().train_step(inputs, targets, free_running)
        return self._loss_and_gradients(inputs, targets, free_running)


class NeverFreeRunning(NumpyBackend):
    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        return super().train_step(inputs, targets)


class OwnArgmaxAsTarget(NumpyBackend):
    """As the tutorial's code does: a handsome loss and a worse model."""

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        if not free_running:
            return super().train_step(inputs, targets)
        network: Network = self._network(*inputs.shape)
        network.set_state(None, None)
        network.forward_free(inputs[:, 0])
        own = network.logits.argmax(-1)
        loss = network.loss_and_gradients(own, self._gradients)
        self._adam.step(self._flat, self._gradient)
        return loss


class GeneratesOneLate(NumpyBackend):
    def generate(self, prompts: Any, steps: int) -> Any:
        return super().generate(prompts, steps + 1)[:, 1:]


class GeneratesFromTheLastDigitAlone(NumpyBackend):
    def generate(self, prompts: Any, steps: int) -> Any:
        return super().generate(prompts[:, -1:], steps)


FAULTS: dict[type[Backend], tuple[str, str]] = {
    GatesSwapped: ("odd", "forward"),
    BiasAddedTwice: ("odd", "forward"),
    LayersShareWeights: ("odd", "forward"),
    Float16Inside: ("odd", "forward"),
    Float64Outside: ("odd", "forward"),
    StateNotCarried: ("odd", "state"),
    StateSwapped: ("odd", "state"),
    MutatedInput: ("odd", "state"),
    SumForMeanLoss: ("odd", "loss"),
    LossOfLastStep: ("odd", "loss"),
    ZeroGradient: ("odd", "gradients"),
    MissingGradient: ("odd", "gradients"),
    BiasMovesTwice: ("odd", "step"),
    ClipPerTensor: ("odd", "step"),
    ClipPerValue: ("odd", "step"),
    NoClip: ("odd", "step"),
    NoBiasCorrection: ("odd", "step"),
    EpsilonInsideRoot: ("odd", "step"),
    PlainGradientDescent: ("odd", "step"),
    LossAfterUpdate: ("odd", "step"),
    ClipAlways: ("single", "steps"),
    BiasCorrectionStuckAtFirstStep: ("odd", "steps"),
    MomentsForgotten: ("odd", "steps"),
    MomentsKeptOverLoad: ("odd", "steps"),
    NeverFreeRunning: ("odd", "free-running"),
    OwnArgmaxAsTarget: ("odd", "free-running"),
    GeneratesOneLate: ("odd", "generate"),
    GeneratesFromTheLastDigitAlone: ("odd", "generate"),
    MutatedPrompts: ("odd", "again"),
}


@pytest.mark.parametrize("make", FAULTS, ids=lambda make: make.__name__)
def test_a_fault_is_caught_at_its_rung(make: type[Backend]) -> None:
    found = (
        (name, rung, verdict)
        for name in FIXTURES
        for rung, verdict in verdicts(make, name, "float32").items()
        if not verdict.agrees
    )
    name, rung, verdict = next(found)
    assert (name, rung) == FAULTS[make]
    assert verdict.error > 10


@each_fixture
@each_dtype
def test_another_way_to_write_adam_is_no_fault(name: str, dtype: str) -> None:
    assert all(verdict.agrees for verdict in verdicts(OwnAdam, name, dtype).values())


def test_a_fixture_sets_its_own_clip_and_rate() -> None:
    options = FIXTURES["odd"].options(Options(clip_norm=7, learning_rate=1, threads=3))
    assert options == replace(Options(threads=3), clip_norm=1e-6, learning_rate=0.01)


def test_fixtures_draw_the_same_numbers_in_every_dtype() -> None:
    fixture = Fixture("other", batch=2, length=3, hidden=4, layers=2)
    exact, rounded = fixture.parameters("float64"), fixture.parameters("float32")
    for name, array in rounded.items():
        np.testing.assert_allclose(array, exact[name], rtol=1e-6)
    assert fixture.tokens(5).shape == (5, 2, 4)
    np.testing.assert_array_equal(fixture.tokens(5)[:2], fixture.tokens(2))

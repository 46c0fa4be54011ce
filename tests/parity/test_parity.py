from functools import cache
from typing import Any

import numpy as np
import pytest
from honest import InferenceAlone, NoFreeRunning
from hypothesis import given
from hypothesis import strategies as st
from lstmbench_numpy.backend import NumpyBackend

from lstmbench import Options, UsageError, parity
from lstmbench.parity import BAND, FIXTURES, Fixture, Mirrored, Reference, cases, golden
from lstmbench.parity.reference import STEPPED, correcting

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
        expected.rung: parity.compare(expected, seen.arrays)
        for expected, seen in zip(references(name, dtype), climb, strict=True)
        if seen.claimed
    }


# What is expected


@each_fixture
@each_dtype
def test_reference_climbs_every_rung_in_order(name: str, dtype: str) -> None:
    assert tuple(reference.rung for reference in references(name, dtype)) == parity.rungs(name)


@each_fixture
def test_the_oracle_agrees_with_itself_without_an_error(name: str) -> None:
    found = verdicts(NumpyBackend, name, "float64")
    assert tuple(found) == parity.rungs(name)
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
    np.testing.assert_array_equal(expected.arrays["logits"][0], logits)


@each_fixture
@each_dtype
def test_bands_are_small_multiples_of_rounding(name: str, dtype: str) -> None:
    unit = np.finfo(dtype).eps
    for reference in references(name, dtype):
        guard = 1e-6 / 0.1 if reference.rung in ("clip", *STEPPED) else 0
        for tensor, band in reference.bands.items():
            assert BAND * unit <= band, (reference.rung, tensor)
            assert tensor == "accuracy" or band < 1e6 * unit + guard, (reference.rung, tensor)


def test_only_where_a_clip_bites_is_there_room_for_a_guarded_norm() -> None:
    def widest(name: str) -> float:
        found = (r for r in references(name, "float64") if r.rung in STEPPED)
        return max(max(r.bands.values()) for r in found)

    assert widest("single") < 1e-11 and widest("saturated") < 1e-11
    assert 1e-6 < widest("odd") < 1e-5 and 1e-6 < widest("wide") < 2e-5


def test_a_clip_that_is_looked_at_may_be_guarded_by_what_changes_its_gradient() -> None:
    """A clip to far below a norm N: dividing by N + 1e-6 changes the result by 1e-6 / N."""
    fixture, options = parity.fixture("run", 4, 5, 8, 1), Options(dtype="float64")
    backend = NumpyBackend(options)
    backend.load(fixture.parameters("float64"))
    (tokens,) = fixture.tokens(1)
    _, gradients = backend.loss_and_gradients(tokens[:, :-1], tokens[:, 1:])
    norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients.values()))
    assert norm < options.clip_norm
    bands = {r.rung: r.bands for r in parity.reference(NumpyBackend, options, fixture)}
    clip = [band for name, band in bands["clip"].items() if name != "inputs"]
    assert min(clip) == pytest.approx(1e-6 / norm, rel=0.01)
    assert max(bands["step"].values()) < 1e-9


def test_a_step_may_round_adams_corrections() -> None:
    options, kind, steps = Options(), np.float32, np.arange(1, 13)

    def factor(one: Any, beta1: Any, beta2: Any) -> Any:
        return np.sqrt(one - beta2**steps) / (one - beta1**steps)

    exact = factor(1.0, options.beta1, options.beta2)
    rounded = factor(kind(1), kind(options.beta1), kind(options.beta2))
    worst = np.abs(rounded / exact - 1).max()
    allowed = correcting(options, float(np.finfo(kind).eps))
    assert allowed / 20 < worst < allowed


@each_fixture
def test_greedy_digits_are_far_from_a_tie(name: str) -> None:
    (generate,) = (r for r in references(name, "float32") if r.rung == "generate")
    assert generate.arrays["margin"].shape == generate.arrays["digits"].shape
    assert np.median(generate.arrays["margin"]) > 1e3 * generate.bands["digits"]
    assert generate.arrays["margin"].min() > 10 * generate.bands["digits"]


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
    assert parity.margins(logits).min() > 10 * forward.bands["logits"]


@each_fixture
@each_dtype
def test_no_expected_tensor_is_all_zero(name: str, dtype: str) -> None:
    # In one step from a zero state, and there alone, W_hh meets nothing but zeros.
    one_step = {"lstm.0.weight_hh"} if FIXTURES[name].length == 1 else set()
    one_step |= {f"loss_and_gradients {tensor}" for tensor in one_step}
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
        norm = np.sqrt(sum((g[0] ** 2).sum() for t, g in gradients.arrays.items() if t != "inputs"))
        active.add(bool(norm > fixture.optimiser["clip_norm"]))
    assert active == {True, False}


def test_the_fixture_of_a_run_has_its_sizes_within_bounds() -> None:
    small = parity.fixture("run", batch=3, length=4, hidden=5, layers=6)
    assert (small.batch, small.length, small.hidden, small.layers) == (3, 4, 5, 6)
    given = Options(clip_norm=0.5, learning_rate=3)
    assert small.options(given) == given
    large = parity.fixture("run", batch=4096, length=1000, hidden=5, layers=1)
    assert (large.batch, large.length) == (cases.RUN_BATCH, cases.RUN_LENGTH)
    assert parity.fixture("odd", 1, 1, 1, 1) is FIXTURES["odd"]


# Mirrored


@each_fixture
@each_dtype
def test_mirrored_computes_the_same_to_rounding(name: str, dtype: str) -> None:
    fixture, options = FIXTURES[name], Options(dtype=dtype)
    plain = parity.observe(NumpyBackend, options, fixture)
    mirrored = parity.observe(lambda o: Mirrored(NumpyBackend(o)), options, fixture)
    for here, there in zip(plain, mirrored, strict=True):
        assert here.rung == there.rung and here.arrays.keys() == there.arrays.keys()
        if here.rung in ("shapes", "accuracy"):
            continue
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
    verdict = parity.compare(EXPECTED, GOOD)
    assert verdict.agrees and verdict.error == 0


def test_the_worst_tensor_is_named_in_multiples_of_its_own_band() -> None:
    close = {"logits": np.ones((2, 3), np.float32) * 1.0005, "other": np.full(4, 2.00001)}
    verdict = parity.compare(EXPECTED, close)
    assert verdict.tensor == "other" and verdict.error == pytest.approx(5, rel=1e-3)
    assert not verdict.agrees and verdict.band == 1e-6


@pytest.mark.parametrize(("factor", "agrees"), [(1 + 0.9e-3, True), (1 + 1.1e-3, False)])
def test_the_band_is_where_agreement_ends(factor: float, agrees: bool) -> None:
    near = GOOD | {"logits": GOOD["logits"] * np.float32(factor)}
    assert parity.compare(EXPECTED, near).agrees == agrees


@pytest.mark.parametrize(
    ("wrong", "tensor", "note"),
    [
        ({"logits": np.ones((3, 2), np.float32)}, "logits", r"shape (3, 2), expected (2, 3)"),
        ({"other": np.array([2, 2, 2, np.nan])}, "other", "not finite"),
        ({"other": np.array([2, 2, 2, np.inf])}, "other", "not finite"),
        ({"more": np.ones(1)}, "more", "unknown"),
    ],
)
def test_what_cannot_be_compared_differs_without_bound(
    wrong: Arrays, tensor: str, note: str
) -> None:
    verdict = parity.compare(EXPECTED, GOOD | wrong)
    assert (verdict.error, verdict.tensor, verdict.note) == (float("inf"), tensor, note)


def test_a_missing_tensor_differs() -> None:
    verdict = parity.compare(EXPECTED, {"logits": GOOD["logits"]})
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
    verdict = parity.compare(GENERATED, {"digits": np.array(digits, np.uint8)})
    assert verdict.agrees == agrees


def test_digits_of_another_shape_or_none_differ() -> None:
    assert not parity.compare(GENERATED, {"digits": DIGITS[:, :2]}).agrees
    assert not parity.compare(GENERATED, {}).agrees


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


SHAPED = Reference(
    "shapes",
    {
        "forward logits": np.ones((2, 3), np.float32),
        "train_step loss": np.ones(()),
        "generate digits": np.ones((2, 4), np.uint8),
        "generate digit": np.ones((2, 1), np.uint8),
    },
    dict.fromkeys(["forward logits", "train_step loss", "generate digits", "generate digit"], 1.0),
)


@pytest.mark.parametrize(
    ("wrong", "note"),
    [
        ({}, ""),
        ({"forward logits": np.zeros((2, 3), np.float32)}, ""),
        ({"forward logits": np.ones((2, 3))}, "dtype float64, expected float32"),
        ({"forward logits": np.ones((3, 2), np.float32)}, "shape (3, 2), expected (2, 3)"),
        ({"train_step loss": np.ones((), np.float32)}, ""),
        ({"train_step loss": np.ones((), int)}, "dtype int64, expected float64"),
        ({"generate digits": np.ones((2, 4), int)}, ""),
        ({"generate digits": np.ones((2, 4))}, "dtype float64, expected uint8"),
    ],
)
def test_shapes_are_held_to_shape_and_kind_alone(wrong: Arrays, note: str) -> None:
    verdict = parity.compare(SHAPED, SHAPED.arrays | wrong)
    assert verdict.note == note
    assert verdict.agrees == (not note)


def test_shapes_of_a_method_that_is_not_claimed_are_not_missed() -> None:
    part = {n: a for n, a in SHAPED.arrays.items() if not n.startswith("generate")}
    assert parity.compare(SHAPED, part).agrees
    assert parity.compare(SHAPED, part | {"generate digit": np.ones((2, 1), int)}).note == "missing"


def test_inputs_are_held_bit_for_bit() -> None:
    expected = Reference("loss", {"inputs": DIGITS}, {"inputs": 1e-3})
    assert parity.compare(expected, {"inputs": DIGITS}).agrees
    verdict = parity.compare(expected, {"inputs": DIGITS + np.uint8(1)})
    assert (verdict.tensor, verdict.note, verdict.agrees) == ("inputs", "changed", False)


SEEDS = Reference("accuracy", {"accuracy": np.array([0.5, 0.6, 0.7])}, {"accuracy": 0.1})


@pytest.mark.parametrize(
    ("shares", "error"),
    [
        ([0.5, 0.6, 0.7], 0),
        ([0.55, 0.65, 0.75], 0.5),  # always by the same
        ([0.45, 0.55, 0.65], 0.5),
        # mean 0, t(2) = 4.303 times the standard error 0.1 / sqrt(3)
        ([0.4, 0.6, 0.8], 4.303 * 0.1 / np.sqrt(3) / 0.1),
        ([0.62, 0.72, 0.82], 1.2),
    ],
)
def test_accuracies_are_equal_where_the_whole_interval_is_within_the_margin(
    shares: list[float], error: float
) -> None:
    verdict = parity.compare(SEEDS, {"accuracy": np.array(shares)})
    assert verdict.error == pytest.approx(error, abs=1e-3)


# Bands


def test_a_band_is_a_multiple_of_the_worst_alternative_or_of_rounding() -> None:
    truth = {"a": np.array([3.0, 4.0]), "b": np.ones(2), "c": np.ones(2)}
    others = [truth | {"a": np.array([3.0, 4.005])}, truth | {"c": np.zeros(2)}]
    found = parity.bands(truth, others, unit=1e-6)
    assert found["a"] == pytest.approx(BAND * 0.001)
    assert found["b"] == pytest.approx(BAND * 1e-6)
    assert found["c"] == 0.5, "a tensor of zeros never agrees"


def test_a_loss_is_allowed_what_adding_up_costs() -> None:
    truth = {"loss": np.ones(2), "logits": np.ones(2)}
    found = parity.bands(truth, [truth], unit=1e-6, terms=1600)
    assert found["logits"] == pytest.approx(BAND * 1e-6)
    assert found["loss"] == pytest.approx(4 * 40 * 1e-6)


def test_tf32_has_bands_of_its_own_and_is_no_matter_in_float64() -> None:
    assert parity.rounding(Options()) == 2.0**-23
    assert parity.rounding(Options(tf32=True)) == 2.0**-10
    assert parity.rounding(Options(dtype="float64", tf32=True)) == 2.0**-52
    reference = parity.reference(NumpyBackend, Options(tf32=True), FIXTURES["odd"])
    (forward,) = (r for r in reference if r.rung == "forward")
    assert 2.0**-10 < forward.bands["logits"] < 0.1


# Golden values


def test_the_oracle_is_held_to_golden_values() -> None:
    golden.verify(NumpyBackend, FIXTURES["odd"])
    assert {name.split("/")[0] for name in golden.expected()} == set(golden.RUNGS)


@pytest.mark.parametrize("factor", [1 + 1e-9, np.nan])
def test_an_oracle_that_a_machine_spoils_is_refused(factor: float) -> None:
    class Spoilt(NumpyBackend):
        def forward(self, inputs: Any, state: Any = None) -> Any:
            logits, state = super().forward(inputs, state)
            return logits * factor, state

    with pytest.raises(UsageError, match=r"computes wrongly on this machine: forward/logits"):
        golden.verify(Spoilt, FIXTURES["odd"])


# Claims


def test_what_is_left_out_is_not_claimed_and_the_rest_is_held_to() -> None:
    seen = {o.rung: o for o in parity.observe(InferenceAlone, Options(), FIXTURES["odd"])}
    claimed = {rung for rung, o in seen.items() if o.claimed}
    assert tuple(seen) == parity.rungs("odd")
    assert claimed == {"shapes", "parameters", "forward", "state", "again", "reload"}
    assert all(not seen[rung].arrays for rung in seen if rung not in claimed)
    assert all(v.agrees for v in verdicts(InferenceAlone, "odd", "float32").values())


def test_what_is_not_supported_is_not_claimed_rather_than_failed() -> None:
    seen = list(parity.observe(NoFreeRunning, Options(), FIXTURES["odd"]))
    assert [o.rung for o in seen if not o.claimed] == ["free-running"]


def test_what_a_backend_raises_is_what_its_rung_saw() -> None:
    class Fails(NumpyBackend):
        def generate(self, prompts: Any, steps: int) -> Any:
            if steps > 1:
                raise RuntimeError("broken")
            return super().generate(prompts, steps)

    seen = {o.rung: o for o in parity.observe(Fails, Options(), FIXTURES["odd"])}
    raised = {rung for rung, o in seen.items() if o.traceback}
    assert raised == {"shapes", "generate"}
    assert seen["generate"].traceback.endswith("RuntimeError: broken\n")
    assert not seen["generate"].arrays


def test_memory_that_ran_out_is_the_callers_to_see() -> None:
    class Fails(NumpyBackend):
        def generate(self, prompts: Any, steps: int) -> Any:
            raise RuntimeError("CUDA out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        list(parity.observe(Fails, Options(), FIXTURES["odd"]))


# Fixtures


def test_a_fixture_sets_its_own_clip_and_rate() -> None:
    options = FIXTURES["odd"].options(Options(clip_norm=7, learning_rate=1, threads=3))
    assert options.threads == 3
    default = Options()
    for name in ("learning_rate", "clip_norm", "beta1", "beta2", "epsilon"):
        assert getattr(options, name) == FIXTURES["odd"].optimiser[name] != getattr(default, name)


def test_fixtures_draw_the_same_numbers_in_every_dtype() -> None:
    fixture = Fixture("other", batch=2, length=3, hidden=4, layers=2)
    exact, rounded = fixture.parameters("float64"), fixture.parameters("float32")
    for name, array in rounded.items():
        np.testing.assert_allclose(array, exact[name], rtol=1e-6)
    assert fixture.tokens(5).shape == (5, 2, 4)
    np.testing.assert_array_equal(fixture.tokens(5)[:2], fixture.tokens(2))

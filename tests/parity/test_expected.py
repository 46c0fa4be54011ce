import numpy as np
import pytest
from climbs import comparisons, expected_at

from lstmbench import ModelSpec, Options, parity
from lstmbench.interface import BatchShape
from lstmbench.parity import CASES
from lstmbench.parity.oracle import Oracle
from lstmbench.parity.rungs import LADDER, RUNGS, AfterSteps, rungs
from lstmbench.parity.tolerances import HONEST_FACTOR, margins

DTYPES = ["float32", "float64"]
each_case = pytest.mark.parametrize("name", CASES)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)
STEPPED = tuple(rung.name for rung in LADDER if isinstance(rung, AfterSteps))


def names(case: str) -> tuple[str, ...]:
    return tuple(rung.name for rung in rungs(case))


@each_case
@each_dtype
def test_every_rung_is_expected_in_order(name: str, dtype: str) -> None:
    assert tuple(expected.name for expected in expected_at(name, dtype)) == names(name)


@each_case
def test_the_oracle_agrees_with_itself_without_an_error(name: str) -> None:
    found = comparisons(Oracle, name, "float64")
    assert tuple(found) == names(name)
    assert {one.error for one in found.values() if one.error is not None} == {0.0}


@each_case
def test_the_oracle_in_float32_is_well_within_the_tolerances(name: str) -> None:
    assert max(one.error or 0 for one in comparisons(Oracle, name, "float32").values()) < 0.5


@each_case
def test_expected_values_are_those_of_float64_at_the_rounded_parameters(name: str) -> None:
    case = CASES[name]
    backend = Oracle(case.options(Options(dtype="float64")))
    backend.load({n: a.astype(np.float64) for n, a in case.parameters("float32").items()})
    logits, _ = backend.forward(case.tokens(1)[0, :, :-1])
    expected = next(r for r in expected_at(name, "float32") if r.name == "forward")
    assert expected.arrays["logits"].dtype == np.float64
    np.testing.assert_array_equal(expected.arrays["logits"][0], logits)


@each_case
@each_dtype
def test_tolerances_are_small_multiples_of_rounding(name: str, dtype: str) -> None:
    unit = np.finfo(dtype).eps
    for expected in expected_at(name, dtype):
        guard = 2e-6 / 0.1 if expected.name in ("clip", *STEPPED) else 0
        for array, tolerance in expected.tolerances.items():
            assert HONEST_FACTOR * unit <= tolerance, (expected.name, array)
            if array == "accuracy":
                continue
            # A softmax of logits of 100 is ill-conditioned, and digits may well be chaotic.
            widest = 1e7 if name == "large" or array == "digits" else 1e6
            assert tolerance < widest * unit + guard, (expected.name, array)
            assert tolerance <= expected.approximate_tolerances[array] < 0.5


def test_only_where_clipping_is_active_a_guarded_norm_is_allowed() -> None:
    def widest(name: str) -> float:
        found = (r for r in expected_at(name, "float64") if r.name in STEPPED)
        return max(max(r.tolerances.values()) for r in found)

    assert widest("single") < 1e-11 and widest("saturated") < 1e-11
    assert 2e-6 < widest("odd") < 2e-5 and 2e-6 < widest("wide") < 4e-5


def test_a_clip_far_below_the_norm_may_be_guarded() -> None:
    """Dividing by N + 1e-6 changes the result by 1e-6 / N; twice that is allowed."""
    case, options = parity.case("run", ModelSpec(1, 8), BatchShape(4, 5)), Options(dtype="float64")
    backend = Oracle(options)
    backend.load(case.parameters("float64"))
    (tokens,) = case.tokens(1)
    _, gradients = backend.loss_and_gradients(tokens[:, :-1], tokens[:, 1:])
    norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients.values()))
    assert norm < options.clip_norm
    tolerances = {r.name: r.tolerances for r in parity.expect(Oracle, options, case)}
    clip = [tolerance for name, tolerance in tolerances["clip"].items()]
    assert min(clip) == pytest.approx(2e-6 / norm, rel=0.01)
    assert max(tolerances["step"].values()) < 1e-9


@each_case
def test_greedy_digits_are_far_from_a_tie(name: str) -> None:
    (generate,) = (r for r in expected_at(name, "float32") if r.name == "generate")
    assert generate.margins["digits"].shape == generate.arrays["digits"].shape
    lead, tolerance = generate.margins["digits"], generate.digit_tolerances["digits"][1]
    assert len(tolerance) == lead.shape[1] and sorted(tolerance) == tolerance, "rounding grows"
    if name in ("tall", "long", "large"):  # of thousands of choices, some are close
        assert np.mean(lead / tolerance > 2) > 0.9
    else:
        assert np.median(lead / tolerance) > 500 and (lead / tolerance).min() > 2


@each_case
def test_greedy_digits_vary(name: str) -> None:
    (generate,) = (r for r in expected_at(name, "float32") if r.name == "generate")
    digits = generate.arrays["digits"]
    assert len({row.tobytes() for row in digits}) > len(digits) / 4
    assert np.mean([len({*row.tolist()}) for row in digits]) >= 1.5, "more than one digit each"


@pytest.mark.parametrize("name", ["odd", "wide"])
def test_greedy_digits_change_with_training_and_with_another_load(name: str) -> None:
    found = {r.name: r for r in expected_at(name, "float32")}
    first = found["generate"].arrays["digits"]
    for rung in ("generate-after-training", "generate-after-reload"):
        one = found[rung]
        differs = one.arrays["digits"] != first
        rows = differs.any(1)
        at = differs[rows].argmax(1)
        lead = one.margins["digits"][rows, at]
        assert (lead > 10 * one.approximate_tolerances["digits"]).any(), "a stale digit is seen"


@pytest.mark.parametrize("name", [case for case in CASES if case in RUNGS["free-running"].cases])
def test_free_running_digits_are_far_from_a_tie(name: str) -> None:
    case, options = CASES[name], Options(dtype="float64")
    backend = Oracle(options)
    backend.load(case.parameters("float64"))
    path = case.tokens(1)[0, :, :1]
    for _ in range(case.shape.length - 1):
        logits, _ = backend.forward(path)
        path = np.concatenate([path, logits[:, -1:].argmax(-1).astype(np.uint8)], axis=1)
    logits, _ = backend.forward(path)
    (forward,) = (r for r in expected_at(name, "float32") if r.name == "forward")
    assert margins(logits).min() > forward.approximate_tolerances["logits"]


@each_case
@each_dtype
def test_no_expected_array_is_all_zero(name: str, dtype: str) -> None:
    # In one step from a zero state, and there alone, W_hh meets nothing but zeros.
    one_step = {"lstm.0.weight_hh"} if CASES[name].shape.length == 1 else set()
    one_step |= {f"loss_and_gradients {key}" for key in one_step}
    for expected in expected_at(name, dtype):
        zero = {key for key, array in expected.arrays.items() if not array.any()}
        assert zero <= one_step, expected.name

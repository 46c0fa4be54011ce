from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from lstmbench import Options, parity
from lstmbench.parity import CASES, Arrays
from lstmbench.parity.comparing import (
    compare_arrays,
    effective_precision,
    relative_error,
    unseen,
)
from lstmbench.parity.oracle import Oracle


def test_error_is_relative_to_the_expected_norm() -> None:
    assert relative_error(np.array([3.0, 4.0]), np.array([3.0, 4.0])) == 0
    assert relative_error(np.array([3.0, 4.5]), np.array([3.0, 4.0])) == pytest.approx(0.1)
    assert relative_error(np.array([0.25]), np.array([0.0])) == 0.25


@given(st.floats(1e-30, 1e30))
def test_zeros_do_not_pass_for_anything(size: float) -> None:
    assert relative_error(np.zeros(3), np.full(3, size)) == pytest.approx(1)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_infinitely_wrong(wrong: float) -> None:
    assert relative_error(np.array([1.0, wrong]), np.array([1.0, 1.0])) == float("inf")


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 1), (1, 2)])
def test_another_shape_is_infinitely_wrong(shape: tuple[int, ...]) -> None:
    assert relative_error(np.ones(shape), np.ones(2)) == float("inf")


EXPECTED = parity.Expected(
    name="state",
    arrays={"logits": np.ones((2, 3)), "other": np.full(4, 2.0)},
    tolerances={"logits": 1e-3, "other": 1e-6},
)
GOOD = {"logits": np.ones((2, 3), np.float32), "other": np.full(4, 2.0, np.float32)}


def test_what_is_expected_passes() -> None:
    found = compare_arrays(EXPECTED, GOOD)
    assert found.passed and found.error == 0


def test_the_worst_array_is_named_in_multiples_of_its_own_tolerance() -> None:
    close = {"logits": np.ones((2, 3), np.float32) * 1.0005, "other": np.full(4, 2.00001)}
    found = compare_arrays(EXPECTED, close)
    assert found.array == "other" and found.error == pytest.approx(5, rel=1e-3)
    assert not found.passed and found.tolerance == 1e-6


@pytest.mark.parametrize(("factor", "passes"), [(1 + 0.9e-3, True), (1 + 1.1e-3, False)])
def test_the_tolerance_is_where_agreement_ends(factor: float, passes: bool) -> None:
    near = GOOD | {"logits": GOOD["logits"] * np.float32(factor)}
    assert compare_arrays(EXPECTED, near).passed == passes


@pytest.mark.parametrize(
    ("wrong", "array", "note"),
    [
        ({"logits": np.ones((3, 2), np.float32)}, "logits", r"shape (3, 2), expected (2, 3)"),
        ({"other": np.array([2, 2, 2, np.nan])}, "other", "not finite"),
        ({"other": np.array([2, 2, 2, np.inf])}, "other", "not finite"),
        ({"more": np.ones(1)}, "more", "unknown"),
    ],
)
def test_what_cannot_be_compared_differs_without_bound(
    wrong: Arrays, array: str, note: str
) -> None:
    found = compare_arrays(EXPECTED, GOOD | wrong)
    assert not found.passed
    assert (found.error, found.array, found.note) == (None, array, note)


def test_a_missing_array_differs() -> None:
    found = compare_arrays(EXPECTED, {"logits": GOOD["logits"]})
    assert not found.passed and (found.array, found.note) == ("other", "missing")


LEVELS = replace(EXPECTED, approximate_tolerances={"logits": 1e-2, "other": 1e-6})


def test_what_needs_the_wider_tolerance_passes_as_approximate_unless_it_is_not_granted() -> None:
    near = GOOD | {"logits": GOOD["logits"] * np.float32(1.005)}
    found = compare_arrays(LEVELS, near)
    assert found.outcome == "passed as approximate" and found.array == "logits"
    assert found.error == pytest.approx(5, rel=1e-3)
    assert (found.tolerance, found.approximate) == (1e-3, 1e-2)
    assert compare_arrays(LEVELS, near, "accurate").outcome == "failed"
    far = GOOD | {"logits": GOOD["logits"] * np.float32(1.02)}
    assert compare_arrays(LEVELS, far).outcome == "failed"


def test_a_failure_is_told_before_what_is_only_approximate() -> None:
    both = {"logits": GOOD["logits"] * np.float32(1.009), "other": GOOD["other"] * 1.000002}
    found = compare_arrays(LEVELS, both)
    assert (found.outcome, found.array) == ("failed", "other")


def test_what_storing_changes_is_allowed_on_top_of_the_tolerance() -> None:
    size = float(np.linalg.norm(EXPECTED.arrays["logits"]))
    stored = replace(EXPECTED, resolutions={"logits": 1e-2 * size})
    for factor, passes in ((1.0108, True), (1.0112, False)):
        near = GOOD | {"logits": GOOD["logits"] * np.float32(factor)}
        assert compare_arrays(stored, near).passed == passes


def test_what_is_smaller_than_eight_times_what_storing_changes_is_not_seen() -> None:
    size = float(np.linalg.norm(EXPECTED.arrays["logits"]))
    for times, outcome in ((7.9, "not seen"), (8.1, "passed")):
        coarse = replace(EXPECTED, resolutions={"logits": size / times})
        found = compare_arrays(coarse, GOOD)
        assert found.outcome == outcome
        assert unseen(coarse) == (["logits"] if outcome == "not seen" else [])
    assert compare_arrays(coarse, GOOD | {"logits": GOOD["logits"] * 9}).outcome == "failed"


def test_what_is_expected_to_be_zero_is_seen_all_the_same() -> None:
    nothing = replace(EXPECTED, arrays=EXPECTED.arrays | {"logits": np.zeros((2, 3))})
    coarse = replace(nothing, resolutions={"logits": 1e-3})
    assert compare_arrays(coarse, GOOD | {"logits": np.zeros((2, 3), np.float32)}).passed
    assert not compare_arrays(coarse, GOOD).passed


def test_what_honest_arithmetic_may_have_at_any_size_is_not_seen_and_beyond_it_fails() -> None:
    wide = replace(EXPECTED, tolerances={"logits": 0.6, "other": 1e-6})
    assert compare_arrays(wide, GOOD).outcome == "not seen"
    zeros = GOOD | {"logits": 0 * GOOD["logits"]}
    assert compare_arrays(wide, zeros).outcome == "failed"


def test_calls_are_compared_one_by_one() -> None:
    """An error in one of a hundred calls is a tenth as large in all of them together."""
    calls = np.ones((100, 4))
    calls[70] *= 1 + 5e-3
    whole = parity.Expected(
        name="again", arrays={"logits": np.ones((100, 4))}, tolerances={"logits": 1e-3}
    )
    assert compare_arrays(whole, {"logits": calls}).passed
    found = compare_arrays(replace(whole, by_call=True), {"logits": calls})
    assert not found.passed and found.error == pytest.approx(5)


DIGITS = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
MARGINS = np.array([[0.5, 1e-6, 0.5], [0.5, 0.5, 0.5]])
GENERATED = parity.Expected(
    name="generate",
    arrays={"digits": DIGITS},
    tolerances={"digits": 1e-5},
    margins={"digits": MARGINS},
)


@pytest.mark.parametrize(
    ("digits", "passes"),
    [
        ([[1, 2, 3], [4, 5, 6]], True),
        ([[1, 9, 3], [4, 5, 6]], True),  # a tie
        ([[1, 9, 9], [4, 5, 6]], True),  # what follows a tie is free
        ([[1, 2, 9], [4, 5, 6]], False),
        ([[9, 9, 3], [4, 5, 6]], False),  # the tie came after the first mismatch
        ([[1, 9, 9], [4, 5, 9]], False),  # a tie in one sequence excuses no other
    ],
)
def test_digits_may_differ_first_at_a_tie_alone(digits: list[list[int]], passes: bool) -> None:
    found = compare_arrays(GENERATED, {"digits": np.array(digits, np.uint8)})
    assert found.passed == passes


GROWING = replace(GENERATED, digit_tolerances={"digits": ([1e-7, 1e-5, 0.6], [1e-6, 1e-4, 1.0])})


@pytest.mark.parametrize(
    ("digits", "outcome"),
    [
        ([[1, 2, 3], [4, 5, 6]], "passed"),
        ([[1, 2, 9], [4, 5, 6]], "passed"),  # as far as rounding has grown there
        ([[1, 9, 3], [4, 5, 6]], "passed"),
        ([[9, 2, 3], [4, 5, 6]], "failed"),
        ([[1, 2, 3], [4, 9, 6]], "failed"),
    ],
)
def test_each_digit_has_the_tolerance_that_rounding_has_grown_to(
    digits: list[list[int]], outcome: str
) -> None:
    found = compare_arrays(GROWING, {"digits": np.array(digits, np.uint8)})
    assert found.outcome == outcome
    assert "the first 2 of 3 digits are determined" in found.note


def test_digits_of_which_not_even_the_first_is_determined_are_not_seen() -> None:
    nothing = replace(GENERATED, digit_tolerances={"digits": ([0.5] * 3, [0.5] * 3)})
    assert compare_arrays(nothing, {"digits": DIGITS}).outcome == "not seen"


def test_digits_of_another_shape_or_none_differ() -> None:
    assert not compare_arrays(GENERATED, {"digits": DIGITS[:, :2]}).passed
    assert not compare_arrays(GENERATED, {}).passed


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
    assert effective_precision(error) == name


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_logits_of_rounded_weights_give_their_precision_away(dtype: Any) -> None:
    case = CASES["odd"]
    exact = case.parameters("float64")
    logits = []
    for p in (exact, {name: a.astype(dtype).astype(float) for name, a in exact.items()}):
        backend = Oracle(Options(dtype="float64"))
        backend.load(p)
        logits.append(backend.forward(case.tokens(1)[0, :, :-1])[0])
    name = {np.float32: "float32", np.float16: "TF32 or float16"}[dtype]
    assert effective_precision(relative_error(logits[1], logits[0])) == name

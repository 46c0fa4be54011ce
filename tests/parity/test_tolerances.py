from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmbench import Options, parity
from lstmbench.interface import Precision
from lstmbench.interface.model import PRECISION_BITS, Products
from lstmbench.parity import CASES
from lstmbench.parity.oracle import Oracle
from lstmbench.parity.rounding import rounded
from lstmbench.parity.tolerances import HONEST_FACTOR, correction_error, tolerances

MICRO = Precision("float32")


def test_a_step_may_round_adams_corrections() -> None:
    options, kind, steps = Options(), np.float32, np.arange(1, 13)

    def factor(one: Any, beta1: Any, beta2: Any) -> Any:
        return np.sqrt(one - beta2**steps) / (one - beta1**steps)

    exact = factor(1.0, options.beta1, options.beta2)
    rounded = factor(kind(1), kind(options.beta1), kind(options.beta2))
    worst = np.abs(rounded / exact - 1).max()
    allowed = correction_error(options.optimiser, float(np.finfo(kind).eps))
    assert allowed / 20 < worst < allowed


def test_a_tolerance_is_a_multiple_of_the_worst_variant_or_of_rounding() -> None:
    exact = {"a": np.array([3.0, 4.0]), "b": np.ones(2), "c": np.ones(2)}
    others = [exact | {"a": np.array([3.0, 4.005])}, exact | {"c": np.zeros(2)}]
    found = tolerances(exact, others, MICRO)
    assert found["a"] == pytest.approx(HONEST_FACTOR * 0.001)
    assert found["b"] == pytest.approx(HONEST_FACTOR * MICRO.eps)
    assert found["c"] == pytest.approx(HONEST_FACTOR)


def test_a_loss_is_allowed_what_summing_costs() -> None:
    exact = {"loss": np.ones(2), "logits": np.ones(2)}
    found = tolerances(exact, [exact], MICRO, terms=1600)
    assert found["logits"] == pytest.approx(HONEST_FACTOR * MICRO.eps)
    assert found["loss"] == pytest.approx(4 * 40 * MICRO.eps)


@pytest.mark.parametrize(
    ("products", "least", "most"), [("tf32", 1e-3, 0.1), ("bfloat16", 0.03, 0.4)]
)
def test_tolerances_follow_from_the_eps_of_the_factors_of_products(
    products: Products, least: float, most: float
) -> None:
    found = parity.expect(Oracle, Options(products=products), CASES["odd"])
    (forward,) = (r for r in found if r.name == "forward")
    assert least < forward.tolerances["logits"] < most


def test_a_sum_is_made_in_what_is_stored_and_not_in_what_factors_are_rounded_to() -> None:
    exact = {"loss": np.ones(2)}
    found = tolerances(exact, [exact], Precision("float32", "bfloat16"), terms=10_000)
    assert found["loss"] == 4 * 2.0**-7, "more terms do not matter"


@given(
    st.lists(st.floats(-(2**99), 2**99, width=32), min_size=1),
    st.sampled_from(["tf32", "bfloat16"]),
)
def test_rounding_gives_the_nearest_of_the_shorter_numbers_and_of_two_the_even(
    values: list[float], products: Products
) -> None:
    array = np.array(values, np.float32)
    kept = 1 + PRECISION_BITS[products]
    fraction, exponent = np.frexp(array.astype(np.float64))
    expected = np.ldexp(np.rint(np.ldexp(fraction, kept)), exponent - kept)  # rint: ties to even
    normal = np.abs(array) > 2.0**-100  # below, mantissas are shorter still
    found = rounded(array, products)
    np.testing.assert_array_equal(found[normal], expected[normal].astype(np.float32))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(rounded(found, products), found)


def test_rounding_agrees_with_the_bfloat16_of_a_library() -> None:
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    array = np.random.default_rng(0).normal(size=10_000).astype(np.float32)
    np.testing.assert_array_equal(
        rounded(array, "bfloat16"), array.astype(bfloat16).astype(np.float32)
    )


def test_nothing_is_rounded_unless_asked_for() -> None:
    array = np.random.default_rng(0).normal(size=9)
    assert rounded(array, "") is array

from typing import Any

import numpy as np
import pytest

from lstmbench import Options, parity
from lstmbench.parity import CASES
from lstmbench.parity.oracle import Oracle
from lstmbench.parity.tolerances import HONEST_FACTOR, correction_error, tolerances


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
    found = tolerances(exact, others, eps=1e-6)
    assert found["a"] == pytest.approx(HONEST_FACTOR * 0.001)
    assert found["b"] == pytest.approx(HONEST_FACTOR * 1e-6)
    assert found["c"] == pytest.approx(HONEST_FACTOR)


def test_a_loss_is_allowed_what_summing_costs() -> None:
    exact = {"loss": np.ones(2), "logits": np.ones(2)}
    found = tolerances(exact, [exact], eps=1e-6, terms=1600)
    assert found["logits"] == pytest.approx(HONEST_FACTOR * 1e-6)
    assert found["loss"] == pytest.approx(4 * 40 * 1e-6)


def test_tf32_has_tolerances_of_its_own_and_is_no_matter_in_float64() -> None:
    assert Options().precision.eps == 2.0**-23
    assert Options(tf32=True).precision.eps == 2.0**-10
    assert Options(dtype="float64", tf32=True).precision.eps == 2.0**-52
    found = parity.expect(Oracle, Options(tf32=True), CASES["odd"])
    (forward,) = (r for r in found if r.name == "forward")
    assert 2.0**-10 < forward.tolerances["logits"] < 0.1

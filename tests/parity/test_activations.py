import numpy as np
import pytest
from scipy import special

from lstmbench import ModelSpec, Options
from lstmbench.interface import parameters
from lstmbench.parity.activations import (
    APPROXIMATE_UNITS,
    SIGNS,
    Activations,
    Displaced,
    displacements,
)
from lstmbench.parity.oracle import Oracle

EPS = 2.0**-23
Z = np.concatenate([np.linspace(-700, 700, 1401), np.linspace(-3, 3, 61)])
FUNCTIONS = {"sigmoid": special.expit, "tanh": np.tanh, "exp": np.exp, "log": np.log}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_they_are_those_of_scipy_and_numpy_to_the_last_places(name: str) -> None:
    z = np.abs(Z) + 1e-9 if name == "log" else Z
    np.testing.assert_allclose(getattr(Activations(), name)(z), FUNCTIONS[name](z), rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sigmoid_far_out_keeps_its_relative_accuracy(dtype: type) -> None:
    z = np.linspace(-80, 80, 161).astype(dtype)
    np.testing.assert_allclose(Activations().sigmoid(z), special.expit(z), rtol=1e-6)
    with np.errstate(over="ignore"):
        assert Activations().sigmoid(np.array([-1e4], dtype))[0] == 0


@pytest.mark.parametrize(("sigmoid", "tanh"), SIGNS)
def test_each_errs_by_what_it_is_told_to_its_side(sigmoid: int, tanh: int) -> None:
    one, exact = Displaced(sigmoid, tanh, relative=1e-3, absolute=1e-5), Activations()
    z = np.linspace(0.1, 5, 50)
    for name, sign in (("sigmoid", sigmoid), ("exp", sigmoid), ("tanh", tanh), ("log", tanh)):
        value = getattr(exact, name)(z)
        expected = value * (1 + sign * 1e-3) + sign * 1e-5
        np.testing.assert_allclose(getattr(one, name)(z), expected, rtol=1e-12)


def test_approximate_ones_err_by_units_of_one_besides() -> None:
    accurate, approximate = displacements("accurate", EPS), displacements("approximate", EPS)
    assert {one.relative for one in accurate + approximate} == {EPS}
    assert {one.absolute for one in accurate} == {0}
    assert {one.absolute for one in approximate} == {APPROXIMATE_UNITS * EPS}
    assert len({(one.sigmoid_sign, one.tanh_sign) for one in accurate}) == 4


def test_the_oracle_uses_them_everywhere() -> None:
    """Every function is called in a forward pass or in the loss."""
    called = set()

    class Noting(Activations):
        def sigmoid(self, z: np.ndarray) -> np.ndarray:
            called.add("sigmoid")
            return super().sigmoid(z)

        def tanh(self, z: np.ndarray) -> np.ndarray:
            called.add("tanh")
            return super().tanh(z)

        def exp(self, z: np.ndarray) -> np.ndarray:
            called.add("exp")
            return super().exp(z)

        def log(self, z: np.ndarray) -> np.ndarray:
            called.add("log")
            return super().log(z)

    backend = Oracle(Options(dtype="float64"), Noting())
    backend.load(parameters.draw(0, ModelSpec(2, 4)))
    digits = np.zeros((2, 3), np.uint8)
    backend.forward(digits)
    assert called == {"sigmoid", "tanh"}
    backend.loss_and_gradients(digits, digits)
    assert called == {"sigmoid", "tanh", "exp", "log"}

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmbench import ModelSpec, Options
from lstmbench.interface import OptimiserSpec, Precision, parameters
from lstmbench.interface.model import PrecisionName

sizes = st.integers(1, 9)


def test_names_and_shapes_stand_in_canonical_order() -> None:
    assert list(ModelSpec(layers=2, hidden=3).shapes.items()) == [
        ("lstm.0.weight_ih", (12, 10)),
        ("lstm.0.weight_hh", (12, 3)),
        ("lstm.0.bias", (12,)),
        ("lstm.1.weight_ih", (12, 3)),
        ("lstm.1.weight_hh", (12, 3)),
        ("lstm.1.bias", (12,)),
        ("linear.weight", (10, 3)),
        ("linear.bias", (10,)),
    ]


@given(hidden=sizes, layers=st.integers(1, 4), vocabulary=st.integers(2, 12))
def test_size_and_spec_follow_from_each_other(hidden: int, layers: int, vocabulary: int) -> None:
    h, v = hidden, vocabulary
    lstm = 4 * h * (v + h + 1) + (layers - 1) * 4 * h * (2 * h + 1)
    model = ModelSpec(layers, h, v)
    assert model.size == lstm + v * (h + 1)
    drawn = parameters.draw(0, model)
    assert ModelSpec.of(drawn) == ModelSpec.of(dict(reversed(drawn.items()))) == model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_eps_and_itemsize_are_numpys(dtype: str) -> None:
    precision = Precision(dtype)
    assert precision.eps == np.finfo(dtype).eps
    assert precision.itemsize == np.dtype(dtype).itemsize


@pytest.mark.parametrize(("name", "bits", "itemsize"), [("tf32", 10, 4), ("bfloat16", 7, 2)])
def test_factors_of_products_have_an_eps_of_their_own(
    name: PrecisionName, bits: int, itemsize: int
) -> None:
    precision = Precision.named(name)
    assert precision.name == name and precision.dtype == "float32"
    assert precision.eps == 2.0**-bits
    assert precision.stored_eps == 2.0**-23
    assert (precision.itemsize, precision.factor_itemsize) == (4, itemsize)


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_whole_precisions_store_what_they_multiply(name: PrecisionName) -> None:
    precision = Precision.named(name)
    assert precision == Precision(name) and precision.name == name
    assert precision.eps == precision.stored_eps


def test_options_hold_optimiser_and_precision_as_values() -> None:
    options = Options(dtype="float64", clip_norm=2.0, beta1=0.5)
    assert options.optimiser == OptimiserSpec(clip_norm=2.0, beta1=0.5)
    assert Options().optimiser == OptimiserSpec(), "the defaults are the same"
    assert options.precision == Precision("float64")

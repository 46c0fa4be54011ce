from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmbench.interface import parameters

sizes = st.integers(1, 9)


def test_names_and_shapes_stand_in_canonical_order() -> None:
    assert list(parameters.shapes(hidden=3, layers=2).items()) == [
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
def test_count_and_dimensions_follow_from_the_sizes(
    hidden: int, layers: int, vocabulary: int
) -> None:
    h, v = hidden, vocabulary
    lstm = 4 * h * (v + h + 1) + (layers - 1) * 4 * h * (2 * h + 1)
    assert parameters.count(parameters.shapes(h, layers, v)) == lstm + v * (h + 1)
    drawn = parameters.draw(0, h, layers, vocabulary=v)
    assert parameters.dimensions(drawn) == (v, h, layers)
    assert parameters.dimensions(dict(reversed(drawn.items()))) == (v, h, layers)


def test_draw_is_one_stream_of_the_run_seeds_own_key() -> None:
    sequence = np.random.SeedSequence(entropy=7, spawn_key=(0, 5))
    stream = np.random.Generator(np.random.PCG64(sequence)).random(1000)
    flat = np.concatenate([a.ravel() for a in parameters.draw(7, 4, 2).values()])
    np.testing.assert_allclose(flat, (2 * stream[: flat.size] - 1) / np.sqrt(4), rtol=1e-14)


def test_draw_depends_on_the_seed_alone() -> None:
    first, again, other = (parameters.draw(seed, 5, 2) for seed in (1, 1, 2))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
        assert not np.any(first[name] == other[name])


def test_float32_is_the_float64_draw_rounded() -> None:
    exact, rounded = parameters.draw(3, 6, 2), parameters.draw(3, 6, 2, "float32")
    for name, array in rounded.items():
        assert array.dtype == np.float32 and exact[name].dtype == np.float64
        np.testing.assert_array_equal(array, exact[name].astype(np.float32))


@given(seed=st.integers(0, 2**53), hidden=sizes)
def test_every_number_lies_within_one_over_root_h(seed: int, hidden: int) -> None:
    for array in parameters.draw(seed, hidden, 2).values():
        assert np.abs(array).max() <= 1 / np.sqrt(hidden)


def test_draw_fills_the_whole_interval() -> None:
    flat = np.concatenate([a.ravel() for a in parameters.draw(0, 64, 2).values()]) * np.sqrt(64)
    assert flat.min() < -0.999 and flat.max() > 0.999
    assert abs(flat.mean()) < 4 / np.sqrt(3 * flat.size)
    assert flat.var() == pytest.approx(1 / 3, rel=0.02)


@given(hidden=sizes, layers=st.integers(1, 3))
def test_views_share_memory_and_cover_the_flat_vector(hidden: int, layers: int) -> None:
    layout = parameters.shapes(hidden, layers)
    flat = np.arange(parameters.count(layout), dtype=float)
    views = parameters.views(flat, layout)
    assert {name: view.shape for name, view in views.items()} == layout
    np.testing.assert_array_equal(np.concatenate([v.ravel() for v in views.values()]), flat)
    for view in views.values():
        view[...] = -1
    assert (flat == -1).all()


def test_random_generators_of_different_keys_or_seeds_differ() -> None:
    keys = [(0, 0), (0, 1), (0, 1, 0), (0, 1, 1), (1, 0)]
    draws = [parameters.random_generator(0, *key).random() for key in keys]
    draws.append(parameters.random_generator(1, 0, 0).random())
    assert len(set(draws)) == len(draws)
    assert all(a != b for a, b in pairwise(draws))


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_safetensors_round_trip_keeps_every_bit_shape_and_dtype(dtype: str) -> None:
    random = np.random.default_rng(0)
    arrays = {
        "matrix": (100 * random.random((3, 4))).astype(dtype),
        "transposed": (100 * random.random((3, 4))).astype(dtype).T,
        "strided": (100 * random.random(9)).astype(dtype)[::-2],
        "empty": np.empty((0, 3), dtype),
    }
    back = parameters.from_bytes(parameters.to_bytes(arrays))
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array, strict=True)


def test_safetensors_carry_nan_and_infinity() -> None:
    odd = np.array([np.nan, np.inf, -np.inf, -0.0])
    back = parameters.from_bytes(parameters.to_bytes({"odd": odd}))["odd"]
    assert back.tobytes() == odd.tobytes()


def test_a_scalar_stays_a_scalar_on_its_way() -> None:
    loss = np.array(2.5, np.float32)
    back = parameters.from_bytes(parameters.to_bytes({"loss": loss}))["loss"]
    np.testing.assert_array_equal(back, loss, strict=True)

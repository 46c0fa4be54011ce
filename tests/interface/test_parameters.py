from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmbench import ModelSpec
from lstmbench.interface import parameters

sizes = st.integers(1, 9)


def test_draw_is_one_stream_of_the_run_seeds_own_key() -> None:
    sequence = np.random.SeedSequence(entropy=7, spawn_key=(0, 5))
    stream = np.random.Generator(np.random.PCG64(sequence)).random(1000)
    flat = np.concatenate([a.ravel() for a in parameters.draw(7, ModelSpec(2, 4)).values()])
    np.testing.assert_allclose(flat, (2 * stream[: flat.size] - 1) / np.sqrt(4), rtol=1e-14)


def test_draw_depends_on_the_seed_alone() -> None:
    first, again, other = (parameters.draw(seed, ModelSpec(2, 5)) for seed in (1, 1, 2))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
        assert not np.any(first[name] == other[name])


def test_float32_is_the_float64_draw_rounded() -> None:
    exact, rounded = (
        parameters.draw(3, ModelSpec(2, 6), dtype) for dtype in ("float64", "float32")
    )
    for name, array in rounded.items():
        assert array.dtype == np.float32 and exact[name].dtype == np.float64
        np.testing.assert_array_equal(array, exact[name].astype(np.float32))


@given(seed=st.integers(0, 2**53), hidden=sizes)
def test_every_number_lies_within_one_over_root_h(seed: int, hidden: int) -> None:
    for array in parameters.draw(seed, ModelSpec(2, hidden)).values():
        assert np.abs(array).max() <= 1 / np.sqrt(hidden)


def test_draw_fills_the_whole_interval() -> None:
    flat = np.concatenate(
        [a.ravel() for a in parameters.draw(0, ModelSpec(2, 64)).values()]
    ) * np.sqrt(64)
    assert flat.min() < -0.999 and flat.max() > 0.999
    assert abs(flat.mean()) < 4 / np.sqrt(3 * flat.size)
    assert flat.var() == pytest.approx(1 / 3, rel=0.02)


@given(hidden=sizes, layers=st.integers(1, 3))
def test_views_share_memory_and_cover_the_flat_vector(hidden: int, layers: int) -> None:
    model = ModelSpec(layers, hidden)
    layout, flat = model.shapes, np.arange(model.size, dtype=float)
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

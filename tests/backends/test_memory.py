"""What a call takes from memory once its shape has been seen: its results, and next to nothing."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lstmbench import Backend, ModelSpec, Options
from lstmbench.interface import parameters
from lstmbench.plugins.resolve import resolve

BATCH, LENGTH, HIDDEN, LAYERS = 64, 10, 128, 2
OPTIONS = Options(dtype="float64", threads=2)
STATE_BYTES = BATCH * HIDDEN * 8
"""One (B, H): the smallest array that there is of each layer at each time step."""
BUFFER_BYTES = 2 * np.getbufsize() * 8
"""What NumPy takes for itself, in place or not, where an operand is not one contiguous block."""


@pytest.fixture(
    params=["lstmbench_numpy.backend:NumpyBackend", "lstmbench_numba.backend:NumbaBackend"]
)
def backend(request: pytest.FixtureRequest) -> Backend:
    if "numba" in request.param:
        pytest.importorskip("numba")
    result: Backend = resolve(request.param)(OPTIONS)
    result.load(parameters.draw(0, ModelSpec(LAYERS, HIDDEN)))
    return result


@pytest.fixture
def batch() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).integers(0, 10, (BATCH, LENGTH + 1), dtype=np.uint8)
    return x[:, :-1], x[:, 1:]


def peak_bytes(call: Callable[[], Any]) -> int:
    """The most that a call holds beyond what was held before it; the call was made before."""
    for _ in range(2):
        call()
    tracemalloc.start()  # NumPy tells it of its arrays
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_an_array_does_not_go_unnoticed() -> None:
    assert peak_bytes(lambda: np.empty((BATCH, HIDDEN))) >= STATE_BYTES


@pytest.mark.parametrize("free_running", [False, True])
def test_a_training_step_makes_no_array_of_a_layer(
    backend: Backend, batch: tuple[np.ndarray, np.ndarray], free_running: bool
) -> None:
    peak = peak_bytes(lambda: backend.train_step(*batch, free_running))
    assert peak < BUFFER_BYTES + STATE_BYTES


def test_a_forward_pass_makes_its_results_alone(
    backend: Backend, batch: tuple[np.ndarray, np.ndarray]
) -> None:
    logits, state = backend.forward(batch[0])
    results = sum(array.nbytes for array in (logits, *state))
    assert results <= peak_bytes(lambda: backend.forward(batch[0])) < results + STATE_BYTES


def test_a_generated_digit_takes_a_byte(
    backend: Backend, batch: tuple[np.ndarray, np.ndarray]
) -> None:
    few = peak_bytes(lambda: backend.generate(batch[0], 8))
    many = peak_bytes(lambda: backend.generate(batch[0], 108))
    assert many - few < 1.5 * 100 * BATCH

from typing import Any

import numpy as np
import pytest
from lstmbench_numpy.backend import NumpyBackend

from lstmbench import VOCABULARY, ModelSpec, Options
from lstmbench.interface import BatchShape, parameters
from lstmbench.interface.workloads import MAIN, PARTS, WORKLOADS, Workload, stack

MODEL, SHAPE = ModelSpec(layers=2, hidden=6), BatchShape(batch=3, length=5)
each_workload = pytest.mark.parametrize("workload", WORKLOADS.values(), ids=lambda w: w.name)


def inputs(workload: Workload, calls: int) -> np.ndarray:
    return workload.inputs(np.random.default_rng(workload.key), calls, SHAPE)


def handed_out(workload: Workload) -> list[dict[str, np.ndarray]]:
    """What three calls of the numpy backend hand out."""
    backend = NumpyBackend(Options())
    backend.load(parameters.draw(0, MODEL, "float32"))
    staged = [workload.stage(backend, x) for x in inputs(workload, 3)]
    return [workload.fetch(backend, workload.call(backend, x)) for x in staged]


def test_order_and_keys_are_what_they_always_were_so_that_inputs_stay_the_same() -> None:
    order = ["stage", "forward", "gradients", "train", "generate"]
    assert list(WORKLOADS) == order
    assert [workload.key for workload in WORKLOADS.values()] == [1, 2, 3, 4, 5]


def test_no_two_workloads_share_a_metric_or_a_title() -> None:
    for name in ("metric", "title"):
        assert len({getattr(one, name) for one in WORKLOADS.values()}) == len(WORKLOADS)


@each_workload
def test_its_results_have_the_names_that_it_declares(workload: Workload) -> None:
    found = handed_out(workload)
    assert all(tuple(one) == workload.hands_out for one in found)
    for name, array in stack(found).items():
        assert len(array) == 3 and np.array_equal(array[1], found[1][name])


@each_workload
def test_inputs_of_a_call_do_not_depend_on_how_many_calls_there_are(
    workload: Workload,
) -> None:
    many, few = inputs(workload, 9), inputs(workload, 4)
    assert many.dtype == np.uint8 and many.max() < VOCABULARY
    assert np.array_equal(many[:4], few)


@each_workload
def test_it_needs_a_method_of_a_backend_or_none(workload: Workload) -> None:
    assert workload.capability in {"", *NumpyBackend.capabilities()}


def test_generate_hands_out_as_many_digits_as_it_counts() -> None:
    generate = WORKLOADS["generate"]
    (digits,) = handed_out(generate)[0].values()
    assert digits.shape == (1, generate.units_per_call)


def test_the_gradient_that_is_fetched_is_the_last_of_a_backward_pass() -> None:
    gradients: Any = WORKLOADS["gradients"]
    assert gradients.deepest == next(iter(MODEL.shapes))


def test_the_parts_of_a_step_are_differences_of_workloads_around_the_main_one() -> None:
    assert PARTS[-1].whole is MAIN
    assert [part.metric for part in PARTS] == ["backward_seconds", "optimiser_seconds"]

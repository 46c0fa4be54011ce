from typing import Any

import numpy as np
import pytest
from lstmbench_numpy.backend import NumpyBackend

from lstmbench import VOCABULARY, ModelSpec, Options
from lstmbench.interface import BatchShape, parameters
from lstmbench.interface.workloads import MAIN, PARTS, PROMPT_DIGITS, WORKLOADS, Workload

MODEL, SHAPE = ModelSpec(layers=2, hidden=6), BatchShape(batch=3, length=5)
each_workload = pytest.mark.parametrize("workload", WORKLOADS.values(), ids=lambda w: w.name)


def inputs(workload: Workload, calls: int) -> np.ndarray:
    return workload.inputs(np.random.default_rng(workload.key), calls, SHAPE)


def returned(workload: Workload) -> list[dict[str, Any]]:
    """What three calls of the numpy backend return."""
    backend = NumpyBackend(Options())
    backend.load(parameters.draw(0, MODEL, "float32"))
    staged = [workload.stage(backend, x) for x in inputs(workload, 3)]
    return [workload.call(backend, x) for x in staged]


def test_order_and_keys_are_what_they_always_were_so_that_inputs_stay_the_same() -> None:
    order = ["stage", "forward", "gradients", "train", "generate"]
    assert list(WORKLOADS) == order
    assert [workload.key for workload in WORKLOADS.values()] == [1, 2, 3, 4, 5]


def test_no_two_workloads_share_a_metric_or_a_title() -> None:
    for name in ("metric", "title"):
        assert len({getattr(one, name) for one in WORKLOADS.values()}) == len(WORKLOADS)


def test_what_a_call_returns_has_names() -> None:
    found = {name: set(returned(workload)[0]) for name, workload in WORKLOADS.items()}
    assert found == {
        "stage": {"inputs", "targets"},
        "forward": {"logits"},
        "gradients": {"loss", *MODEL.shapes},
        "train": {"loss"},
        "generate": {"digits"},
    }


def test_all_of_a_result_is_fetched_but_of_gradients_one_that_is_drawn() -> None:
    for name in ("forward", "train", "generate"):
        names = tuple(returned(WORKLOADS[name])[0])
        assert WORKLOADS[name].fetched(names, 5) == names
    assert WORKLOADS["stage"].fetched(("inputs", "targets"), 5) == ()
    names = ("loss", *MODEL.shapes)
    drawn = [WORKLOADS["gradients"].fetched(names, pick) for pick in range(len(names) - 1)]
    assert {one[0] for one in drawn} == {"loss"}
    assert {one[1] for one in drawn} == set(MODEL.shapes), "each as likely as any other"


def test_only_generation_has_parameters_of_its_own() -> None:
    given = parameters.draw(0, MODEL, "float32")
    for name, workload in WORKLOADS.items():
        first, second = (workload.parameters(given, np.random.default_rng(n)) for n in (1, 2))
        if name != "generate":
            assert first is given
            continue
        for key, array in first.items():
            assert array.dtype == np.float32 and array.shape == given[key].shape
            assert not np.array_equal(array, second[key])


def test_timed_digits_vary_and_depend_on_the_whole_prompt() -> None:
    workload, model = WORKLOADS["generate"], ModelSpec(layers=2, hidden=128)
    backend = NumpyBackend(Options())
    given = parameters.draw(0, model, "float32")
    varied, changed = [], 0
    for block in range(4):
        backend.load(workload.parameters(given, np.random.default_rng(block)))
        for prompt in workload.inputs(np.random.default_rng(block), 3, SHAPE):
            (digits,) = backend.generate(prompt, workload.units_per_call)
            varied.append(len({*digits.tolist()}))
            prompt[0, 0] = (prompt[0, 0] + 1) % VOCABULARY
            changed += not np.array_equal(backend.generate(prompt, 64)[0], digits)
    assert min(varied) >= 3 and np.mean(varied) > 5
    assert changed >= 10, "of 12"


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


def test_generate_writes_as_many_digits_as_it_counts() -> None:
    generate = WORKLOADS["generate"]
    assert returned(generate)[0]["digits"].shape == (1, generate.units_per_call)
    assert inputs(generate, 2).shape == (2, 1, PROMPT_DIGITS)


def test_the_parts_of_a_step_are_differences_of_workloads_around_the_main_one() -> None:
    assert PARTS[-1].whole is MAIN
    assert [part.metric for part in PARTS] == ["backward_seconds", "optimiser_seconds"]

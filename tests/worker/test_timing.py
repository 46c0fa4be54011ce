from typing import Any

import numpy as np
import pytest
from lstmbench_numpy.backend import NumpyBackend

from lstmbench import Options
from lstmbench.interface import parameters
from lstmbench.protocol.messages import Workload
from lstmbench.worker import timing
from lstmbench.worker import verification as recheck

INITIAL = parameters.draw(0, 6, 2, "float32")
CHECKED: list[Workload] = ["forward", "gradients", "train", "generate"]


def sequences(workload: Workload, calls: int, round_: int = 0) -> np.ndarray:
    return timing.inputs(workload, 0, 1, round_, calls, batch=3, length=5)


class Watched(NumpyBackend):
    """Notes what is done, beside the ticks of the clock."""

    def __init__(self, events: list[str]) -> None:
        super().__init__(Options())
        self.events = events

    def forward(self, inputs: Any, state: Any = None) -> Any:
        self.events.append("forward")
        return super().forward(inputs, state)

    def stage(self, tokens: np.ndarray) -> Any:
        self.events.append("stage")
        return super().stage(tokens)

    def fetch(self, array: Any) -> np.ndarray:
        self.events.append("fetch")
        return super().fetch(array)

    def synchronize(self) -> None:
        self.events.append("synchronize")


def test_the_clock_holds_all_calls_and_all_results_and_no_staging(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events: list[str] = []
    backend = Watched(events)
    backend.load(INITIAL)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: events.append("tick") or 0.0)
    timing.run(backend, "forward", sequences("forward", 3))
    staged = ["stage", "stage"] * 3
    work = ["forward"] * 3 + ["fetch"] * 3 + ["synchronize"]
    assert events == [*staged, "synchronize", "tick", *work, "tick"]


def test_inputs_are_fresh_in_each_call_and_round_and_prefixes_agree() -> None:
    many, few = sequences("train", 9), sequences("train", 4)
    assert np.array_equal(many[:4], few)
    assert len({x.tobytes() for x in many}) == 9
    assert not np.array_equal(many, sequences("train", 9, round_=1))
    assert sequences("generate", 5).shape == (5, 1, 1)


@pytest.mark.parametrize("workload", timing.CAPABILITIES)
def test_a_block_times_its_calls_and_keeps_warm_up_results(workload: Workload) -> None:
    backend = NumpyBackend(Options())
    timed = timing.block(backend, INITIAL, workload, sequences(workload, 6))
    assert len(timed.results) == 6
    assert len(timed.seconds) == (4 if workload == "generate" else 1)
    assert all(seconds > 0 for seconds in timed.seconds)


def test_the_order_in_which_gradients_are_named_does_not_matter() -> None:
    class Reversed(NumpyBackend):
        def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
            loss, gradients = super().loss_and_gradients(inputs, targets)
            return loss, dict(reversed(gradients.items()))

    found = [
        timing.block(kind(Options()), INITIAL, "gradients", sequences("gradients", 3)).results
        for kind in (NumpyBackend, Reversed)
    ]
    for (_, ours), (_, theirs) in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_block_starts_from_loaded_parameters() -> None:
    backend = NumpyBackend(Options())
    first, second = (
        timing.block(backend, INITIAL, "train", sequences("train", 5)).results for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize("workload", CHECKED)
@pytest.mark.parametrize("calls", [[2, 4, 5], [3]])
def test_an_honest_block_agrees_with_its_reference(workload: Workload, calls: list[int]) -> None:
    given = sequences(workload, 6)
    expected = recheck.reference(NumpyBackend, Options(), INITIAL, workload, given, calls)
    results = timing.block(NumpyBackend(Options()), INITIAL, workload, given).results
    verdict = recheck.parity.compare(expected, timing.outputs(workload, results, calls))
    assert verdict.agrees


@pytest.mark.parametrize("workload", CHECKED)
def test_another_calls_result_is_not_the_reference(workload: Workload) -> None:
    given = sequences(workload, 12)
    expected = recheck.reference(NumpyBackend, Options(), INITIAL, workload, given, [4, 5])
    results = timing.block(NumpyBackend(Options()), INITIAL, workload, given).results
    swapped = timing.outputs(workload, results, [6, 5])
    if workload == "generate" and np.array_equal(results[4], results[6]):
        pytest.skip("the two calls write the same digits")
    assert not recheck.parity.compare(expected, swapped).agrees


def test_calls_fill_a_block() -> None:
    backend = NumpyBackend(Options())
    given = sequences("stage", 5)
    assert timing.calls_for(backend, INITIAL, "stage", given, 100.0) == timing.MAXIMUM_CALLS
    assert timing.calls_for(backend, INITIAL, "train", sequences("train", 5), 1e-9) == 1

import time
from typing import Any

import numpy as np
import pytest
from lstmbench_numpy.backend import NumpyBackend

from lstmbench import ModelSpec, Options
from lstmbench.interface import parameters
from lstmbench.interface.workloads import WORKLOADS, Workload
from lstmbench.protocol.settings import Settings
from lstmbench.worker import probe, timing
from lstmbench.worker.timing import WARM_UP_CALLS

INITIAL = parameters.draw(0, ModelSpec(layers=2, hidden=6), "float32")
each_workload = pytest.mark.parametrize("workload", WORKLOADS.values(), ids=lambda w: w.name)


def sequences(workload: str, calls: int, round_: int = 0) -> np.ndarray:
    """Inputs of some calls, warm-up calls among them."""
    settings = Settings(batch=3, seq_len=5)
    return timing.inputs(WORKLOADS[workload], settings, 1, round_, calls - WARM_UP_CALLS)


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
    monkeypatch.setattr(timing, "tick", lambda: 1e-9)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: events.append("tick") or 0.0)
    timing.run(backend, WORKLOADS["forward"], sequences("forward", 3))
    staged = ["synchronize", "tick", *["stage", "stage"] * 3, "synchronize", "tick"]
    work = ["forward"] * 3 + ["fetch"] * 3 + ["synchronize"]
    rest = ["tick", "tick", "tick"]  # nothing is left to be fetched
    assert events == [*staged, "synchronize", "tick", *work, "tick", *rest]


def test_inputs_are_fresh_in_each_call_and_round_and_prefixes_agree() -> None:
    many, few = sequences("train", 9), sequences("train", 4)
    assert np.array_equal(many[:4], few)
    assert len({x.tobytes() for x in many}) == 9
    assert not np.array_equal(many, sequences("train", 9, round_=1))
    assert sequences("generate", 5).shape == (5, 1, 8)


@each_workload
def test_a_block_times_its_calls_and_keeps_warm_up_results(workload: Workload) -> None:
    backend = NumpyBackend(Options())
    timed = timing.block(backend, INITIAL, workload, sequences(workload.name, 6))
    assert len(timed.results) == 6
    assert len(timed.seconds) == (4 if workload.timed_apart else 1)
    assert all(seconds > 0 for seconds in timed.seconds)


def test_the_order_in_which_gradients_are_named_does_not_matter() -> None:
    class Reversed(NumpyBackend):
        def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
            loss, gradients = super().loss_and_gradients(inputs, targets)
            return loss, dict(reversed(gradients.items()))

    gradients, names = WORKLOADS["gradients"], tuple(INITIAL)
    for pick in range(20):
        assert gradients.fetched(names, pick) == gradients.fetched(names[::-1], pick)
    timed = timing.block(Reversed(Options()), INITIAL, gradients, sequences("gradients", 3))
    assert {"loss", *INITIAL} == set(timed.results[timed.whole])


def test_staging_is_timed_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(NumpyBackend):
        def stage(self, tokens: np.ndarray) -> Any:
            clock[0] += 2.0
            return super().stage(tokens)

        def forward(self, inputs: Any, state: Any = None) -> Any:
            clock[0] += 0.5
            return super().forward(inputs, state)

    clock = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])
    backend = Slow(Options())
    backend.load(INITIAL)
    timed = timing.run(backend, WORKLOADS["forward"], sequences("forward", 3))
    assert timed.stage_seconds == 3 * 2 * 2.0
    assert timed.seconds == [1.5]
    # A call takes half a second and staging its inputs four, of ten times the block's two.
    given = sequences("forward", 5)
    assert timing.calls_for(backend, INITIAL, WORKLOADS["forward"], given, 2.0) == 4
    monkeypatch.setattr(timing, "STAGING_SHARE", 2)
    assert timing.calls_for(backend, INITIAL, WORKLOADS["forward"], given, 2.0) == 1


def test_a_block_starts_from_loaded_parameters() -> None:
    backend = NumpyBackend(Options())
    first, second = (
        timing.block(backend, INITIAL, WORKLOADS["train"], sequences("train", 5)).results
        for _ in range(2)
    )
    assert first == second


def test_calls_fill_a_block() -> None:
    backend = NumpyBackend(Options())
    given = sequences("stage", 5)
    assert (
        timing.calls_for(backend, INITIAL, WORKLOADS["stage"], given, 100.0) == timing.MAXIMUM_CALLS
    )
    assert timing.calls_for(backend, INITIAL, WORKLOADS["train"], sequences("train", 5), 1e-9) == 1


@each_workload
def test_a_coarse_clock_is_no_crash_and_nothing_takes_no_time(
    workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = time.perf_counter
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock() // 0.016 * 0.016)
    timing.tick.cache_clear()
    backend = NumpyBackend(Options())
    backend.load(INITIAL)
    assert 0.015 < timing.tick() < 0.017
    timed = timing.run(backend, workload, sequences(workload.name, 3))
    assert min(timed.seconds) >= timing.tick()
    assert timing.calls_for(backend, INITIAL, workload, sequences(workload.name, 5), 0.05) >= 1
    assert probe.best_seconds(lambda: None) >= timing.tick()
    monkeypatch.undo()
    timing.tick.cache_clear()
    assert timing.tick() < 1e-4

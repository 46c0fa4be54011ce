from typing import Any

import numpy as np
import pytest
from lstmbench_numpy.backend import NumpyBackend

from lstmbench import Backend, ModelSpec, Options, parity
from lstmbench.interface import BatchShape, parameters
from lstmbench.interface.operations import Work
from lstmbench.interface.workloads import WORKLOADS, Arrays, Workload, stack
from lstmbench.parity.comparing import compare_arrays
from lstmbench.parity.oracle import Oracle
from lstmbench.protocol.settings import Settings
from lstmbench.worker import timing
from lstmbench.worker.verification import BlockOracle, part

INITIAL = parameters.draw(0, ModelSpec(layers=2, hidden=6), "float32")
SETTINGS = Settings(batch=3, seq_len=5)
CALLS = 12
VERIFIED = [workload for workload in WORKLOADS.values() if workload.hands_out]
each_workload = pytest.mark.parametrize("workload", VERIFIED, ids=lambda workload: workload.name)


def block(workload: Workload) -> tuple[np.ndarray, list[Arrays]]:
    """What goes into a block of the numpy backend, and what it hands out."""
    given = timing.inputs(workload, SETTINGS, 1, 0, CALLS - timing.WARM_UP_CALLS)
    return given, timing.block(NumpyBackend(Options()), INITIAL, workload, given).results


def compared(workload: Workload, expected_of: list[int], shown: list[int]) -> parity.Comparison:
    """What comes of expecting some calls of a block and being shown others."""
    given, results = block(workload)
    expected = BlockOracle(Oracle, Options(), INITIAL).expect(workload, given, expected_of)
    return compare_arrays(expected, stack([results[n] for n in shown]))


@each_workload
@pytest.mark.parametrize("calls", [[2, 4, 5], [3], [11]])
def test_an_honest_block_passes(workload: Workload, calls: list[int]) -> None:
    found = compared(workload, calls, calls)
    assert found.passed and found.array in workload.hands_out


@each_workload
def test_another_calls_result_does_not(workload: Workload) -> None:
    _, results = block(workload)
    if workload.greedy and np.array_equal(results[4]["digits"], results[6]["digits"]):
        pytest.skip("the two calls write the same digits")
    assert not compared(workload, [4, 5], [6, 5]).passed


def test_a_result_of_the_wrong_number_of_calls_does_not_pass() -> None:
    assert not compared(WORKLOADS["forward"], [4, 5], [4]).passed


def test_a_part_of_what_is_expected_is_that_of_the_calls_named() -> None:
    arrays = {"loss": np.array([1.0, 2.0, 3.0]), "digits": np.arange(12).reshape(3, 2, 2)}
    whole = parity.Expected(
        name="train",
        arrays=arrays,
        tolerances={"loss": 1.0, "digits": 1.0},
        margins={"digits": np.arange(12).reshape(3, 2, 2)},
    )
    some = part(whole, [2, 5, 9], [2, 9])
    assert some.arrays["loss"].tolist() == [1.0, 3.0]
    assert some.arrays["digits"].tolist() == [[[0, 1], [2, 3]], [[8, 9], [10, 11]]]
    assert some.margins["digits"].tolist() == some.arrays["digits"].tolist()
    assert some.tolerances == whole.tolerances


class LastLogits(Workload):
    """The logits of the last time step alone: a workload that is made up here."""

    name, key, capability = "last", 77, "forward"
    title, metric = "last logits", "seconds_per_last_logits"
    hands_out = ("last",)

    def call(self, backend: Backend, staged: Any) -> Any:
        return backend.forward(staged[0])[0]

    def fetch(self, backend: Backend, result: Any) -> Arrays:
        return {"last": backend.fetch(result)[:, -1]}

    def least_work(self, model: ModelSpec, shape: BatchShape, itemsize: int) -> Work:
        return Work(1.0, 1.0)


def test_a_made_up_workload_is_timed_and_verified_by_its_class_alone() -> None:
    workload = LastLogits()
    _, results = block(workload)
    assert results[0]["last"].shape == (3, 10)
    assert compared(workload, [3, 7], [3, 7]).passed
    assert not compared(workload, [3, 7], [3, 6]).passed

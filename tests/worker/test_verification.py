from typing import Any

import numpy as np
import pytest
from cheats import CHEATS, UNSEEN
from lstmbench_numpy.backend import NumpyBackend

from lstmbench import Backend, ModelSpec, Options, parity
from lstmbench.analysis.analyse import HOST_COPIES
from lstmbench.analysis.speed import Blocks
from lstmbench.execution.launch import Launch
from lstmbench.interface import Precision, parameters
from lstmbench.interface.operations import Work
from lstmbench.interface.workloads import WORKLOADS, Workload
from lstmbench.parity.comparing import compare_arrays
from lstmbench.parity.tolerances import loss_of_step
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import Block
from lstmbench.protocol.settings import Settings
from lstmbench.worker import timing
from lstmbench.worker.verification import BlockOracle, at_end, in_common, moves, outputs

MODEL = ModelSpec(layers=2, hidden=6)
INITIAL = parameters.draw(0, MODEL, "float32")
SETTINGS = Settings(batch=3, seq_len=5, clip=0.1)
OPTIONS = SETTINGS.options("cpu", 1)
CALLS = 60
LAUNCHES = 5
ORACLE = BlockOracle(OPTIONS)
VERIFIED = [workload for workload in WORKLOADS.values() if workload.verified]
each_workload = pytest.mark.parametrize("workload", VERIFIED, ids=lambda workload: workload.name)


class OneBlock:
    """A block of calls of one backend, timed, and what there is to know of it."""

    def __init__(self, workload: Workload, backend: Backend, calls: int, launch: int = 1) -> None:
        self.workload, self.calls = workload, calls
        self.inputs = timing.inputs(workload, SETTINGS, launch, 0, calls)
        self.initial = timing.parameters(workload, SETTINGS, launch, 0, INITIAL)
        self.timed = timing.block(backend, self.initial, workload, self.inputs)
        self.end = len(self.timed.results) if workload.carries_over else None
        self.moves = moves(backend.parameters(), self.initial, self.end) if self.end else {}

    def compared(self, expected_of: list[int], shown: list[int]) -> parity.Comparison:
        """What comes of expecting some calls and being shown others."""
        ends = [self.end] if self.end else []
        expected = ORACLE.expect(self.workload, self.initial, self.inputs, expected_of, ends)
        arrays = outputs(self.workload, self.timed.results, shown) | self.moves
        return compare_arrays(*in_common(expected, arrays))

    def checked(self, random: np.random.Generator) -> parity.Comparison:
        """What comes of it in a launch."""
        drawn = Launch.drawn(random, self.workload.name, self.calls)
        calls = drawn if self.end else sorted({*drawn, self.timed.whole})
        return self.compared(calls, calls)


@each_workload
@pytest.mark.parametrize("calls", [[0, 1, 2, 3, 4, 5], [0], [11, 13]])
def test_an_honest_block_passes(workload: Workload, calls: list[int]) -> None:
    if workload.carries_over:
        calls = list(range(max(calls) + 1))
    block = OneBlock(workload, NumpyBackend(OPTIONS), 12)
    found = block.compared(calls, calls)
    assert found.passed and found.array
    assert found.error is not None and found.error < 0.5


@pytest.mark.parametrize("name", ["forward", "gradients", "generate"])
def test_another_calls_result_does_not(name: str) -> None:
    block = OneBlock(WORKLOADS[name], NumpyBackend(OPTIONS), 12)
    block.timed.results[4], block.timed.results[7] = block.timed.results[7], block.timed.results[4]
    block.timed.results[4] = {n: a for n, a in block.timed.results[4].items() if n != "loss"}
    assert not block.compared([4, 5, 7], [4, 5, 7]).passed


def test_moved_parameters_are_compared_at_the_end_of_a_block_of_steps() -> None:
    block = OneBlock(WORKLOADS["train"], NumpyBackend(OPTIONS), 12)
    assert block.compared([0, 1], [0, 1]).passed
    name = at_end("lstm.1.bias", 14)
    block.moves[name] = block.moves[name] * np.float32(1.01)
    found = block.compared([0, 1], [0, 1])
    assert not found.passed and found.array == name


def test_parameters_are_not_expected_where_the_oracle_would_take_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lstmbench.worker.verification.STEPS_SECONDS", 0.0)
    block = OneBlock(WORKLOADS["train"], NumpyBackend(OPTIONS), 12)
    expected = ORACLE.expect(block.workload, block.initial, block.inputs, [0, 1, 2], [14])
    assert set(expected.arrays) == {loss_of_step(1), loss_of_step(2), loss_of_step(3)}
    assert block.compared([0, 1, 2], [0, 1, 2]).passed


def test_any_call_of_a_block_may_be_drawn() -> None:
    random = np.random.default_rng(0)
    for name in ("forward", "gradients", "generate"):
        drawn = {n for _ in range(300) for n in Launch.drawn(random, name, CALLS)}
        assert drawn == set(range(2, CALLS + 2))
    lasts = [Launch.drawn(random, "train", CALLS)[-1] for _ in range(2000)]
    assert {*lasts} == set(range(2, CALLS + 2))
    assert 0.2 < np.mean(np.array(lasts) > 20) < 0.35, "log-uniform: log(61 / 20) / log(61)"


def test_one_gradient_is_fetched_inside_the_clock_and_all_of_one_call_afterwards() -> None:
    block = OneBlock(WORKLOADS["gradients"], NumpyBackend(OPTIONS), CALLS)
    sizes = [len(result) for result in block.timed.results[2:]]
    assert sorted(sizes) == [2] * (CALLS - 1) + [1 + len(MODEL.shapes)]
    assert len(block.timed.results[block.timed.whole]) == 1 + len(MODEL.shapes)
    names = {name for result in block.timed.results for name in result} - {"loss"}
    assert names == set(MODEL.shapes)


def findings(
    make: type[Backend], *names: str, launches: int = LAUNCHES, calls: int = CALLS
) -> set[str]:
    """Where a backend is noticed in some launches, on the workloads named or on all."""
    found, backend, random = set(), make(OPTIONS), np.random.default_rng(0)
    for workload in VERIFIED:
        if names and workload.name not in names:
            continue
        blocks = []
        for launch in range(1, launches + 1):
            one = OneBlock(workload, backend, calls, launch)
            if not one.checked(random).passed:
                found.add(workload.name)
                break
            blocks.append(as_record(one, launch))
        times = Blocks.of(blocks) if blocks else None
        if times and times.late(workload.units_per_call, HOST_COPIES):
            found.add("late")
        staging = times.staging_time() if times else None
        if staging and staging.value > np.median(times.calls[1]) * workload.units_per_call:
            found.add("stage")
    return found


def as_record(one: OneBlock, launch: int) -> Block:
    timed = one.timed
    return Block(
        contender=Contender(backend="cheat"),
        launch=launch,
        round=0,
        position=0,
        workload=one.workload.name,
        calls=one.calls,
        seconds=timed.seconds,
        units_per_call=one.workload.units_per_call,
        stage_seconds=timed.stage_seconds,
        rest_seconds=timed.rest_seconds,
        copy_seconds=timed.copy_seconds,
    )


@pytest.fixture(autouse=True)
def without_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "SETTLE_SECONDS", 0)


TIMED = [
    (place, cheat) for place in WORKLOADS for cheat in CHEATS.get(place, []) if place != "stage"
]


@pytest.mark.parametrize(("place", "cheat"), TIMED, ids=[cheat.__name__ for _, cheat in TIMED])
def test_a_cheat_against_the_clock_is_noticed(place: str, cheat: type[Backend]) -> None:
    assert place in findings(cheat, place)


@pytest.mark.parametrize("cheat", CHEATS["late"], ids=lambda cheat: cheat.__name__)
def test_results_that_are_computed_after_the_clock_are_noticed(cheat: type[Backend]) -> None:
    assert "late" in findings(cheat, "gradients", launches=1, calls=2)


@pytest.mark.parametrize("cheat", CHEATS["stage"], ids=lambda cheat: cheat.__name__)
def test_work_in_stage_is_shown(cheat: type[Backend]) -> None:
    assert "stage" in findings(cheat, launches=1, calls=3)


def test_what_cannot_be_noticed_is_as_the_documentation_says() -> None:
    for cheat in UNSEEN:
        assert not findings(cheat, "train"), cheat.__name__


def test_an_honest_backend_is_not_suspected() -> None:
    assert not findings(NumpyBackend)


class LastLogits(Workload):
    """The logits of the last time step alone: a workload that is made up here."""

    name, key, capability = "last", 77, "forward"
    title, metric = "last logits", "seconds_per_last_logits"

    def call(self, backend: Backend, staged: Any) -> dict[str, Any]:
        return {"last": backend.fetch(backend.forward(staged[0])[0])[:, -1]}

    def least_work(self, model: ModelSpec, shape: Any, precision: Precision) -> Work:
        return Work(1.0, 1.0)


def test_a_made_up_workload_is_timed_and_verified_by_its_class_alone() -> None:
    block = OneBlock(LastLogits(), NumpyBackend(OPTIONS), 8)
    assert block.timed.results[0]["last"].shape == (3, 10)
    assert block.compared([3, 7], [3, 7]).passed
    block.timed.results[3] = block.timed.results[6]
    assert not block.compared([3, 7], [3, 7]).passed


def test_options_of_the_oracle_are_those_of_the_contenders() -> None:
    assert BlockOracle(Options(dtype="float64")).precision == Precision("float64")

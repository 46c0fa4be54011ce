from collections import Counter

from lstmbench.execution.launch import SLOWDOWN_EVERY, Launch, in_turn, measure_peaks
from lstmbench.execution.workers import WorkerFactory, WorkerFailed
from lstmbench.interface.workloads import WORKLOADS
from lstmbench.plugins.registry import discover
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import Block, BlockCheck, Disturbance, Record
from lstmbench.protocol.settings import Settings, from_mapping

A, B, C = (Contender(backend=name) for name in "abc")


def test_rounds_go_forth_and_back() -> None:
    assert [in_turn([A, B], 0, n) for n in range(4)] == [[A, B], [B, A], [A, B], [B, A]]


def test_every_contender_takes_every_place_equally_often() -> None:
    places: Counter[tuple[Contender, int]] = Counter()
    for launch in range(3):
        for round_ in range(2):
            places.update((one, n) for n, one in enumerate(in_turn([A, B, C], launch, round_)))
    assert set(places.values()) == {2}


def settings(**values: float) -> Settings:
    small = {"backend": "numpy", "hidden": 16, "batch": 8, "threads": 1, "rounds": 2}
    return from_mapping({**small, "block_seconds": 0.01, **values}, "test")


def fail(contender: Contender, error: WorkerFailed) -> None:
    raise error


def test_an_injected_slowdown_is_five_percent_more_uncounted_work() -> None:
    contenders = [
        Contender(backend="numpy", replica=1),
        Contender(backend="numpy", injected_slowdown=True),
    ]
    records: list[Record] = []
    with WorkerFactory(discover()) as factory:
        launch = Launch(factory, settings(), 1, records.append, fail, workloads=["train"])
        launch.run(contenders)
    blocks = [r for r in records if isinstance(r, Block)]
    assert len(blocks) == 2 * 2
    assert len({block.calls for block in blocks}) == 1
    for block in blocks:
        assert block.calls % SLOWDOWN_EVERY == 0
        assert block.extra_calls == (block.calls / 20 if block.contender.injected_slowdown else 0)


def test_results_of_timed_blocks_are_compared_with_the_oracle() -> None:
    records: list[Record] = []
    with (
        WorkerFactory(discover()) as factory,
        factory.open_oracle(settings()) as oracle,
    ):
        launch = Launch(factory, settings(), 1, records.append, fail)
        launch.run([Contender(backend="numpy")], oracle)
    checks = [r for r in records if isinstance(r, BlockCheck)]
    assert [c.workload for c in checks] == [w.name for w in WORKLOADS.values() if w.verified]
    assert {c.result.outcome for c in checks} == {"passed"}
    (disturbance,) = (r for r in records if isinstance(r, Disturbance))
    assert disturbance.other_share is not None
    assert 0 <= disturbance.other_share <= 1.1


def test_the_machines_peaks_are_measured_in_a_worker() -> None:
    with WorkerFactory(discover()) as factory:
        machine = measure_peaks(factory, settings(), 3)
    assert machine.launch == 3
    assert 1e8 < machine.matrix_flops_per_second < 1e15
    assert 1e8 < machine.memory_bytes_per_second < 1e13

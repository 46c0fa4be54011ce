from collections import Counter

import numpy as np
import pytest

from lstmbench import parity
from lstmbench.execution import launch as pairing
from lstmbench.execution.launch import SLOWED_EVERY, Launch, in_turn
from lstmbench.execution.workers import Bench, WorkerFailed
from lstmbench.plugins.registry import discover
from lstmbench.protocol.messages import Block, Checked, Disturbance, Record, Row
from lstmbench.protocol.settings import Settings, from_mapping

A, B, C = (Row(backend=name, device="cpu") for name in "abc")


def test_rounds_go_forth_and_back() -> None:
    assert [in_turn([A, B], 0, n) for n in range(4)] == [[A, B], [B, A], [A, B], [B, A]]


def test_every_row_takes_every_place_equally_often() -> None:
    places: Counter[tuple[Row, int]] = Counter()
    for launch in range(3):
        for round_ in range(2):
            places.update((row, n) for n, row in enumerate(in_turn([A, B, C], launch, round_)))
    assert set(places.values()) == {2}


def settings(**values: float) -> Settings:
    small = {"backend": "numpy", "hidden": 16, "batch": 8, "threads": 1, "rounds": 2}
    return from_mapping({**small, "block_seconds": 0.01, **values}, "test")


def fail(row: Row, error: WorkerFailed) -> None:
    raise error


def test_a_slowed_row_does_five_percent_more_uncounted_work() -> None:
    rows = [
        Row(backend="numpy", device="cpu", copy=1),
        Row(backend="numpy", device="cpu", slowed=True),
    ]
    records: list[Record] = []
    with Bench(settings(), discover()) as bench:
        Launch(bench, 1, records.append, fail, workloads=["train"]).run(rows)
    blocks = [r for r in records if isinstance(r, Block)]
    assert len(blocks) == 2 * 2
    assert len({block.calls for block in blocks}) == 1
    for block in blocks:
        assert block.calls % SLOWED_EVERY == 0
        assert block.uncounted == (block.calls / 20 if block.row.slowed else 0)


def test_results_of_timed_blocks_are_held_against_the_oracle() -> None:
    row = Row(backend="numpy", device="cpu")
    records: list[Record] = []
    with Bench(settings(), discover()) as bench, pairing.ladder.open_oracle(bench) as oracle:
        Launch(bench, 1, records.append, fail).run([row], oracle)
    checks = [r for r in records if isinstance(r, Checked)]
    assert {c.workload for c in checks} == set(pairing.CHECKED)
    assert {c.verdict for c in checks} == {"agrees"}
    (disturbance,) = (r for r in records if isinstance(r, Disturbance))
    assert disturbance.other_share is not None
    assert 0 <= disturbance.other_share <= 1.1


def test_the_part_of_a_reference_is_that_of_the_calls_named() -> None:
    arrays = {"loss": np.array([1.0, 2.0, 3.0]), "digits": np.arange(12).reshape(6, 2)}
    whole = parity.Reference("train", arrays, {"loss": 1.0, "digits": 1.0})
    part = pairing._part(whole, [2, 5, 9], [2, 9])
    assert part.arrays["loss"].tolist() == [1.0, 3.0]
    assert part.arrays["digits"].tolist() == [[0, 1], [2, 3], [8, 9], [10, 11]]


def test_the_machines_limits_are_measured_in_a_worker() -> None:
    with Bench(settings(), discover()) as bench:
        machine = pairing.probe(bench, 3)
    assert machine.launch == 3
    assert machine.matrix_flops_per_second > 1e8
    assert machine.memory_bytes_per_second == pytest.approx(
        machine.memory_bytes_per_second, abs=1e13
    )
    assert machine.memory_bytes_per_second > 1e8

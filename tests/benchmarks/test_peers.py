"""The comparison with other libraries' LSTMs; each peer as far as its library is installed."""

from io import StringIO
from typing import Any

import peers
import pytest
from lstmbench_peers import PEERS
from rich.console import Console

from lstmbench.experiment import check
from lstmbench.host.environment import Environment
from lstmbench.interface.workloads import WORKLOADS
from lstmbench.parity import Comparison
from lstmbench.parity.values import Outcome
from lstmbench.plugins import registry as plugins
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import Block, Finished, MachinePeaks, RungResult
from lstmbench.protocol.settings import from_mapping
from lstmbench.records.folder import Header


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.info.name)
def test_a_peer_passes_but_for_its_known_failures(peer: Any) -> None:
    if absent := plugins.missing(peer.info):
        pytest.skip(f"not installed: {', '.join(absent)}")
    if "cpu" not in peer.info.devices:
        pytest.skip("made for a GPU")
    registry = peers.with_peers(plugins.discover())
    header = check.plan(registry, peer.info.name, threads=1)
    found = peers.Result("as given", header, peers.climb(header, registry))
    (one,) = found.contenders.values()
    assert one.verdict.passed, list(peers.problems(found))
    claimed = {rung.rung for rung in one.rungs if rung.result.outcome == "passed"}
    assert {"parameters", "forward", "again"} <= claimed


def contender(name: str) -> Contender:
    return Contender(backend=name)


def rung(name: str, rung: str, outcome: Outcome) -> RungResult:
    result = Comparison(outcome=outcome, error=3.0, array="w")
    return RungResult(contender=contender(name), case="odd", rung=rung, result=result)


def result(seconds: dict[str, float]) -> peers.Result:
    """Two launches of two rounds, in which a step of each contender took so many seconds."""
    chosen = {"backend": list(seconds), "baseline": next(iter(seconds))}
    header = Header(
        lstmbench="",
        created="",
        settings=from_mapping(chosen, "test"),
        contenders=[contender(name) for name in seconds],
        skipped={},
        environment=Environment(),
    )
    found = peers.Result("as given", header)
    found.records.append(
        MachinePeaks(launch=1, matrix_flops_per_second=1e15, memory_bytes_per_second=1e15)
    )
    for name, time in seconds.items():
        found.records.append(rung(name, "forward", "passed"))
        for k in range(4):
            block = Block(
                contender=contender(name),
                launch=1 + k // 2,
                round=k % 2,
                position=0,
                workload="train",
                calls=10,
                seconds=[10 * time],
            )
            found.records.append(block)
    found.records += [Finished(phase="timing", launch=launch, seconds=1.0) for launch in (1, 2)]
    return found


def printed(found: peers.Result) -> list[list[str]]:
    """The cells of the table of training steps, row by row."""
    console = Console(width=200, record=True, file=StringIO())
    console.print(peers.table([found], WORKLOADS["train"]))
    lines = console.export_text().splitlines()
    return [[c.strip() for c in n.split("│")[1:-1]] for n in lines if n.startswith("│")]


def test_the_table_compares_each_contender_with_each_peer() -> None:
    rows = printed(
        result({"numba": 0.002, "numpy": 0.03, "flax-plain": 0.004, "torch-plain": 0.008})
    )
    assert [r[1] for r in rows] == ["numba", "flax-plain", "torch-plain", "numpy"]
    ratios = {r[1]: [cell.split(" [")[0] for cell in r[4:]] for r in rows}
    assert ratios["numba"] == ["2", "4"]
    assert ratios["flax-plain"] == ["1", "2"]
    assert rows[3][4].endswith("!") and rows[3][4].startswith("0.133")
    assert rows[0][2].startswith("2 [2, 2]")


def test_a_known_failure_of_a_peer_is_excused_and_told() -> None:
    found = result({"numba": 0.002, "keras-plain": 0.004})
    found.records.append(rung("keras-plain", "steps", "failed"))
    assert "keras-plain" in peers.timed(found, "train")
    assert contender("keras-plain") in found.to_time()
    (problem,) = peers.problems(found)
    assert problem.startswith("keras-plain differs at odd/steps: Keras's Adam adds epsilon before")


@pytest.mark.parametrize(
    ("name", "part"), [("keras-plain", "forward"), ("flax-plain", "gradients"), ("numba", "steps")]
)
def test_any_other_difference_takes_a_contender_out(name: str, part: str) -> None:
    found = result({"torch": 0.002, "numba": 0.002, "keras-plain": 0.004, "flax-plain": 0.004})
    found.records.append(rung(name, part, "failed"))
    assert name not in peers.timed(found, "train")
    assert contender(name) not in found.to_time()
    assert any(f"{name}: differs" in one and f"odd/{part}" in one for one in peers.problems(found))


def test_one_that_beats_the_limit_goes_on_while_the_limit_is_measured() -> None:
    found = result({"torch": 0.002, "numba": 0.002})
    found.records.append(
        MachinePeaks(launch=1, matrix_flops_per_second=1.0, memory_bytes_per_second=1.0)
    )
    found.records = [r for r in found.records if r != found.records[0]]
    assert found.to_time() == found.header.contenders
    assert not peers.timed(found, "train")


def test_a_sweep_changes_what_was_given() -> None:
    given = {"batch": 8, "hidden": 16}
    shapes = peers.shapes_of(given, sweep=True)
    assert shapes["as given"] == given
    assert shapes["seq-len 100"] == {**given, "seq_len": 100}
    assert shapes["batch 1, hidden 1024"] == {"batch": 1, "hidden": 1024}
    assert list(peers.shapes_of(given, sweep=False)) == ["as given"]

"""The comparison with other libraries' LSTMs; each peer as far as its library is installed."""

from io import StringIO
from typing import Any

import peers
import pytest
from lstmbench_peers import PEERS
from rich.console import Console

from lstmbench.experiment import conformance
from lstmbench.plugins import registry as plugins
from lstmbench.protocol import settings
from lstmbench.protocol.messages import Block, Machine, Row, Rung, Workload
from lstmbench.records import folder as store


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.info.name)
def test_a_peer_climbs_the_ladder_but_for_its_own_optimiser(peer: Any) -> None:
    if absent := plugins.missing(peer.info):
        pytest.skip(f"not installed: {', '.join(absent)}")
    registry = peers.with_peers(plugins.discover())
    found = peers.Result("as given", conformance.plan(registry, peer.info.name, threads=1))
    peers.climb(found, registry)
    (line,) = found.lines.values()
    assert line.sound, list(peers.problems(found))
    claimed = {rung.rung for rung in line.rungs if rung.verdict == "agrees"}
    assert {"parameters", "forward", "again"} <= claimed


def row(name: str) -> Row:
    return Row(backend=name, device="cpu")


def rung(name: str, rung: str, verdict: Any) -> Rung:
    return Rung(row=row(name), fixture="odd", rung=rung, verdict=verdict, error=3.0)


def result(seconds: dict[str, float]) -> peers.Result:
    """Two launches of two rounds, in which a step of each row took so many seconds."""
    chosen = {"backend": list(seconds), "baseline": next(iter(seconds))}
    header = store.Header(
        schema=1,
        lstmbench="",
        created="",
        settings=settings.from_mapping(chosen, "test"),
        rows=[row(name) for name in seconds],
        skipped={},
        environment={},
    )
    found = peers.Result("as given", header)
    found.add(Machine(launch=1, matrix_flops_per_second=1e15, memory_bytes_per_second=1e15))
    train: Workload = "train"
    for name, time in seconds.items():
        found.add(rung(name, "forward", "agrees"))
        for k in range(4):
            place = {"launch": 1 + k // 2, "round": k % 2, "position": 0}
            found.add(Block(row=row(name), **place, workload=train, calls=10, seconds=[10 * time]))
    return found


def printed(found: peers.Result) -> list[list[str]]:
    """The cells of the table of training steps, row by row."""
    console = Console(width=200, record=True, file=StringIO())
    console.print(peers.table([found], "train"))
    lines = console.export_text().splitlines()
    return [[c.strip() for c in n.split("│")[1:-1]] for n in lines if n.startswith("│")]


def test_the_table_holds_each_row_against_each_peer() -> None:
    rows = printed(
        result({"numba": 0.002, "numpy": 0.03, "flax-plain": 0.004, "torch-plain": 0.008})
    )
    assert [r[1] for r in rows] == ["numba", "flax-plain", "torch-plain", "numpy"]
    ratios = {r[1]: [cell.split(" [")[0] for cell in r[4:]] for r in rows}
    assert ratios["numba"] == ["2", "4"]
    assert ratios["flax-plain"] == ["1", "2"]
    assert rows[3][4].endswith("!") and rows[3][4].startswith("0.133")
    assert rows[0][2].startswith("2 [2, 2]")


def test_what_is_a_library_s_own_is_excused_and_told() -> None:
    found = result({"numba": 0.002, "keras-plain": 0.004})
    found.add(rung("keras-plain", "steps", "differs"))
    assert "keras-plain" in peers.timed(found, "train")
    assert list(peers.problems(found)) == [
        "keras-plain differs on odd, steps (3 times the band): "
        "its library's own optimiser, see its note"
    ]


@pytest.mark.parametrize(
    ("name", "part"), [("keras-plain", "forward"), ("flax-plain", "gradients"), ("numba", "steps")]
)
def test_any_other_difference_takes_a_row_out(name: str, part: str) -> None:
    found = result({"torch": 0.002, "numba": 0.002, "keras-plain": 0.004, "flax-plain": 0.004})
    found.add(rung(name, part, "differs"))
    assert name not in peers.timed(found, "train")
    assert any(f"{name} differs on odd, {part}" in problem for problem in peers.problems(found))


def test_a_sweep_changes_what_was_given() -> None:
    given = {"batch": 8, "hidden": 16}
    shapes = peers.shapes_of(given, sweep=True)
    assert shapes["as given"] == given
    assert shapes["seq-len 100"] == {**given, "seq_len": 100}
    assert shapes["batch 1, hidden 1024"] == {"batch": 1, "hidden": 1024}
    assert list(peers.shapes_of(given, sweep=False)) == ["as given"]

"""Who is fastest where: crossovers are told only where both sides are beyond doubt."""

import math
from statistics import median

import pytest
from made_up_run import ENVIRONMENT
from made_up_sweep import sweep_of
from msgspec.structs import replace
from scipy import stats

from lstmbench.analysis.recommend import recommend, wanted
from lstmbench.analysis.sweep import CellResult, SweepResult
from lstmbench.interface.errors import UsageError
from lstmbench.protocol.sweep import plan

BATCHES = plan({"batch": 8}, {"batch": [1, 8, 64, 512]})
NOISE = 0.3
"""So large a spread that no difference of 5 % can be seen."""


def crossovers(sweep: SweepResult) -> list[tuple[object, ...]]:
    return [
        (one.faster_first, one.slower_first, one.low, one.high)
        for one in sweep.crossovers
        if one.workload == "train"
    ]


def test_a_crossover_lies_between_the_two_measured_values() -> None:
    times = {
        "batch=1": {"torch": 1.0, "numba": 2.0},
        "base": {"torch": 1.0, "numba": 1.5},
        "batch=64": {"torch": 1.0, "numba": 0.5},
        "batch=512": {"torch": 1.0, "numba": 0.4},
    }
    found = sweep_of(BATCHES, times)
    assert crossovers(found) == [("torch", "numba", 8, 64)]
    (one,) = found.crossovers
    assert one.at_low.low > 1 and one.at_high.high < 1
    assert one.at_low.value == pytest.approx(1.5, rel=0.05)
    assert one.at_high.value == pytest.approx(0.5, rel=0.05)
    assert not found.undecided


def test_cells_that_cannot_tell_widen_the_range_and_make_no_crossover() -> None:
    times = {
        "batch=1": {"torch": 1.0, "numba": 2.0},
        "base": {"torch": 1.0, "numba": 1.0},
        "batch=64": {"torch": 1.0, "numba": 1.0},
        "batch=512": {"torch": 1.0, "numba": 0.4},
    }
    assert crossovers(sweep_of(BATCHES, times)) == [("torch", "numba", 1, 512)]


def test_values_on_two_sides_of_one_make_no_crossover_while_intervals_include_it() -> None:
    times = {
        cell.name: {"torch": 1.0, "numba": 0.97 if number % 2 else 1.03}
        for number, cell in enumerate(BATCHES.cells)
    }
    found = sweep_of(BATCHES, times, spread=NOISE)
    assert crossovers(found) == []
    (one,) = found.undecided
    assert (one.contender, one.baseline, one.line.ends) == ("numba", "torch", (1, 512))


def test_there_and_back_are_two_crossovers() -> None:
    times = {
        "batch=1": {"torch": 1.0, "numba": 2.0},
        "base": {"torch": 1.0, "numba": 0.5},
        "batch=64": {"torch": 1.0, "numba": 2.0},
    }
    found = sweep_of(BATCHES, times)
    assert crossovers(found) == [("torch", "numba", 1, 8), ("numba", "torch", 8, 64)]


def test_lines_of_a_grid_are_looked_at_one_by_one() -> None:
    grid = plan({}, {"batch": [1, 8], "hidden": [32, 64]}, "grid")
    times = {cell.name: {"torch": 1.0, "numba": 2.0} for cell in grid.cells}
    times["batch=8,hidden=64"] = {"torch": 1.0, "numba": 0.5}
    found = sweep_of(grid, times)
    places = {(one.line.axis, one.line.place) for one in found.crossovers}
    assert places == {("batch", "hidden=64"), ("hidden", "batch=8")}


def test_two_machines_are_never_joined() -> None:
    other = replace(ENVIRONMENT, cpu="another")
    times = {
        "batch=1": {"torch": 1.0, "numba": 2.0},
        "base": {"torch": 1.0, "numba": 2.0},
        "batch=64": {"torch": 1.0, "numba": 0.5},
    }
    found = sweep_of(BATCHES, times, {"batch=64": other})
    assert crossovers(found) == [] and len(found.machines) == 2
    assert [one.alone for one in found.cells] == [False, False, True]
    versions = {**ENVIRONMENT.versions, "numpy": "3"}
    newer = replace(ENVIRONMENT, versions=versions)
    assert len(sweep_of(BATCHES, times, {"batch=64": newer}).machines) == 2


def test_threads_that_are_an_axis_make_no_other_machine() -> None:
    threads = plan({}, {"threads": [1, 2]})
    times = {cell.name: {"torch": 1.0} for cell in threads.cells}
    assert len(sweep_of(threads, times).machines) == 1


def cell(sweep: SweepResult, name: str) -> CellResult:
    return next(one for one in sweep.cells if one.cell.name == name)


def test_the_fastest_is_so_only_where_it_beats_each_other_beyond_doubt() -> None:
    times = {
        "base": {"torch": 1.0, "numba": 0.5, "jax": 0.5},
        "batch=1": {"torch": 1.0, "numba": 0.5, "jax": 0.8},
    }
    found = sweep_of(BATCHES, times)
    clear = cell(found, "batch=1").fastest()
    assert clear and clear.clear and clear.label == "numba"
    assert clear.lead and clear.lead.value == pytest.approx(1.6, rel=0.05)
    open_ = cell(found, "base").fastest()
    assert open_ and not open_.clear and {open_.label, *open_.not_slower} == {"numba", "jax"}


def test_a_lead_is_students_over_launches_of_paired_ratios() -> None:
    found = cell(sweep_of(BATCHES, {"base": {"torch": 1.0, "numba": 0.7}}), "base")
    lead = found.fastest()
    assert lead and lead.lead
    mine, theirs = (found.run[name].blocks["train"].seconds for name in ("numba", "torch"))
    launches = sorted({launch for launch, _ in mine})
    logs = [
        math.log(median(theirs[p] / mine[p] for p in mine if p[0] == launch)) for launch in launches
    ]
    low, high = stats.t.interval(0.95, len(logs) - 1, sum(logs) / len(logs), stats.sem(logs))
    assert lead.lead.low == pytest.approx(math.exp(low))
    assert lead.lead.high == pytest.approx(math.exp(high))


SHAPES = plan({"batch": 16, "hidden": 128}, {"batch": [16, 64], "hidden": [128, 512]}, "grid")
TIMES = {
    "base": {"torch": 1.0, "numba": 0.5},
    "batch=64": {"torch": 1.0, "numba": 0.5},
    "hidden=512": {"torch": 1.0, "numba": 2.0},
    "batch=64,hidden=512": {"torch": 1.0, "numba": 1.0},
}


@pytest.mark.parametrize(
    ("shape", "contenders", "cells"),
    [
        ({"batch": 20, "hidden": 192}, ["numba"], ["base"]),
        ({"batch": 16, "hidden": 400}, ["torch"], ["hidden=512"]),
        ({"batch": 64, "hidden": 500}, ["numba", "torch"], ["batch=64,hidden=512"]),
        ({"batch": 32, "hidden": 128}, ["numba"], ["base", "batch=64"]),
        ({"batch": 8, "hidden": 128}, ["numba"], ["base"]),
    ],
)
def test_a_recommendation_is_that_of_the_nearest_cells(
    shape: dict[str, int], contenders: list[str], cells: list[str]
) -> None:
    sweep = sweep_of(SHAPES, TIMES)
    found = recommend(sweep, wanted(SHAPES, shape))
    assert sorted(found.contenders) == contenders and not found.reason
    assert [near.cell.cell.name for near in found.evidence] == cells


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ({"batch": 7}, "2.286 times off"),
        ({"hidden": 1025}, "2.002 times off"),
        ({"seq_len": 21}, "2.1 times off"),
        ({"dtype": "float64"}, "no cell of this kind"),
        ({"batch": 16, "hidden": 256}, "disagree"),
    ],
)
def test_what_cannot_be_known_is_said(shape: dict[str, object], words: str) -> None:
    found = recommend(sweep_of(SHAPES, TIMES), wanted(SHAPES, shape))
    assert found.contenders == [] and words in found.reason


def test_a_shape_has_known_settings_within_their_bounds() -> None:
    for shape, words in (({"bach": 1}, "did you mean 'batch'"), ({"batch": 0}, "batch = 0")):
        with pytest.raises(UsageError, match=words):
            wanted(SHAPES, shape)

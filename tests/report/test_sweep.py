"""The answer of a sweep in words, as a table and as a page."""

import csv
import io

import pytest
from made_up_run import ENVIRONMENT
from made_up_sweep import sweep_of
from msgspec.structs import replace
from rich.cells import cell_len
from rich.console import Console

from lstmbench.analysis.recommend import recommend, wanted
from lstmbench.protocol.sweep import plan
from lstmbench.report import markdown, terminal
from lstmbench.report import sweep as words
from lstmbench.report.charts import sweep as charts
from lstmbench.report.charts.chart import Cast
from lstmbench.report.html import of_sweep

PLAN = plan({"batch": 8}, {"batch": [1, 8, 64], "dtype": ["float32", "float64"]})
TIMES = {
    "base": {"torch": 0.010, "numba": 0.008},
    "batch=1": {"torch": 0.001, "numba": 0.002},
    "batch=64": {"torch": 0.080, "numba": 0.040},
}
SWEEP = sweep_of(PLAN, TIMES)


def test_a_cell_has_time_speed_and_who_is_best() -> None:
    told = words.document(SWEEP)
    (table,) = told.tables
    assert table.columns == ["cell", "torch", "numba"]
    rows = {row[0].text: row[1:] for row in table.rows}
    torch, numba = rows["batch=64"]
    ratio = next(c for c in SWEEP.cells if c.cell.name == "batch=64").run["numba"]
    assert numba.text.endswith(f"ms, {words.times(ratio.speed_ratio['train'])}") and numba.best
    assert torch.text.endswith("ms, 1×") and not torch.best
    assert rows["batch=1"][0].best


def test_crossovers_are_told_with_the_evidence_on_both_sides() -> None:
    (line,) = words.document(SWEEP).crossovers
    assert line.startswith("training step, batch 1 to 8: torch is faster below, numba above")
    assert "at 1," in line and "at 8)" in line


def test_what_was_not_run_is_named_and_machines_are_told_apart() -> None:
    other = replace(ENVIRONMENT, cpu="another")
    told = words.document(sweep_of(PLAN, TIMES, {"batch=64": other}))
    text = " ".join(told.warnings)
    assert "not run: dtype=float64" in text and "cells of 2 machines" in text
    assert "machine 2: cpu another" in text
    assert told.tables[0].rows[-1][0].text == "batch=64 (machine 2, alone)"


def test_without_any_cell_there_is_an_answer_too() -> None:
    told = words.document(sweep_of(PLAN, {}))
    assert told.findings == ["No cell has been run."] and not told.tables
    assert "No cell has been run." in markdown.render_sweep(told)
    assert "No cell has been run." in of_sweep.page(sweep_of(PLAN, {}))


def test_the_table_for_programs_has_a_row_for_each_cell_and_contender() -> None:
    rows = list(csv.DictReader(io.StringIO(words.table(SWEEP))))
    assert [(row["cell"], row["contender"], row["batch"], row["fastest"]) for row in rows] == [
        ("base", "numba", "8", "yes"),
        ("base", "torch", "8", "no"),
        ("batch=1", "torch", "1", "yes"),
        ("batch=1", "numba", "1", "no"),
        ("batch=64", "numba", "64", "yes"),
        ("batch=64", "torch", "64", "no"),
    ]
    one = SWEEP.cells[0].run["numba"]
    assert float(rows[0]["seconds_per_step"]) == one.seconds["train"].value
    assert float(rows[0]["train_speed_over_baseline"]) == one.speed_ratio["train"].value


def test_start_up_of_a_cell_is_not_told_as_that_of_a_run() -> None:
    rows = list(csv.DictReader(io.StringIO(words.table(SWEEP))))
    assert all(row["compile_seconds"] == "" for row in rows)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_it_fits_the_terminal_and_markdown_has_the_best_in_bold(width: int) -> None:
    out = Console(width=width, file=io.StringIO(), record=True, color_system=None)
    terminal.show_sweep(words.document(SWEEP), out)
    text = out.export_text()
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert " *" in text
    assert "**" in markdown.render_sweep(words.document(SWEEP))


def test_charts_show_the_cells_and_their_bands() -> None:
    cast = Cast(SWEEP.contenders)
    (section,) = charts.sections(SWEEP, cast)
    times, speeds = section.charts
    assert section.title == "Along batch" and "log axes" in times.title
    (values,) = (v for v in times.picture["datasets"].values() if len(v) == 6)
    for one in values:
        cell = next(c for c in SWEEP.cells if c.value("batch") == one["place"])
        expected = [1e3 * v for v in cell.run[one["contender"]].seconds["train"]]
        assert [one[k] for k in ("value", "low", "high")] == pytest.approx(expected)
    assert len(speeds.numbers.rows) == 3, "the baseline has no ratio"


def test_a_grid_has_a_map_of_who_is_fastest() -> None:
    grid = plan({}, {"batch": [1, 8], "hidden": [32, 64]}, "grid")
    times = {cell.name: {"torch": 1.0, "numba": 2.0} for cell in grid.cells}
    times["batch=8,hidden=64"] = {"torch": 1.0, "numba": 1.0}
    sweep = sweep_of(grid, times)
    (chart,) = charts.sections(sweep, Cast(sweep.contenders))[0].charts
    assert chart.name == "map"
    told = {row.cells[:2]: row.cells[2] for row in chart.numbers.rows}
    assert told[("1", "32")] == "torch" and told[("8", "64")].endswith("?")


def test_texts_along_an_axis_are_in_no_log() -> None:
    times = {
        "base": {"torch": 1.0, "numba": 2.0},
        "dtype=float64": {"torch": 2.0, "numba": 3.0},
    }
    sweep = sweep_of(PLAN, times)
    (section,) = charts.sections(sweep, Cast(sweep.contenders))
    assert section.title == "Along dtype" and "(log axis)" in section.charts[0].title


def test_a_recommendation_has_its_evidence() -> None:
    found = recommend(SWEEP, wanted(PLAN, {"batch": 50}))
    first, second = words.recommendation(found)
    assert first.startswith("For batch 50,") and first.endswith("numba (training step).")
    assert "Measured at batch 64" in second and "the first over the second: 2" in second
    nothing = words.recommendation(recommend(SWEEP, wanted(PLAN, {"batch": 500})))
    assert "cannot be known; the nearest cell, batch=64, is 7.812 times off" in nothing[0]

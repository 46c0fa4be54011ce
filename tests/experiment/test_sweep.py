"""Sweeps that are run: cells are ordinary runs, share what does not depend on the shape, resume."""

import json
import shutil
from pathlib import Path

import pytest

import lstmbench
from lstmbench import api
from lstmbench.host import cpu
from lstmbench.interface.errors import UsageError
from lstmbench.parity.cases import CASES
from lstmbench.protocol.observations import RungResult
from lstmbench.protocol.sweep import Cell
from lstmbench.records import folder as folders
from lstmbench.records import sweeps

SMALL = {
    "backend": "numpy",
    "hidden": 6,
    "batch": 4,
    "seq_len": 5,
    "rounds": 1,
    "launches": 2,
    "block_seconds": 0.002,
    "threads": 1,
}
AXES = {"batch": [4, 8], "hidden": "6,12"}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweeps") / "sweep"
    result = api.sweep(api.plan_sweep(AXES, **SMALL), folder)
    assert not result.missing and len(result.cells) == 3
    return folder


def test_a_cell_is_an_ordinary_run(swept: Path) -> None:
    result = lstmbench.open_run(swept / "cells" / "batch=8")
    assert result.complete and result.passed and result.settings.batch == 8
    assert "train" in result["numpy"].seconds and not result["numpy"].epochs
    assert result["numpy"].compile_seconds is None, "compiled code is shared"
    assert not lstmbench.load(swept / "cells" / "batch=8").empty
    api.resume(swept / "cells" / "batch=8")  # nothing is missing


def test_cases_that_do_not_depend_on_the_shape_are_climbed_once(swept: Path) -> None:
    def rungs(name: str) -> dict[tuple[str, str], RungResult]:
        found = folders.read(swept / "cells" / name).records
        return {(r.case, r.rung): r for r in found if isinstance(r, RungResult)}

    base, other = rungs("base"), rungs("hidden=12")
    assert base.keys() >= other.keys() and set(CASES) <= {case for case, _ in other}
    for place, result in other.items():
        if place[0] in CASES:
            assert result == base[place], "taken over, with the time that it took there"
        else:
            assert result.seconds != base[place].seconds


def test_the_sweep_has_its_files(swept: Path) -> None:
    names = {path.name for path in swept.iterdir()}
    assert names == {"sweep.json", "cells", "sweep.csv", "report.md", "report.html"}
    assert not (swept / "cells" / "base" / "report.html").exists(), "too slow for each cell"


def test_what_is_done_is_not_done_again_and_what_is_missing_is(swept: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(swept, folder)
    shutil.rmtree(folder / "cells" / "batch=8")
    before = (folder / "cells" / "base" / "records.jsonl").read_bytes()
    done: list[Cell] = []
    plan = sweeps.read(folder).plan
    states = [sweeps.state(folder, cell) for cell in plan.cells]
    assert states == ["done", "missing", "done"]
    api.sweep(plan, folder, done=lambda cell, path: done.append(cell))
    assert [cell.name for cell in done] == ["batch=8"]
    assert (folder / "cells" / "base" / "records.jsonl").read_bytes() == before


def test_a_cell_that_was_killed_is_begun_and_goes_on(swept: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(swept, folder)
    records = folder / "cells" / "hidden=12" / "records.jsonl"
    lines = records.read_bytes().splitlines(keepends=True)
    records.write_bytes(b"".join(lines[: len(lines) // 2]) + lines[len(lines) // 2][:10])
    plan = sweeps.read(folder).plan
    assert sweeps.state(folder, plan.cell("hidden=12")) == "begun"
    result = api.sweep_cell(folder, "hidden=12")
    assert result.complete and result.passed
    assert sweeps.state(folder, plan.cell("hidden=12")) == "done"


def test_cells_that_were_copied_are_collected(swept: Path, tmp_path: Path) -> None:
    plan = sweeps.read(swept).plan
    folder = api.begin_sweep(plan, tmp_path / "merged")
    for name in ("base", "batch=8"):
        shutil.copytree(swept / "cells" / name, folder / "cells" / name)
    result = api.collect(folder)
    assert [cell.name for cell in result.missing] == ["hidden=12"]
    assert (folder / "sweep.csv").read_text().count("\n") == 3


def test_another_sweep_is_not_mixed_in(swept: Path) -> None:
    with pytest.raises(UsageError, match="holds another sweep"):
        api.begin_sweep(api.plan_sweep({"batch": [1]}, **SMALL), swept)
    with pytest.raises(UsageError, match="not empty"):
        api.begin_sweep(api.plan_sweep(AXES, **SMALL), swept / "cells")


def test_more_threads_than_cores_are_refused_before_anything_is_run(tmp_path: Path) -> None:
    cores = cpu.usable_cores()
    plan = api.plan_sweep({"threads": [1, cores + 1]}, **SMALL)
    with pytest.raises(UsageError, match=f"threads={cores + 1}: .* {cores} usable cores"):
        api.sweep(plan, tmp_path / "sweep")
    assert not (tmp_path / "sweep" / "cells").exists()


def test_a_cell_that_cannot_be_run_leaves_the_others_to_go_on(tmp_path: Path) -> None:
    plan = api.plan_sweep({"dtype": ["float32", "bfloat16"]}, **SMALL)
    reasons: dict[str, str] = {}
    result = api.sweep(
        plan, tmp_path / "sweep", failed=lambda cell, why: reasons.update({cell.name: why})
    )
    assert set(reasons) == {"dtype=bfloat16"} and "not in bfloat16" in reasons["dtype=bfloat16"]
    assert [cell.cell.name for cell in result.cells] == ["base"]


@pytest.mark.parametrize("content", ["", "{}", '{"schema": 2}', "[1]", "no JSON"])
def test_a_damaged_sweep_is_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(UsageError) as error:
        sweeps.read(tmp_path)
    assert "\n" not in str(error.value)


def test_a_cells_name_leads_to_no_other_folder(swept: Path, tmp_path: Path) -> None:
    text = (swept / "sweep.json").read_text().replace('"batch=8"', '"../batch=8"')
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(UsageError, match="not the name of its cell"):
        sweeps.read(tmp_path)


def test_a_newer_sweep_is_refused(swept: Path, tmp_path: Path) -> None:
    told = json.loads((swept / "sweep.json").read_text())
    (tmp_path / "sweep.json").write_text(json.dumps({**told, "schema": 2}))
    with pytest.raises(UsageError, match="schema 2"):
        sweeps.read(tmp_path)

"""A site is whole without a server, shows each run, and makes anew only what has changed."""

import csv
import json
import os
import re
from pathlib import Path

import pytest
from made_up_answer import answer, with_a_failure

from lstmbench.analysis.results import RunResult
from lstmbench.interface.errors import UsageError
from lstmbench.records import folder as folders
from lstmbench.report import site


def kept(run: RunResult, folder: Path) -> Path:
    """Write a run into a folder of its own."""
    folders.create(folder, run.header)
    writer = folders.Writer(folder)
    for record in run.run.records:
        writer.append(record)
    writer.close()
    return folder


def read(folder: Path) -> RunResult:
    from lstmbench.api import open_run

    return open_run(folder)


def test_every_link_leads_to_a_file_of_the_site(tmp_path: Path) -> None:
    runs = [read(kept(answer(3), tmp_path / "a")), read(kept(with_a_failure(), tmp_path / "b"))]
    site.write(runs, tmp_path / "site")
    index = (tmp_path / "site" / "index.html").read_text()
    links = [link for link in re.findall(r'href="([^"]*)"', index) if not link.startswith("#")]
    assert set(links) == {"runs.csv", "index.json", "runs/a/report.html", "runs/b/report.html"}
    assert all((tmp_path / "site" / link).is_file() for link in links)
    assert "<b onload" not in index and "<script" not in index


def test_tables_have_every_run_and_contender(tmp_path: Path) -> None:
    runs = [read(kept(answer(3), tmp_path / "a")), read(kept(answer(2), tmp_path / "b"))]
    site.write(runs, tmp_path / "site")
    rows = list(csv.DictReader((tmp_path / "site" / "runs.csv").read_text().splitlines()))
    assert [row["run"] for row in rows] == ["a"] * 3 + ["b"] * 2
    (row,) = (row for row in rows if row["run"] == "a" and row["contender"] == "backend02")
    expected = runs[0]["backend02"].speed_ratio["train"].value
    assert float(row["train_speed_over_baseline"]) == expected
    index = json.loads((tmp_path / "site" / "index.json").read_text())
    assert [one["name"] for one in index["runs"]] == ["a", "b"]
    assert index["runs"][0]["verdict"][0].startswith("All 3 contenders agree")


def test_only_pages_of_what_changed_are_made_anew(tmp_path: Path) -> None:
    folder = kept(answer(2), tmp_path / "a")
    site.write([read(folder)], tmp_path / "site")
    page = tmp_path / "site" / "runs" / "a" / "report.html"
    os.utime(page, (1, 1))
    site.write([read(folder)], tmp_path / "site")
    assert page.stat().st_mtime == 1
    lines = (folder / "records.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "records.jsonl").write_bytes(b"".join(lines[:-1]))
    site.write([read(folder)], tmp_path / "site")
    assert page.stat().st_mtime != 1


def test_runs_of_one_name_have_a_page_each(tmp_path: Path) -> None:
    runs = [read(kept(answer(2), tmp_path / parent / "run")) for parent in ("x", "y")]
    site.write(runs, tmp_path / "site")
    names = {path.name for path in (tmp_path / "site" / "runs").iterdir()}
    assert names == {"run", "run-2"}


def test_run_folders_are_found_below_and_once(tmp_path: Path) -> None:
    first, second = (kept(answer(1), tmp_path / "runs" / name) for name in ("a", "b"))
    assert site.find([tmp_path / "runs"]) == [first.resolve(), second.resolve()]
    assert site.find([first, tmp_path / "runs"]) == [first.resolve(), second.resolve()]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"runs": [1]}', "no JSON"])
def test_a_folder_that_holds_something_else_is_left_alone(content: str, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(UsageError, match="holds no site of lstmbench"):
        site.write([answer(1)], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["index.json"]

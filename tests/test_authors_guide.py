"""The authors' guide, held to the interface, and its example, built and run."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from installed import Site

from lstmbench import hookspecs
from lstmbench.interface import CAPABILITIES, Backend, BackendInfo, Options, Task, TaskInfo

GUIDE = (Path(__file__).parents[1] / "docs/authors.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", GUIDE, re.MULTILINE))
FILES = dict(re.findall(r"^```\w+\n# (\S+\.\w+)\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL))
ROW = r"^\| `(\w+)` \| .+ \|$"
LINES = 80
SMALL = ["--hidden=6", "--batch=4", "--seq-len=5", "--threads=1"]


def public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def fields(kind: type) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ("hooks", {name for name in vars(hookspecs) if name.startswith("lstmbench_")}),
        ("BackendInfo", fields(BackendInfo)),
        ("Options", fields(Options)),
        ("Backend", public(Backend)),
        ("TaskInfo", fields(TaskInfo)),
        ("Task", public(Task)),
    ],
)
def test_the_reference_names_what_there_is_and_nothing_else(section: str, names: set[str]) -> None:
    documented = re.findall(ROW, SECTIONS[f"Reference: {section}"], re.MULTILINE)
    assert sorted(documented) == sorted(names)


def test_the_first_methods_are_the_capabilities() -> None:
    documented = re.findall(ROW, SECTIONS["Reference: Backend"], re.MULTILINE)
    assert tuple(documented[: len(CAPABILITIES)]) == CAPABILITIES
    required = re.findall(r"^\| `(\w+)` \| must be defined", GUIDE, re.MULTILINE)
    assert set(required) == Backend.__abstractmethods__


def test_the_example_is_short() -> None:
    assert set(FILES) == {
        "pyproject.toml",
        "lstmbench_mine/plugin.py",
        "lstmbench_mine/backend.py",
    }
    lines = [line for text in FILES.values() for line in text.splitlines() if line.strip()]
    assert len(lines) < LINES


def test_every_method_of_the_example_is_explained() -> None:
    _, explained = SECTIONS["The backend"].split("```\n\n")
    defined = re.findall(r"^    def (\w+)", FILES["lstmbench_mine/backend.py"], re.MULTILINE)
    assert set(defined) <= set(re.findall(r"`(\w+)`", explained))


def test_the_example_installs_and_climbs_the_whole_ladder(tmp_path: Path) -> None:
    source = tmp_path / "mine"
    (source / "lstmbench_mine").mkdir(parents=True)
    (source / "lstmbench_mine/__init__.py").touch()
    for name, text in FILES.items():
        (source / name).write_text(text)
    site = Site(tmp_path / "site")
    site.install(source)
    for dtype in ("float32", "float64"):
        arguments = ["check", "mine", *SMALL, f"--dtype={dtype}", "--json"]
        done = site.run("lstmbench", *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        (answer,) = json.loads(done.stdout)
        assert {rung["verdict"] for rung in answer["rungs"]} == {"agrees"}

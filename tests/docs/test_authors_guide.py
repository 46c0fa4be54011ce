"""The authors' guide, held to the interface, and its example, built and run."""

import dataclasses
import re
from pathlib import Path

import pytest
from installed import Site

from lstmbench.conformance import PLACES, read_known_failures
from lstmbench.interface import (
    CAPABILITIES,
    Backend,
    BackendInfo,
    Options,
    Task,
    TaskInfo,
    hookspecs,
)
from lstmbench.parity.ladder import ALL_PLACES

GUIDE = (Path(__file__).parents[2] / "docs/authors.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", GUIDE, re.MULTILINE))
FILES = dict(re.findall(r"^```\w+\n# (\S+\.\w+)\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL))
PLUGIN = {name: text for name, text in FILES.items() if not name.startswith("tests/")}
ROW = r"^\| `(\w+)` \| .+ \|$"
LINES = 80


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
    assert set(PLUGIN) == {
        "pyproject.toml",
        "lstmbench_mine/plugin.py",
        "lstmbench_mine/backend.py",
    }
    lines = [line for text in PLUGIN.values() for line in text.splitlines() if line.strip()]
    assert len(lines) < LINES


def test_every_method_of_the_example_is_explained() -> None:
    _, explained = SECTIONS["The backend"].split("```\n\n")
    defined = re.findall(r"^    def (\w+)", FILES["lstmbench_mine/backend.py"], re.MULTILINE)
    assert set(defined) <= set(re.findall(r"`(\w+)`", explained))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a reader of the guide ends up with."""
    folder = tmp_path_factory.mktemp("mine")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (folder / "lstmbench_mine/__init__.py").touch()
    return folder


@pytest.fixture(scope="module")
def site(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    result = Site(tmp_path_factory.mktemp("site"))
    result.install(source)
    return result


def test_the_example_climbs_the_whole_ladder_in_both_dtypes(site: Site, source: Path) -> None:
    """By option in float32, by its own test file in float64; nothing is skipped."""
    assert 'dtype="float64"' in FILES["tests/test_ladder.py"]
    done = site.run("pytest", "-p", "no:cacheprovider", "--lstmbench=mine", cwd=source)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f" {2 * len(PLACES)} passed in " in done.stdout


def test_what_one_types_for_known_failures_matches_a_rung(tmp_path: Path) -> None:
    (line,) = re.findall(r"`(\*/\w+  # [^`]+)`", SECTIONS["In your CI"])
    (tmp_path / "known.txt").write_text(line)
    assert set(read_known_failures(tmp_path / "known.txt")) < set(ALL_PLACES)

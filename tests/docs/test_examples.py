"""The examples as text: what can be told of them where their libraries are not installed."""

import ast
import tomllib
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/pyproject.toml"))
each_example = pytest.mark.parametrize("name", NAMES)


def imports(path: Path) -> set[str]:
    """The modules that a file imports, dotted."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or ".")
    return found


def test_there_are_examples() -> None:
    assert NAMES == ["flax", "onnxruntime"]


@each_example
def test_of_lstmbench_only_the_face_is_imported(name: str) -> None:
    for path in (EXAMPLES / name).rglob("*.py"):
        ours = {module for module in imports(path) if module.split(".")[0] == "lstmbench"}
        assert ours <= {"lstmbench"}, path


@each_example
def test_nothing_is_called_after_a_library_that_it_imports(name: str) -> None:
    files = [path for path in (EXAMPLES / name).rglob("*") if "egg-info" not in str(path)]
    libraries = {m.split(".")[0] for p in files if p.suffix == ".py" for m in imports(p)}
    own = {f"lstmbench_{name}"}
    assert not {path.stem for path in files} & (libraries - own)


@each_example
def test_the_plugin_imports_nothing_but_lstmbench(name: str) -> None:
    assert imports(EXAMPLES / name / f"lstmbench_{name}/plugin.py") == {"lstmbench"}


@each_example
def test_the_entry_point_names_the_plugin(name: str) -> None:
    project = tomllib.loads((EXAMPLES / name / "pyproject.toml").read_text())["project"]
    assert project["name"] == f"lstmbench-{name}"
    assert project["entry-points"] == {"lstmbench": {name: f"lstmbench_{name}.plugin"}}
    assert "lstmbench" in project["dependencies"]

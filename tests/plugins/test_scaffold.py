import ast
import json
import tomllib
from pathlib import Path

import pytest
from installed import Site

from lstmbench import INTERFACE, UsageError
from lstmbench.interface import BackendInfo
from lstmbench.plugins import registry as plugins
from lstmbench.plugins import scaffold
from lstmbench.plugins.registry import Registry

SMALL = ["--hidden=6", "--batch=4", "--seq-len=5", "--threads=1"]


@pytest.fixture(scope="module")
def registry() -> Registry:
    return plugins.discover()


def test_a_distribution_is_written_under_names_that_fit_together(
    tmp_path: Path, registry: Registry
) -> None:
    written = scaffold.create("my-own_lstm", tmp_path, registry)
    folder = tmp_path / "my-own_lstm"
    assert sorted(path.relative_to(folder).as_posix() for path in written) == [
        "README.md",
        "lstmbench_my_own_lstm/__init__.py",
        "lstmbench_my_own_lstm/backend.py",
        "lstmbench_my_own_lstm/plugin.py",
        "lstmbench_my_own_lstm/py.typed",
        "pyproject.toml",
        "tests/test_backend.py",
    ]
    assert not [path for path in written if "$" in path.read_text()]
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert project["project"]["name"] == "lstmbench-my-own-lstm"
    assert project["project"]["entry-points"]["lstmbench"] == {
        "my-own_lstm": "lstmbench_my_own_lstm.plugin"
    }
    for path in folder.rglob("*.py"):
        ast.parse(path.read_text())
    plugin = (folder / "lstmbench_my_own_lstm/plugin.py").read_text()
    assert "lstmbench_my_own_lstm.backend:MyOwnLstmBackend" in plugin
    assert f"interface={INTERFACE}" in plugin


@pytest.mark.parametrize(
    "name",
    ["", "-x", "x-", "3x", "Mine", "a b", "a.b", "../x", "a/b", "x--y", "größe", "all", "x\n"],
)
def test_a_name_that_is_none_is_refused(tmp_path: Path, registry: Registry, name: str) -> None:
    with pytest.raises(UsageError, match=r"plugin name .* is not fit"):
        scaffold.create(name, tmp_path, registry)
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_taken_is_refused(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(UsageError, match="'numpy': a backend of that name is in lstmbench"):
        scaffold.create("numpy", tmp_path, registry)
    with pytest.raises(UsageError, match="a package lstmbench_digits is installed"):
        scaffold.create("digits", tmp_path, registry)
    other = Registry()
    for distribution in ("one", "two"):
        other.backends.add(BackendInfo("theirs", "m:C"), distribution)
    with pytest.raises(UsageError, match="'theirs': a backend of that name is in one and two"):
        scaffold.create("theirs", tmp_path, other)
    assert not list(tmp_path.iterdir())


def test_what_is_there_already_is_left_alone(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep")
    with pytest.raises(UsageError, match="mine' is there already; nothing was written"):
        scaffold.create("mine", tmp_path, registry)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be made: Not a directory"):
        scaffold.create("mine", tmp_path / "file", registry)


def test_it_installs_and_first_differs_at_forward(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    done = site.run("lstmbench", "plugin", "new", "mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == ("next: pip install -e ./mine && lstmbench check mine")
    site.install(tmp_path / "mine")
    done = site.run("lstmbench", "check", "mine", *SMALL, "--json", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    (answer,) = json.loads(done.stdout)["contenders"]
    assert not answer["passed"] and answer["status"] == "failed"
    first = answer["first_difference"]
    assert (first["case"], first["rung"], first["result"]["array"]) == ("odd", "forward", "logits")
    outcomes = {rung["rung"]: rung["outcome"] for rung in answer["rungs"]}
    assert outcomes["shapes"] == outcomes["parameters"] == "passed"
    assert outcomes["loss"] == outcomes["generate"] == "not claimed"
    shown = site.run("lstmbench", "check", "mine", *SMALL, cwd=tmp_path).stdout
    assert "mine differs from the float64 oracle at odd/forward: logits" in " ".join(shown.split())
    tested = site.run("pytest", "-p", "no:cacheprovider", "-rA", cwd=tmp_path / "mine").stdout
    assert "PASSED tests/test_backend.py::test_ladder[odd/parameters]" in tested
    assert "FAILED tests/test_backend.py::test_ladder[odd/forward] - " in tested
    again = site.run("lstmbench", "plugin", "new", "mine", cwd=tmp_path)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "a backend of that name is in lstmbench-mine" in again.stderr

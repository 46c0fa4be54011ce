"""What strangers install: the wheel and the source distribution, and the types that they bring."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email import message_from_string
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(
    path.parent
    for folder in (ROOT, ROOT / "backends", ROOT / "tasks")
    for path in folder.glob("lstmbench*/__init__.py")
)
CACHES = ("__pycache__/", ".egg-info/", "_cache/", ".benchmarks/")


def files(folder: Path, base: Path) -> set[str]:
    """Every file below a folder as a path from `base`, without caches."""
    found = (path.relative_to(base).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name for name in found if not any(cache in name for cache in CACHES)}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def in_wheel(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def in_source(built: Path) -> set[str]:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        members = [member.name for member in archive.getmembers() if member.isfile()]
    return {name.partition("/")[2] for name in members}


def test_there_are_nine_packages() -> None:
    assert len(PACKAGES) == 9


def test_the_wheel_holds_every_file_of_every_package_and_nothing_else(in_wheel: set[str]) -> None:
    code = {name for name in in_wheel if ".dist-info/" not in name}
    assert code == set().union(*(files(package, package.parent) for package in PACKAGES))


def test_every_package_says_that_it_is_typed(in_wheel: set[str]) -> None:
    assert {f"{package.name}/py.typed" for package in PACKAGES} <= in_wheel


def test_the_wheel_holds_data_and_licence(in_wheel: set[str]) -> None:
    assert "lstmbench/parity/golden.safetensors" in in_wheel
    assert "lstmbench/plugins/template/pyproject.toml.template" in in_wheel
    assert "lstmbench/plugins/template/package/backend.py.template" in in_wheel
    assert [name for name in in_wheel if name.endswith(".dist-info/licenses/LICENSE")]


def test_an_index_is_told_licence_author_and_addresses(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = message_from_string(archive.read(name).decode())
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Author"] == "lstmbench contributors"
    urls = dict(url.split(", ") for url in metadata.get_all("Project-URL", []))
    assert set(urls) == {"Homepage", "Documentation", "Changelog", "Issues"}


@pytest.mark.parametrize(
    "folder",
    ["backends", "benchmarks", "docs", "examples", "lstmbench", "scripts", "tasks", "tests"],
)
def test_the_source_holds_what_the_tests_need(folder: str, in_source: set[str]) -> None:
    held = {name for name in in_source if name.startswith(f"{folder}/")}
    expected = {name for name in files(ROOT / folder, ROOT) if "/build/" not in name}
    assert held == expected


def test_the_source_holds_the_run_that_the_readme_loads_and_no_other(in_source: set[str]) -> None:
    results = {name.rpartition("/")[0] for name in in_source if name.startswith("results/")}
    assert results == {"results/reference/cpu-2-cores"}


def test_the_source_holds_no_caches(in_source: set[str]) -> None:
    caches = {name for name in in_source if any(cache in name for cache in CACHES)}
    assert {name for name in caches if not name.startswith("lstmbench.egg-info/")} == set()


OUTSIDE = """
    from typing import Any, assert_type

    import numpy as np
    from numpy.typing import NDArray
    from pandas import DataFrame

    import lstmbench
    from lstmbench import Backend, BackendInfo, Parameters, hookimpl
    from lstmbench_lag.task import Lag
    from lstmbench_numpy.backend import NumpyBackend


    @hookimpl
    def lstmbench_backends() -> list[BackendInfo]:
        return [BackendInfo("mine", "mine:Mine", interface=lstmbench.INTERFACE)]


    class Mine(Backend):
        def load(self, parameters: Parameters) -> None:
            self.held = {name: np.array(array) for name, array in parameters.items()}

        def parameters(self) -> dict[str, NDArray[Any]]:
            return {name: array.copy() for name, array in self.held.items()}


    assert_type(lstmbench.load("results"), DataFrame)
    assert_type(Lag(10).entropy_floor, float)
    classes: list[type[Backend]] = [Mine, NumpyBackend]
"""


@pytest.mark.slow
def test_types_are_seen_from_outside(wheel: Path, tmp_path: Path) -> None:
    """mypy finds them as a stranger's: in site-packages, with the sources out of sight."""
    venv.create(tmp_path / "venv")
    paths = {"base": str(tmp_path / "venv"), "platbase": str(tmp_path / "venv")}
    site = Path(sysconfig.get_path("purelib", "venv", vars=paths))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (tmp_path / "outside.py").write_text(dedent(OUTSIDE))
    python = sysconfig.get_path("scripts", "venv", vars=paths) + "/python"
    flags = ["--strict", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *flags, "--python-executable", python, "outside.py"],
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "MYPYPATH"},
        cwd=tmp_path,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("Success")

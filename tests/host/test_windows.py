"""What only POSIX systems have is hidden, from all processes, and everything goes on without it.

It is no test on Windows: what else is different there nobody has tried.
"""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

HIDING = """
    import ctypes, importlib.abc, os, select, sys

    import psutil  # on Linux it needs some of these itself

    HIDDEN = ("killpg", "getloadavg", "O_NOFOLLOW", "O_NONBLOCK")

    class Hidden(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name in ("resource", "fcntl"):
                raise ImportError(f"No module named {name!r}", name=name)

    sys.meta_path.insert(0, Hidden())
    for name in ("resource", "fcntl"):
        sys.modules.pop(name, None)
    for name in dir(os):
        if name.startswith("sched_") or name in HIDDEN:
            delattr(os, name)

    def refuse(*arguments):
        raise OSError(10038, "an operation was attempted on something that is not a socket")

    select.select = refuse
    loaded = ctypes.CDLL

    class CDLL(loaded):
        def __init__(self, name, *arguments, **named):
            if name is None:
                raise TypeError("bad argument type for built-in operation")
            super().__init__(name, *arguments, **named)

    ctypes.CDLL = CDLL
"""
SMALL = "--hidden=6 --batch=4 --seq-len=5 --epochs=1 --batches-per-epoch=2 --launches=2 --rounds=1"
SMALL += " --block-seconds=0.002 --time-budget=0 --threads=1"


def lstmbench(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(HIDING))
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "lstmbench", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )


def test_what_is_hidden_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(HIDING))
    for code in (
        "import fcntl",
        "import resource",
        "import os; os.killpg",
        "import os; os.sched_yield",
    ):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
        )
        assert done.returncode == 1, code


def test_list_and_check_and_run_need_nothing_of_it(tmp_path: Path) -> None:
    listed = lstmbench(tmp_path, "list", "--json")
    assert listed.returncode == 0 and "numpy" in listed.stdout, listed.stderr
    checked = lstmbench(tmp_path, "check", "numpy", "--json", "--hidden=6", "--threads=1")
    assert checked.returncode == 0 and json.loads(checked.stdout)["passed"], checked.stderr
    folder = tmp_path / "run"
    run = lstmbench(tmp_path, "run", "--backend=numpy", *SMALL.split(), f"--output={folder}")
    assert run.returncode == 0, run.stderr
    again = lstmbench(tmp_path, "run", "--resume", str(folder))
    assert again.returncode == 0 and "Traceback" not in again.stderr


@pytest.mark.parametrize("module", ["lstmbench", "lstmbench.api", "lstmbench.worker.session"])
def test_modules_are_imported_without_it(tmp_path: Path, module: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(HIDING))
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        [sys.executable, "-c", f"import {module}"],
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )

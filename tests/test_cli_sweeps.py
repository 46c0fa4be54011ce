"""The commands of sweeps: listing, one cell, going on, collecting, and what is refused."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

OPTIONS = [
    "--backend=numpy",
    "--hidden=6",
    "--batch=4",
    "--seq-len=5",
    "--launches=2",
    "--rounds=1",
    "--block-seconds=0.002",
    "--threads=1",
]


def lstmbench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lstmbench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweeps") / "sweep"
    done = lstmbench("sweep", "--axis=batch=4,8", *OPTIONS, "--output", folder)
    assert done.returncode == 0, done.stderr
    assert "cell batch=8 is done" in done.stderr
    assert "Fastest training step, of 2 cells: numpy in 2." in done.stdout
    return folder


def test_two_hundred_cells_are_listed_and_nothing_is_made(tmp_path: Path) -> None:
    axes = ["--axis=batch=1:20:+1", "--axis=hidden=10:100:+10", "--grid"]
    output = tmp_path / "sweep"
    done = lstmbench("sweep", *axes, "--backend=numpy", "--list", "--output", output)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 201 and lines[-1].startswith("200 cells, about ")
    assert lines[199].split()[:2] == ["200", "missing"]
    assert not output.exists()


def test_what_is_done_is_listed_and_a_finished_sweep_is_only_shown(swept: Path) -> None:
    listed = lstmbench("sweep", swept, "--list").stdout.splitlines()
    assert [line.split()[1] for line in listed[:2]] == ["done", "done"]
    assert listed[2] == "2 cells, about 0 min left, one after the other"
    again = lstmbench("sweep", swept)
    assert again.returncode == 0 and "is done" not in again.stderr


def test_a_cell_is_run_by_number_or_name_and_collected(swept: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(swept, folder)
    for key in ("2", "batch=8"):
        shutil.rmtree(folder / "cells" / "batch=8")
        assert "not run: batch=8" in lstmbench("sweep", folder, "--collect").stdout
        done = lstmbench("sweep", folder, "--cell", key)
        assert done.returncode == 0 and "numpy agrees" in done.stdout, done.stderr
    collected = lstmbench("sweep", folder, "--collect")
    assert collected.returncode == 0 and "not run" not in collected.stdout


def test_a_recommendation_and_its_status(swept: Path) -> None:
    found = lstmbench("recommend", swept, "--batch=5")
    assert found.returncode == 0 and "numpy (training step)." in found.stdout
    unknown = lstmbench("recommend", swept, "--hidden=100")
    assert unknown.returncode == 1 and "cannot be known" in unknown.stdout


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="signals are POSIX's")
def test_a_sweep_that_is_interrupted_says_how_to_go_on_and_does(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    arguments = ["sweep", "--axis=batch=4,8", *OPTIONS, "--output", str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "lstmbench", *arguments], stderr=subprocess.PIPE, text=True
    )
    try:
        end = time.monotonic() + 120
        while not (folder / "cells").exists():
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGTERM
    assert f"what was measured is kept: lstmbench sweep {folder}" in told
    done = lstmbench("sweep", folder)
    assert done.returncode == 0 and "of 2 cells" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sweep", "--axis=batch"], ["--axis 'batch'", "NAME=VALUES"]),
        (["sweep", "--axis=batch=1", "--axis=batch=2"], ["--axis batch is given twice"]),
        (["sweep", "--axis=bach=1", "--list"], ["unknown axis 'bach'", "'batch'"]),
        (["sweep", "--axis=batch=0", "--list"], ["batch = 0"]),
        (["sweep", "DIR", "--axis=batch=1"], ["takes all settings from the folder"]),
        (["sweep", "DIR", "--hidden=3"], ["takes all settings from the folder"]),
        (["sweep", "DIR", "--list", "--collect"], ["exclude each other"]),
        (["sweep", "DIR", "--cell=9"], ["cell 9", "there are 2 cells"]),
        (["sweep", "DIR", "--cell=batch=9"], ["unknown cell 'batch=9'", "'batch=8'"]),
        (["sweep", "DIR", "--submit"], ["no [sweep.executor]"]),
        (["sweep", "nowhere"], ["'nowhere'", "sweep.json"]),
        (["sweep", "--collect"], ["--collect goes with sweep DIR"]),
        (["sweep", "--axis=threads=4096", "--output=OUT"], ["threads=4096", "usable cores"]),
        (["recommend", "nowhere"], ["'nowhere'", "sweep.json"]),
        (["recommend", "DIR", "--batch=0"], ["batch = 0"]),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str], words: list[str], swept: Path, tmp_path: Path
) -> None:
    names = {"DIR": str(swept), "--output=OUT": f"--output={tmp_path / 'out'}"}
    done = lstmbench(*(names.get(one, one) for one in arguments))
    assert done.returncode == 2 and done.stdout == "", done.stdout
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr

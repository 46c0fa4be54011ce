"""Cells as tasks of Slurm: what is submitted, what states are told; and a real cluster."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import slurm_cluster

from lstmbench import api
from lstmbench.experiment.executors import slurm
from lstmbench.interface.errors import UsageError
from lstmbench.protocol.slurm import Slurm
from lstmbench.records import sweeps

TASK = (
    "JobId=8 ArrayJobId=7 ArrayTaskId={task} JobState={state} Reason={reason} ExitCode={code}:0 "
    "RunTime=00:00:02\n"
)
SWEEP = """
backend = "numpy"
hidden = 6
batch = 4
seq-len = 5
rounds = 1
launches = 2
block-seconds = 0.002
threads = 1
[sweep.axes]
batch = [4, 8, 16]
dtype = ["float32", "bfloat16"]
[sweep.executor]
kind = "slurm"
partition = "bench"
time = "10"
setup = ["export LSTMBENCH_SETUP=1"]
"""


def answers(replies: dict[str, str | UsageError]) -> Callable[[list[str]], str]:
    """Stand in for Slurm's commands."""

    def run(command: list[str]) -> str:
        reply = replies[command[0]]
        if isinstance(reply, UsageError):
            raise reply
        return reply

    return run


def test_the_script_is_the_command_for_one_cell(tmp_path: Path) -> None:
    executor = Slurm(
        partition="p", constraint="xeon", gpus=2, time="1:00:00", setup=["module load x"]
    )
    lines = slurm.script(tmp_path / "a sweep", executor).splitlines()
    assert lines[0] == "#!/bin/bash"
    options = {line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")}
    assert {"--partition=p", "--constraint=xeon", "--gpus=2", "--time=1:00:00"} <= options
    assert "--exclusive" in options and "--requeue" in options
    assert lines[-2] == "module load x"
    place = f"'{tmp_path / 'a sweep'}'"
    expected = f'exec {sys.executable} -m lstmbench sweep {place} --cell "$SLURM_ARRAY_TASK_ID"'
    assert lines[-1] == expected
    shared = slurm.script(tmp_path, Slurm(exclusive=False, options=["--account=lab"]))
    assert "--exclusive" not in shared and "#SBATCH --account=lab" in shared


def test_jobs_are_kept_and_the_limit_is_part_of_the_array(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def run(command: list[str]) -> str:
        seen.append(command)
        return "42;cluster\n"

    monkeypatch.setattr(slurm, "_run", run)
    assert slurm.submit(tmp_path, Slurm(parallel=4), [1, 3, 5]) == "42"
    assert seen == [["sbatch", "--parsable", "--array=1,3,5%4", str(tmp_path / "slurm.sh")]]
    assert slurm.read(tmp_path) == [slurm.Job(job="42", cells=[1, 3, 5])]


def test_states_come_from_the_queue_then_from_scontrol_then_from_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = TASK.format(task=3, state="FAILED", reason="NonZeroExitCode", code=2)
    told += TASK.format(task=4, state="COMPLETED", reason="None", code=0)
    queue = "1|PENDING|Resources\n2|RUNNING|None\n"
    monkeypatch.setattr(slurm, "_run", answers({"sbatch": "7\n"}))
    slurm.submit(tmp_path, Slurm(), [1, 2, 3, 4, 5])
    (tmp_path / "logs" / "7_3.log").write_text("first\nlstmbench: cell x: too few cores\n\n")
    (tmp_path / "logs" / "7_5.log").write_text("killed\n")
    monkeypatch.setattr(slurm, "_run", answers({"squeue": queue, "scontrol": told}))
    found = slurm.states(tmp_path)
    assert found[1] == ("PENDING", "Resources") and found[2] == ("RUNNING", "")
    assert found[3].state == "FAILED" and not found[3].live
    assert found[3].reason == ("NonZeroExitCode; exit status 2; lstmbench: cell x: too few cores")
    assert found[4].state == "COMPLETED" and found[5] == ("UNKNOWN", "killed")
    gone = UsageError("Invalid job id specified")
    monkeypatch.setattr(slurm, "_run", answers({"squeue": gone, "scontrol": gone}))
    assert slurm.states(tmp_path)[3].reason == "lstmbench: cell x: too few cores"
    assert slurm.states(tmp_path)[1] == ("UNKNOWN", slurm.FORGOTTEN)


def test_a_cell_of_two_jobs_has_the_state_of_the_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for job in ("7", "9"):
        monkeypatch.setattr(slurm, "_run", answers({"sbatch": job}))
        slurm.submit(tmp_path, Slurm(), [1])

    def run(command: list[str]) -> str:
        if command[0] == "squeue":
            return "1|RUNNING|None\n" if "--jobs=9" in command else ""
        return TASK.format(task=1, state="CANCELLED", reason="None", code=0)

    monkeypatch.setattr(slurm, "_run", run)
    assert slurm.states(tmp_path)[1] == ("RUNNING", "")
    assert slurm.waiting(tmp_path, [1, 2]) == {1}


def test_without_slurm_or_an_executor_it_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match="sbatch is not installed here"):
        slurm.submit(tmp_path, Slurm(), [1])
    folder = api.begin_sweep(api.plan_sweep({"batch": [4]}), tmp_path / "sweep")
    with pytest.raises(UsageError, match=r"no \[sweep.executor\]"):
        api.submit(folder)


@pytest.mark.parametrize(
    "line",
    [
        'kind = "ray"',
        'partition = "a b"',
        "gpus = -1",
        'setup = ["a\\nb"]',
        'time = "1\\n2"',
        "x = 1",
    ],
)
def test_a_wrong_executor_is_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(f"[sweep.executor]\n{line}\n")
    with pytest.raises(UsageError) as error:
        api.plan_sweep(config=tmp_path / "s.toml")
    assert "sweep" in str(error.value) and "\n" not in str(error.value)


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    reason = slurm_cluster.missing()
    if reason:
        if os.environ.get("LSTMBENCH_REQUIRES_SLURM"):
            pytest.fail(reason)
        pytest.skip(reason)
    with slurm_cluster.cluster(tmp_path_factory.mktemp("slurm")) as found:
        yield found


@pytest.mark.slow
def test_a_cluster_of_two_nodes_runs_cells_and_tells_of_those_that_fail(
    variables: dict[str, str], tmp_path: Path
) -> None:
    def lstmbench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "lstmbench", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=variables, timeout=120)

    def listed() -> str:
        return lstmbench("sweep", folder, "--list").stdout

    def until(told: Callable[[], bool]) -> None:
        end = time.monotonic() + 240
        while not told():
            assert time.monotonic() < end, listed()
            time.sleep(1)

    folder = tmp_path / "sweep"
    (tmp_path / "s.toml").write_text(SWEEP)
    done = lstmbench("sweep", "--config", tmp_path / "s.toml", "--output", folder, "--submit")
    assert done.returncode == 0 and "4 cells submitted as job " in done.stdout, done.stderr
    again = lstmbench("sweep", folder, "--submit")
    assert again.returncode == 2 and "every cell is done or submitted" in again.stderr
    (job,) = slurm.read(folder)
    names = [cell.name for cell in sweeps.read(folder).plan.cells]
    assert names == ["base", "batch=8", "batch=16", "dtype=bfloat16"]
    until(lambda: "running" in listed().splitlines()[1])
    subprocess.run(["scancel", f"{job.job}_2"], env=variables, check=True)

    def ended() -> bool:
        return not any(word in listed() for word in ("pending", "running", "completing"))

    until(ended)
    lines = {line.split()[0]: line for line in listed().splitlines()[:-1]}
    assert lines["1"].split()[1] == lines["3"].split()[1] == "done"
    assert "done" not in lines["2"] and "cancelled" in lines["2"]
    assert "failed" in lines["4"] and "exit status 2" in lines["4"]
    assert "bfloat16" in lines["4"], "the reason is that of the log"
    collected = lstmbench("sweep", folder, "--collect")
    assert collected.returncode == 1 and "dtype=bfloat16" in collected.stdout
    more = lstmbench("sweep", folder, "--submit")
    assert "2 cells submitted as job " in more.stdout
    until(ended)
    assert listed().splitlines()[1].split()[1] == "done"
    assert lstmbench("report", folder / "cells" / "batch=8").returncode == 0

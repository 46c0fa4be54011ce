"""Cells as tasks of a Slurm array job.

What is submitted is a script with one command, `lstmbench sweep DIR --cell K`; nothing is pickled.
States come from squeue and scontrol, which know them without accounting (sacct) as well.
"""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from lstmbench.host import files
from lstmbench.interface.errors import UsageError, headline, shortened
from lstmbench.protocol.slurm import Slurm
from lstmbench.records import folder as folders
from lstmbench.records import sweeps

JOBS, SCRIPT = "slurm.json", "slurm.sh"
LARGEST = 10_000_000
"""Bytes of slurm.json."""
SECONDS = 60
"""A command of Slurm that takes longer has failed."""
FORGOTTEN = "Slurm knows nothing of it: cancelled while it waited, or ended some time ago"
LIVE = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUED", "REQUEUE_HOLD")


class Job(Struct, frozen=True, kw_only=True):
    """An array job, and the numbers of the cells that are its tasks."""

    job: str
    cells: list[int]


class TaskState(NamedTuple):
    """How far the task of a cell has come, in Slurm's words."""

    state: str
    """Such as "PENDING", "RUNNING", "FAILED"."""
    reason: str
    """Why it waits, or how it ended."""

    @property
    def live(self) -> bool:
        """Whether it is still to be run, or is being run."""
        return self.state in LIVE


def submit(folder: Path, executor: Slurm, cells: Sequence[int]) -> str:
    """Submit some cells, by their numbers, as one array job, and return its number.

    Raises UsageError if there is no Slurm here, or it takes no such job.
    """
    folders.make(folder / sweeps.LOGS)
    folders.write(folder / SCRIPT, script(folder, executor))
    limit = f"%{executor.parallel}" if executor.parallel else ""
    array = f"--array={','.join(map(str, cells))}{limit}"
    told = _run(["sbatch", "--parsable", array, str(folder / SCRIPT)])
    number = told.strip().split(";")[0]
    if not number.isdecimal():
        raise UsageError(f"sbatch: {shortened(told, 200)!r} is no number of a job")
    jobs = [*read(folder), Job(job=number, cells=list(cells))]
    folders.write(folder / JOBS, msgspec.json.format(msgspec.json.encode(jobs)) + b"\n")
    return number


def script(folder: Path, executor: Slurm) -> str:
    """Return the script of an array job, whose tasks are the cells."""
    place = folder.resolve()
    options = [
        "--job-name=lstmbench",
        f"--output={place / sweeps.LOGS}/%A_%a.log",
        "--requeue",
        *([f"--partition={executor.partition}"] if executor.partition else []),
        *([f"--constraint={executor.constraint}"] if executor.constraint else []),
        *([f"--gpus={executor.gpus}"] if executor.gpus else []),
        *([f"--time={executor.time}"] if executor.time else []),
        *(["--exclusive"] if executor.exclusive else []),
        *executor.options,
    ]
    command = shlex.join([sys.executable, "-m", "lstmbench", "sweep", str(place), "--cell"])
    return "\n".join(
        [
            "#!/bin/bash",
            *(f"#SBATCH {option}" for option in options),
            *executor.setup,
            f'exec {command} "$SLURM_ARRAY_TASK_ID"',
            "",
        ]
    )


def read(folder: Path) -> list[Job]:
    """Return the jobs that were submitted for a sweep, the oldest first."""
    try:
        return msgspec.json.decode(files.read(folder / JOBS, LARGEST), type=list[Job])
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"{folder / JOBS} cannot be read: {error.strerror}") from None
    except folders.NOT_READABLE as error:
        raise UsageError(f"{folder / JOBS} is damaged: {headline(error)}") from None


def states(folder: Path) -> dict[int, TaskState]:
    """Return the state of the last task of each cell that was submitted, by the cell's number."""
    found: dict[int, TaskState] = {}
    for job in read(folder):
        found |= dict.fromkeys(job.cells, TaskState("UNKNOWN", FORGOTTEN))
        found |= _ended(folder, job)
        found |= _queued(job)
    return found


def _queued(job: Job) -> dict[int, TaskState]:
    """Return the states of tasks that wait or run."""
    command = ["squeue", f"--jobs={job.job}", "--array", "--noheader", "--format=%K|%T|%r"]
    try:
        told = _run(command)
    except UsageError:  # a job that squeue does not know any more
        return {}
    rows = (line.strip().split("|", 2) for line in told.splitlines() if line.count("|") >= 2)
    return {
        int(task): TaskState(state, "" if reason == "None" else reason)
        for task, state, reason in rows
        if task.isdecimal()
    }


def _ended(folder: Path, job: Job) -> dict[int, TaskState]:
    """Return the states of tasks that scontrol still knows; it forgets them after some minutes."""
    try:
        told = _run(["scontrol", "--oneliner", "show", "job", job.job])
    except UsageError:
        return {task: _from_log(folder, job, task) for task in job.cells}
    found = {task: _from_log(folder, job, task) for task in job.cells}
    for line in told.splitlines():
        fields = dict(re.findall(r"(\w+)=(\S*)", line))
        task = fields.get("ArrayTaskId", "")
        if task.isdecimal():
            state = fields.get("JobState", "UNKNOWN")
            found[int(task)] = TaskState(state, _reason(folder, job, int(task), fields))
    return found


def _reason(folder: Path, job: Job, task: int, fields: dict[str, str]) -> str:
    parts = [fields.get("Reason", "")]
    if fields.get("ExitCode", "0:0") != "0:0":
        parts.append(f"exit status {fields['ExitCode'].split(':')[0]}")
    parts.append(_last_line(folder, job, task))
    return "; ".join(part for part in parts if part and part != "None")


def _from_log(folder: Path, job: Job, task: int) -> TaskState:
    """Return what the log tells of a task that Slurm has forgotten."""
    line = _last_line(folder, job, task)
    return TaskState("UNKNOWN", line or FORGOTTEN)


def _last_line(folder: Path, job: Job, task: int) -> str:
    try:
        text = (folder / sweeps.LOGS / f"{job.job}_{task}.log").read_text(errors="replace")
    except OSError:
        return ""
    lines = [line for line in text.splitlines() if line.strip()]
    return shortened(lines[-1], 200) if lines else ""


def waiting(folder: Path, numbers: Iterable[int]) -> set[int]:
    """Return which cells have a task that waits or runs."""
    known = states(folder) if read(folder) else {}
    return {number for number in numbers if number in known and known[number].live}


def _run(command: list[str]) -> str:
    """Return what a command of Slurm prints; UsageError, with what it says, if it fails."""
    name = command[0]
    if shutil.which(name) is None:
        raise UsageError(f"{name} is not installed here: Slurm is needed to submit a sweep")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{name}: {headline(error)}") from None
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"status {done.returncode}"
        raise UsageError(f"{name}: {shortened(said, 300)}")
    return done.stdout

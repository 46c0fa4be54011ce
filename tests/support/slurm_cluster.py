"""A Slurm of two nodes, both on this machine: for jobs that are real, and times that mean nothing.

It needs root, and Debian's packages `slurm-wlm` and `munge`.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "munged")
NODES = ("node1", "node2")
PORT = 17_800
SECONDS = 60


def missing() -> str:
    """Return why no Slurm can be started here; empty if it can."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    return "" if hasattr(os, "geteuid") and os.geteuid() == 0 else "needs root"


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin"


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Yield the environment variables by which Slurm's commands find the cluster."""
    configuration = folder / "slurm.conf"
    configuration.write_text(_configuration(folder))
    variables = {**os.environ, "SLURM_CONF": str(configuration), "PATH": _path()}
    _start_munge()
    daemons = [["slurmctld", "-D", "-f", str(configuration)]]
    daemons += [["slurmd", "-D", "-N", node, "-f", str(configuration)] for node in NODES]
    started = []
    try:
        for command in daemons:
            with (folder / f"{command[0]}-{len(started)}.log").open("wb") as log:
                started.append(subprocess.Popen(command, stdout=log, stderr=log, env=variables))
        _wait_until_idle(variables, folder)
        yield variables
    finally:
        for daemon in reversed(started):
            daemon.terminate()
        for daemon in started:
            daemon.wait(SECONDS)


def _configuration(folder: Path) -> str:
    host = socket.gethostname().split(".")[0]
    (folder / "state").mkdir()
    nodes = "\n".join(
        f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={PORT + 1 + number} CPUs=1"
        for number, node in enumerate(NODES)
    )
    return f"""
ClusterName=two
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={PORT}
SlurmUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
{nodes}
PartitionName=bench Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def _start_munge() -> None:
    """Start the daemon that vouches for users, unless it runs already."""
    if subprocess.run(["munge", "-n"], capture_output=True).returncode == 0:
        return
    for place in ("/run/munge", "/var/log/munge", "/var/lib/munge"):
        os.makedirs(place, exist_ok=True)
        shutil.chown(place, "munge", "munge")
    key = Path("/etc/munge/munge.key")
    if not key.exists():
        key.write_bytes(os.urandom(1024))
    shutil.chown(key, "munge", "munge")
    key.chmod(0o400)
    subprocess.run(["runuser", "-u", "munge", "--", "/usr/sbin/munged"], check=True)


def _wait_until_idle(variables: dict[str, str], folder: Path) -> None:
    end = time.monotonic() + SECONDS
    told = ""
    while time.monotonic() < end:
        command = ["sinfo", "--noheader", "--Node", "--format=%T"]
        told = subprocess.run(command, capture_output=True, text=True, env=variables).stdout
        if told.split() == ["idle"] * len(NODES):
            return
        time.sleep(0.5)
    logs = "\n".join(path.read_text()[-500:] for path in folder.glob("*.log"))
    raise RuntimeError(f"Slurm has not come up: {told!r}\n{logs}")

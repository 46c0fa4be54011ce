"""NVIDIA GPUs, as files and nvidia-smi tell of them; no library is loaded."""

import shutil
from pathlib import Path

from lstmbench.host import commands


def has_cuda() -> bool:
    """Return whether an NVIDIA driver has a GPU here, by its files: no library is loaded."""
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/proc/driver/nvidia/gpus").is_dir()


def gpus() -> list[dict[str, str]]:
    """Return the name, driver and memory of each NVIDIA GPU, as nvidia-smi tells them."""
    fields = ("name", "driver_version", "memory.total")
    lines = _nvidia(f"--query-gpu={','.join(fields)}") or []
    return [dict(zip(fields, line.split(", "), strict=True)) for line in lines]


def gpu_processes() -> int | None:
    """Return how many processes compute on NVIDIA GPUs now; None where the driver does not tell."""
    lines = _nvidia("--query-compute-apps=pid")
    return None if lines is None else len(lines)


def _nvidia(query: str) -> list[str] | None:
    """Return the lines that nvidia-smi answers to a query; None if it is not there or fails."""
    if not shutil.which("nvidia-smi"):
        return None
    output = commands.output(["nvidia-smi", query, "--format=csv,noheader"])
    return None if output is None else output.splitlines()

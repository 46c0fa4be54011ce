"""Asking files and commands of the system, where they exist."""

import subprocess
from pathlib import Path


def read(path: str | Path) -> str | None:
    """Return the text of a file, or None if it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def output(command: list[str]) -> str | None:
    """Return what a command prints, or None if it fails or takes over ten seconds."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", errors="replace").strip()

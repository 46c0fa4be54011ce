"""Somebody else's distribution, really built and installed, where no other test sees it."""

import os
import subprocess
import sys
from pathlib import Path


class Site:
    """A folder beside site-packages, for distributions and for commands that see them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, distribution: Path) -> None:
        """`pip install`, with the build tools that are here and without its dependencies."""
        quick = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
        target = ["--target", str(self.folder), str(distribution)]
        pip = [sys.executable, "-m", "pip", "install", *quick, *target]
        subprocess.run(pip, check=True, capture_output=True, timeout=300)

    def run(self, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """`python -m` with the distributions in sight."""
        paths = os.pathsep.join([str(self.folder), *filter(None, [os.environ.get("PYTHONPATH")])])
        return subprocess.run(
            [sys.executable, "-m", *command],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
            cwd=cwd,
            timeout=300,
        )

"""Somebody else's distribution, as it would lie in site-packages."""

import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

FAULTS = (
    "Raises",
    "RaisesOnConstruction",
    "AbortsLate",
    "IsKilledLate",
    "HangsLate",
    "NotANumber",
    "NotANumberLate",
    "StopsWorkingLate",
    "ChangesInputsLate",
)


def install(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    factories: Iterable[str] = tuple(f"misbehaving:{name}" for name in FAULTS),
) -> None:
    """Make `strange-backends` visible here and to workers.

    It has a backend for each of the `factories`, "module:Class" in this folder, named after the
    class in small letters.
    """
    infos = ",\n".join(f"BackendInfo('{f.partition(':')[2].lower()}', '{f}')" for f in factories)
    (folder / "strange_backends.py").write_text(
        "from lstmbench import BackendInfo, hookimpl\n\n\n"
        f"@hookimpl\ndef lstmbench_backends():\n    return [{infos}]\n"
    )
    info = folder / "strange_backends-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strange-backends\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lstmbench]\nstrange = strange_backends\n")
    monkeypatch.delitem(sys.modules, "strange_backends", raising=False)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{Path(__file__).parent}")

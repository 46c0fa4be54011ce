import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest
import stranger
from rich.progress import Progress

from lstmbench.analysis.results import exit_status, summarise
from lstmbench.analysis.verdict import first_difference
from lstmbench.experiment import planning
from lstmbench.experiment import run as runner
from lstmbench.plugins import registry as plugins
from lstmbench.protocol.messages import (
    Block,
    Checked,
    Epoch,
    Failure,
    Finished,
    Rung,
    Stopped,
    Trained,
)
from lstmbench.protocol.settings import from_mapping
from lstmbench.records import folder as store

SMALL = {
    "hidden": 8,
    "batch": 4,
    "seq_len": 5,
    "epochs": 2,
    "batches_per_epoch": 15,
    "launches": 2,
    "rounds": 2,
    "block_seconds": 0.02,
    "time_budget": 0,
    "threads": 1,
}


def start(folder: Path, backend: str, **settings: Any) -> store.Run:
    registry = plugins.discover()
    header = planning.plan(
        from_mapping({**SMALL, "backend": backend, **settings}, "test"), registry
    )
    store.create(folder, header)
    return go_on(folder)


def go_on(folder: Path) -> store.Run:
    runner.run(folder, plugins.discover(), Progress(disable=True))
    return store.read(folder)


def of(run: store.Run, kind: type, backend: str | None = None) -> list[Any]:
    found: list[Any] = [r for r in run.records if isinstance(r, kind)]
    return [r for r in found if backend is None or r.row.backend == backend]


def test_a_run_checks_times_and_trains(tmp_path: Path) -> None:
    run = start(tmp_path / "run", "numpy")
    assert {r.verdict for r in of(run, Rung)} == {"agrees"}
    blocks = Counter((b.launch, b.workload) for b in of(run, Block))
    assert set(blocks.values()) == {2}
    assert len(blocks) == 2 * 5
    assert {c.verdict for c in of(run, Checked)} == {"agrees"}
    assert {c.launch for c in of(run, Checked)} == {1, 2}
    assert [e.epoch for e in of(run, Epoch)] == [0, 1]
    assert len(of(run, Trained)) == 1
    summary = summarise(run)
    assert summary.complete
    assert exit_status(summary) == 0
    (line,) = summary.lines
    assert 0 < line.share_of_bound["train"].value < 1
    assert line.peak_bytes is not None
    assert line.peak_bytes_above_import is not None
    assert line.peak_bytes > line.peak_bytes_above_import >= 0


def test_what_one_backend_does_wrong_is_its_own_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    stranger.install(site, monkeypatch)
    names = ",".join(["numpy", *(fault.lower() for fault in stranger.FAULTS)])
    # So small that even a slow machine takes far more than LATE steps in a block.
    small = {"layers": 1, "hidden": 4, "batch": 2, "seq_len": 2, "block_seconds": 0.1}
    run = start(tmp_path / "run", names, timeout=5, **small)
    reasons = {f.row.backend: f.reason for f in of(run, Failure)}
    assert reasons == {
        "raises": "raised",
        "raisesonconstruction": "raised",
        "abortslate": "aborted",
        "iskilledlate": "out of memory",
        "hangslate": "hung",
        "changesinputslate": "raised",
    }
    summary = summarise(run)
    sound = {line.row.backend: line.sound for line in summary.lines}
    assert [name for name, is_sound in sound.items() if is_sound] == ["numpy"]
    assert summary.complete
    assert exit_status(summary) == 1
    assert first_difference(of(run, Rung, "notanumber")).rung == "clip"
    for early in ("notanumber", "raises"):
        assert not of(run, Block, early), "no speed without agreement"
    for late in ("notanumberlate", "stopsworkinglate"):
        assert {r.verdict for r in of(run, Rung, late)} == {"agrees"}
        assert "differs" in {c.verdict for c in of(run, Checked, late)}, (
            "caught by the clock's check"
        )
        assert not of(run, Trained, late)


def test_a_row_without_training_is_timed_for_what_it_claims(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger.install(tmp_path, monkeypatch, ["honest:InferenceAlone"])
    run = start(tmp_path / "run", "inferencealone")
    assert {b.workload for b in of(run, Block)} == {"stage", "forward"}
    assert {r.rung for r in of(run, Rung) if r.verdict == "not claimed"} >= {"loss", "step"}
    assert exit_status(summarise(run)) == 0


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8, 0.97])
def test_resume_does_only_what_is_missing(tmp_path: Path, share: float) -> None:
    folder = tmp_path / "run"
    whole = start(folder, "numpy")
    path = folder / "records.jsonl"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    before = store.read(folder)
    run = go_on(folder)
    assert summarise(run).complete
    assert run.records[: len(before.records)] == before.records
    assert not run.truncated
    finished = [(f.phase, f.row) for f in of(run, Finished) if f.phase != "timing"]
    assert len(finished) == len(set(finished))
    assert len(of(run, Stopped)) == 1
    done = [f for f in of(run, Finished) if f.phase == "timing"]
    assert len(done) == len([f for f in of(whole, Finished) if f.phase == "timing"])
    again = go_on(folder)
    assert again.records == run.records


def test_a_killed_run_leaves_no_worker_and_can_be_resumed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    options = [f"--{k.replace('_', '-')}={v}" for k, v in SMALL.items() if k != "launches"]
    command = [sys.executable, "-m", "lstmbench", "run", "--backend=numpy", *options]
    process = subprocess.Popen([*command, "--launches=50", "--output", str(folder)])
    records = folder / "records.jsonl"
    deadline = time.monotonic() + 120
    while not (records.exists() and b'"Block"' in records.read_bytes()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    workers = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive
    assert any(isinstance(r, Block) for r in store.read(folder).records)
    header = (folder / "run.json").read_text().replace('"launches": 50', '"launches": 2')
    (folder / "run.json").write_text(header)
    assert summarise(go_on(folder)).complete

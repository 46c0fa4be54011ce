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

from lstmbench import UsageError
from lstmbench.analysis.analyse import analyse
from lstmbench.analysis.verdict import first_difference
from lstmbench.execution.workers import OracleWorker
from lstmbench.experiment import planning
from lstmbench.experiment import run as runs
from lstmbench.interface import TaskInfo
from lstmbench.interface.errors import OracleFailed
from lstmbench.plugins import registry as plugins
from lstmbench.protocol.messages import ExpectBlock
from lstmbench.protocol.observations import (
    Block,
    BlockCheck,
    Epoch,
    Failure,
    Finished,
    OracleTrained,
    Phase,
    Retried,
    RungResult,
    Stopped,
    Trained,
    TrainingCheck,
)
from lstmbench.protocol.progress import Progress
from lstmbench.protocol.settings import from_mapping
from lstmbench.records import folder as folders
from lstmbench.report.document import document

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


def start(folder: Path, backend: str, **settings: Any) -> folders.Run:
    registry = plugins.discover()
    header = planning.plan(
        from_mapping({**SMALL, "backend": backend, **settings}, "test"), registry
    )
    folders.create(folder, header)
    return go_on(folder)


def go_on(folder: Path) -> folders.Run:
    runs.resume(folder, plugins.discover())
    return folders.read(folder)


def of(run: folders.Run, kind: type, backend: str | None = None) -> list[Any]:
    found: list[Any] = [r for r in run.records if isinstance(r, kind)]
    return [r for r in found if backend is None or r.contender.backend == backend]


def test_a_run_checks_times_and_trains(tmp_path: Path) -> None:
    run = start(tmp_path / "run", "numpy")
    assert {r.result.outcome for r in of(run, RungResult)} == {"passed"}
    blocks = Counter((b.launch, b.workload) for b in of(run, Block))
    assert set(blocks.values()) == {2}
    assert len(blocks) == 2 * 5
    assert {c.result.outcome for c in of(run, BlockCheck)} == {"passed"}
    assert {c.launch for c in of(run, BlockCheck)} == {1, 2}
    assert [e.epoch for e in of(run, Epoch)] == [0, 1]
    assert len(of(run, Trained)) == 1
    trained = of(run, TrainingCheck)
    assert {(c.check, c.result.outcome) for c in trained} == {
        ("losses", "passed"),
        ("logits", "passed"),
        ("digits", "passed"),
    }
    assert {one.variant for one in of(run, OracleTrained)} == {"plain", "accurate", "exact"}
    assert len([c for c in trained if c.check == "logits"]) == 2, "after some epoch and the last"
    found = analyse(run)
    assert found.complete
    assert found.passed
    (one,) = found.contenders
    assert 0 < one.roofline["train"].estimate.value < 1
    assert one.peak_bytes is not None
    assert one.peak_bytes_above_import is not None
    assert one.peak_bytes > one.peak_bytes_above_import >= 0


def test_approximate_activations_are_timed_and_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    stranger.install(site, monkeypatch, ["honest:Approximate"])
    run = start(tmp_path / "run", "numpy,approximate")
    found = analyse(run)
    assert found.passed and found.approximate
    one = found["approximate"]
    assert one.verdict.status == "passed as approximate"
    assert "train" in one.speed_ratio and one.metrics
    assert {"plain", "accurate", "approximate"} < {r.variant for r in of(run, OracleTrained)}
    told = document(found)
    assert any("≈" in cell and "as approximate" in cell for cell in told.tables[0].rows[-1])
    assert any(p.startswith("approximate: its activations are approx") for p in told.warnings)
    assert found["numpy"].verdict.status == "passed"


def test_what_one_backend_does_wrong_is_its_own_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    stranger.install(site, monkeypatch)
    names = ",".join(["numpy", *(fault.lower() for fault in stranger.FAULTS)])
    # So small that even a slow machine takes far more than LATE steps in a block.
    small = {"layers": 1, "hidden": 4, "batch": 2, "seq_len": 2, "block_seconds": 0.2}
    run = start(tmp_path / "run", names, timeout=5, **small)
    reasons = {f.contender.backend: f.kind for f in of(run, Failure)}
    assert reasons == {
        "raises": "raised",
        "raisesonconstruction": "raised",
        "abortslate": "aborted",
        "iskilledlate": "out of memory",
        "hangslate": "hung",
        "changesinputslate": "raised",
    }
    found = analyse(run)
    passed = [one.contender.backend for one in found.contenders if one.verdict.passed]
    assert passed == ["numpy"]
    assert found.complete
    assert not found.passed
    assert first_difference(of(run, RungResult, "notanumber")).rung == "clip"
    for early in ("notanumber", "raises"):
        assert not of(run, Block, early), "no speed without agreement"
    for late in ("notanumberlate", "stopsworkinglate"):
        assert {r.result.outcome for r in of(run, RungResult, late)} == {"passed"}
        assert "failed" in {c.result.outcome for c in of(run, BlockCheck, late)}, (
            "caught by the clock's check"
        )
        assert not of(run, Trained, late)


@pytest.fixture
def with_tasks(monkeypatch: pytest.MonkeyPatch) -> plugins.Registry:
    """The registry with tasks that do something wrong."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "support"), prepend=":")
    found = plugins.discover()
    for name in ("RaisesInSequences", "RaisesOnConstruction"):
        found.tasks.add(TaskInfo(name.lower(), f"broken_tasks:{name}"), "theirs")
    return found


def test_a_task_that_fails_leaves_parity_and_timing(
    tmp_path: Path, with_tasks: plugins.Registry
) -> None:
    given = {**SMALL, "backend": "numpy", "task": "raisesinsequences"}
    folder = tmp_path / "run"
    folders.create(folder, planning.plan(from_mapping(given, "test"), with_tasks))
    with pytest.raises(OracleFailed, match=r"^the oracle failed: raised: RuntimeError: no data"):
        runs.resume(folder, with_tasks)
    run = folders.read(folder)
    assert of(run, RungResult) and of(run, Stopped) and len(of(run, Block)) == 2 * 2 * 5
    found = analyse(run)
    assert found["numpy"].seconds and not found.complete
    told = document(found).warnings
    assert any("task 'raisesinsequences': the oracle failed" in problem for problem in told)


def test_a_task_that_cannot_be_made_is_refused_in_one_line(with_tasks: plugins.Registry) -> None:
    given = {**SMALL, "backend": "numpy", "task": "raisesonconstruction"}
    with pytest.raises(UsageError, match=r"RuntimeError: no such file \(with task 'raisesonc"):
        planning.plan(from_mapping(given, "test"), with_tasks)


def test_an_oracle_that_is_killed_while_others_are_timed_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = []

    def ask(self: OracleWorker, request: Any, answer: type) -> Any:
        if isinstance(request, ExpectBlock) and not killed:
            killed.append(self.pid)
            os.kill(self.pid, signal.SIGKILL)
        return once(self, request, answer)

    once = OracleWorker.ask
    monkeypatch.setattr(OracleWorker, "ask", ask)
    run = start(tmp_path / "run", "numpy")
    assert killed and analyse(run).passed and analyse(run).complete


def test_a_backend_without_training_is_timed_for_what_it_claims(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger.install(tmp_path, monkeypatch, ["honest:InferenceAlone"])
    run = start(tmp_path / "run", "inferencealone")
    assert {b.workload for b in of(run, Block)} == {"stage", "forward"}
    assert {r.rung for r in of(run, RungResult) if r.result.outcome == "not claimed"} >= {
        "loss",
        "step",
    }
    assert analyse(run).passed


@pytest.mark.parametrize(
    "share",
    [
        pytest.param(0.1, marks=pytest.mark.slow),
        0.5,
        pytest.param(0.8, marks=pytest.mark.slow),
        0.97,
    ],
)
def test_resume_does_only_what_is_missing(tmp_path: Path, share: float) -> None:
    folder = tmp_path / "run"
    whole = start(folder, "numpy")
    path = folder / "records.jsonl"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    before = folders.read(folder)
    run = go_on(folder)
    assert analyse(run).complete
    assert run.records[: len(before.records)] == before.records
    assert not run.truncated
    finished = [(f.phase, f.contender) for f in of(run, Finished) if f.phase != "timing"]
    assert len(finished) == len(set(finished))
    assert len(of(run, Stopped)) == 1
    done = [f for f in of(run, Finished) if f.phase == "timing"]
    assert len(done) == len([f for f in of(whole, Finished) if f.phase == "timing"])
    again = go_on(folder)
    assert again.records == run.records


@pytest.mark.parametrize("phase", ["timing", "training"])
def test_what_was_killed_from_outside_can_be_tried_again(tmp_path: Path, phase: Phase) -> None:
    folder = tmp_path / "run"
    whole = start(folder, "numpy")
    (numpy,) = whole.header.contenders
    writer = folders.Writer(folder)
    killed = Failure(contender=numpy, phase=phase, kind="out of memory", message="killed")
    writer.append(killed)
    writer.close()
    assert not analyse(go_on(folder)).passed, "a failure stays"
    runs.resume(folder, plugins.discover(), retry_failed=True)
    run = folders.read(folder)
    assert analyse(run).succeeded
    assert of(run, Retried) == [Retried(contender=numpy, phase=phase)]
    launches = {block.launch for block in of(run, Block)}
    assert launches == ({1, 2, 3, 4} if phase == "timing" else {1, 2})
    assert analyse(run).launches == 2
    runs.resume(folder, plugins.discover(), retry_failed=True)
    assert folders.read(folder).records == run.records, "there is nothing to try again"


def test_what_a_backend_raised_is_its_own_fault(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (numpy,) = start(folder, "numpy").header.contenders
    writer = folders.Writer(folder)
    writer.append(Failure(contender=numpy, phase="training", kind="raised", message="no"))
    writer.close()
    runs.resume(folder, plugins.discover(), retry_failed=True)
    run = folders.read(folder)
    assert not of(run, Retried) and not analyse(run).passed


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
    assert any(isinstance(r, Block) for r in folders.read(folder).records)
    header = (folder / "run.json").read_text().replace('"launches": 50', '"launches": 2')
    (folder / "run.json").write_text(header)
    assert analyse(go_on(folder)).complete


def test_progress_is_told_phase_by_phase_and_never_goes_back(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []

    def report(progress: Progress) -> None:
        seen.append((progress.phase, progress.done, progress.total))

    header = planning.plan(from_mapping({**SMALL, "backend": "numpy"}, "test"), plugins.discover())
    folders.create(tmp_path / "run", header)
    runs.resume(tmp_path / "run", plugins.discover(), report)
    phases = ("parity", "timing", "oracle's training", "training")
    assert tuple(dict.fromkeys(phase for phase, _, _ in seen)) == phases
    for phase in phases:
        done = [(d, total) for name, d, total in seen if name == phase]
        assert [d for d, _ in done] == sorted(d for d, _ in done)
        assert all(d <= total for d, total in done) and done[-1][0] == done[-1][1]

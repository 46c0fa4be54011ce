import errno
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lstmbench.analysis.analyse import analyse
from lstmbench.execution.launch import SLOWDOWN_EVERY, Launch, in_turn, measure_peaks
from lstmbench.execution.workers import KeptWorkers, WorkerFactory, WorkerFailed
from lstmbench.host import gpu
from lstmbench.host.environment import Environment
from lstmbench.interface import BackendInfo
from lstmbench.interface.workloads import WORKLOADS
from lstmbench.plugins.registry import Registry, discover
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import (
    Block,
    BlockCheck,
    DeviceMemory,
    Disturbance,
    MachinePeaks,
    Record,
    Startup,
)
from lstmbench.protocol.settings import Settings, from_mapping
from lstmbench.records.folder import Header, Run
from lstmbench.report.warnings import warnings

A, B, C = (Contender(backend=name) for name in "abc")


def test_rounds_go_forth_and_back() -> None:
    assert [in_turn([A, B], 0, n) for n in range(4)] == [[A, B], [B, A], [A, B], [B, A]]


def test_every_contender_takes_every_place_equally_often() -> None:
    places: Counter[tuple[Contender, int]] = Counter()
    for launch in range(3):
        for round_ in range(2):
            places.update((one, n) for n, one in enumerate(in_turn([A, B, C], launch, round_)))
    assert set(places.values()) == {2}


def settings(**values: float) -> Settings:
    small = {"backend": "numpy", "hidden": 16, "batch": 8, "threads": 1, "rounds": 2}
    return from_mapping({**small, "block_seconds": 0.01, **values}, "test")


def fail(contender: Contender, error: WorkerFailed) -> None:
    raise error


def test_an_injected_slowdown_is_five_percent_more_uncounted_work() -> None:
    contenders = [
        Contender(backend="numpy", replica=1),
        Contender(backend="numpy", injected_slowdown=True),
    ]
    records: list[Record] = []
    with WorkerFactory(discover()) as factory:
        launch = Launch(factory, settings(), 1, records.append, fail, workloads=["train"])
        launch.run(contenders)
    blocks = [r for r in records if isinstance(r, Block)]
    assert len(blocks) == 2 * 2
    assert len({block.calls for block in blocks}) == 1
    for block in blocks:
        assert block.calls % SLOWDOWN_EVERY == 0
        assert block.extra_calls == (block.calls / 20 if block.contender.injected_slowdown else 0)


def test_results_of_timed_blocks_are_compared_with_the_oracle() -> None:
    records: list[Record] = []
    with (
        WorkerFactory(discover()) as factory,
        factory.open_oracle(settings()) as oracle,
    ):
        launch = Launch(factory, settings(), 1, records.append, fail)
        launch.run([Contender(backend="numpy")], oracle)
    checks = [r for r in records if isinstance(r, BlockCheck)]
    assert [c.workload for c in checks] == [w.name for w in WORKLOADS.values() if w.verified]
    assert {c.result.outcome for c in checks} == {"passed"}
    (disturbance,) = (r for r in records if isinstance(r, Disturbance))
    assert disturbance.other_share is not None
    assert 0 <= disturbance.other_share <= 1.1


def test_the_machines_peaks_are_measured_in_a_worker() -> None:
    with WorkerFactory(discover()) as factory:
        machine = measure_peaks(factory, settings(), 3)
    assert machine.launch == 3
    assert 1e8 < machine.matrix_flops_per_second < 1e15
    assert 1e8 < machine.memory_bytes_per_second < 1e13


@pytest.mark.parametrize("together", [False, True])
def test_what_cannot_be_started_any_more_is_told_and_the_others_are_timed(
    monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    contenders = [Contender(backend="numpy", replica=n) for n in range(3)]
    failed: dict[Contender, str] = {}
    started = []

    def limited(*args: Any, **named: Any) -> Any:
        if len(started) == 2:
            raise OSError(errno.EMFILE, "Too many open files")
        started.append(1)
        return popen(*args, **named)

    popen, registry = subprocess.Popen, discover()
    monkeypatch.setattr("lstmbench.host.child.subprocess.Popen", limited)
    records: list[Record] = []
    with WorkerFactory(registry) as factory:
        launch = Launch(
            factory,
            settings(),
            1,
            records.append,
            lambda one, error: failed.update({one: error.message}),
            workloads=["forward"],
            together=together,
        )
        launch.run(contenders)
    assert failed == {contenders[2]: "could not be started: Too many open files"}
    assert {r.contender for r in records if isinstance(r, Block)} == set(contenders[:2])


# GPUs, of which two are made up


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "support"), prepend=":")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,MIG-b")
    found = discover()
    for name, made in (("like", "GpuLike"), ("silent", "TellsNothing")):
        found.backends.add(BackendInfo(name, f"gpulike:{made}", devices=("cuda",)), "theirs")
    return found


def on_gpus(registry: Registry, contenders: list[Contender], **given: bool) -> list[Record]:
    records: list[Record] = []
    with WorkerFactory(registry) as factory:
        names = ["forward"]
        Launch(factory, settings(), 1, records.append, fail, workloads=names, **given).run(
            contenders
        )
    return records


@pytest.mark.parametrize("together", [False, True])
def test_each_contender_sees_its_device_and_its_library_measures_it(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    hot = gpu.GpuState(device="cuda:1", temperature_celsius=91, throttles=["power cap"])
    monkeypatch.setattr(gpu.GpuMonitor, "states", lambda self: [hot])
    contenders = [
        Contender(backend="like", device="cuda:1"),
        Contender(backend="silent", device="cuda"),
        Contender(backend="numpy"),
    ]
    records = on_gpus(registry, contenders, together=together)
    like, silent, numpy = (r for r in records if isinstance(r, Startup))
    assert like.description["sees"] == "MIG-b" and silent.description["sees"] == "GPU-a"
    assert like.device_memory == DeviceMemory(peak_bytes=7 << 20, told_by="library")
    assert silent.device_memory is None, "there is no driver here to tell"
    assert numpy.device_memory is None
    peaks = {r.contender: r for r in records if isinstance(r, MachinePeaks)}
    assert set(peaks) == set(contenders[:2]), "NumPy measures the CPU's"
    of_like, of_silent = peaks[contenders[0]], peaks[contenders[1]]
    assert of_like.matrix_flops_per_second and of_like.memory_bytes_per_second
    assert of_like.dispatch_seconds and of_silent.dispatch_seconds is None
    header = Header(
        lstmbench="",
        created="",
        settings=settings(),
        contenders=contenders,
        skipped={},
        environment=Environment(),
    )
    found = analyse(Run(header, records))
    assert found["like:cuda:1"].roofline.keys() == {"forward"}
    assert not found["silent:cuda"].roofline, "no other device's rates are put in their place"
    assert "the clocks of cuda:1 were held down by power cap" in " ".join(warnings(found))


def test_kept_workers_go_on_in_the_same_process_with_other_settings(registry: Registry) -> None:
    one = Contender(backend="like", device="cuda")
    with KeptWorkers(registry) as factory:
        processes = []
        for hidden in (8, 12):
            factory.again()
            for _ in range(2):
                records: list[Record] = []
                chosen = settings(hidden=hidden)
                Launch(factory, chosen, 1, records.append, fail, workloads=["forward"]).run([one])
                (startup,) = (r for r in records if isinstance(r, Startup))
                processes.append(startup.description["process"])
    assert processes[:2] == processes[2:] and len(set(processes)) == 2

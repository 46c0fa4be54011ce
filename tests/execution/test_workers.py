import ast
import os
import re
import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event

import psutil
import pytest

from lstmbench import parity
from lstmbench.execution.workers import OracleWorker, Worker, WorkerFactory, WorkerFailed
from lstmbench.host import cpu, processes
from lstmbench.host.child import EXIT_SECONDS, LOG_TAIL_BYTES
from lstmbench.interface import Options
from lstmbench.interface.errors import OracleFailed
from lstmbench.parity import Observation
from lstmbench.parity.rungs import rungs
from lstmbench.plugins.registry import Registry
from lstmbench.protocol import messages
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.messages import Done, Measure, ObserveCase, Opened
from lstmbench.protocol.observations import Block
from lstmbench.protocol.settings import Settings

START_SECONDS = 120
SUPPORT = Path(__file__).parents[1] / "support"
NUMPY = "lstmbench_numpy.backend:NumpyBackend"
Start = Callable[..., Worker]
TRAIN = Measure(launch=1, round=0, position=0, workload="train", calls=1)


@pytest.fixture
def start(tmp_path: Path) -> Start:
    def start(threads: int = 1, **variables: str) -> Worker:
        inherited = processes.worker_environment(threads, tmp_path)
        path = str(SUPPORT)
        return Worker({**inherited, "PYTHONPATH": path, **variables}, START_SECONDS)

    return start


def opening(factory: str, threads: int = 1) -> messages.Open:
    return messages.Open(
        contender=Contender(backend="test"),
        factory=factory if ":" in factory else f"misbehaving:{factory}",
        options=Options(threads=threads),
        settings=Settings(),
        task_factory="lstmbench_digits.task:Digits",
    )


def climb(worker: Worker) -> list[Observation]:
    """Climb a small ladder, of which training steps are a part."""
    replies = worker.stream(ObserveCase(case="single"), Done, Observation)
    return [reply for reply in replies if isinstance(reply, Observation)]


def bits(observation: Observation) -> dict[str, bytes]:
    """Every array of an observation, to the last bit."""
    return {name: array.tobytes() for name, array in observation.arrays.items()}


def train(worker: Worker) -> Block:
    """Time a few training steps."""
    return worker.ask(TRAIN, Block)


def failure(start: Start, fault: str, timeout: float = START_SECONDS) -> tuple[WorkerFailed, int]:
    """How the parent learns of a fault, and the process that had it."""
    with start() as worker:
        process = worker.pid
        worker.ask(opening(fault), Opened)
        worker.timeout = timeout
        with pytest.raises(WorkerFailed) as caught:
            train(worker)
        with pytest.raises(WorkerFailed):
            train(worker)  # gone is gone, and it is said at once
    return caught.value, process


def gone(process: int) -> bool:
    """Whether a process has ended, or does within the moment that a signal takes."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            if psutil.Process(process).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


def test_a_healthy_worker_answers_and_ends(start: Start) -> None:
    with start() as worker:
        process = worker.pid
        opened = worker.ask(opening(NUMPY), Opened)
        first, second = climb(worker), climb(worker)
    assert opened.devices == ["cpu"]
    assert opened.capabilities == ["forward", "generate", "loss_and_gradients", "train_step"]
    assert [observed.rung for observed in first] == [rung.name for rung in rungs("single")]
    assert [bits(one) for one in first] == [bits(one) for one in second]
    assert gone(process)


def test_what_comes_through_the_pipe_is_what_was_computed(start: Start) -> None:
    from lstmbench_numpy.backend import NumpyBackend

    with start() as worker:
        worker.ask(opening(NUMPY), Opened)
        there = climb(worker)
    here = parity.observe(NumpyBackend, Options(), parity.CASES["single"])
    for observed, expected in zip(there, here, strict=True):
        assert observed.rung == expected.rung
        assert {n: a.tobytes() for n, a in observed.arrays.items()} == {
            n: a.tobytes() for n, a in expected.arrays.items()
        }


def test_an_exception_is_told_with_its_traceback(start: Start) -> None:
    error, process = failure(start, "Raises")
    assert error.kind == "raised"
    assert error.message == "RuntimeError: something is wrong"
    assert "misbehaving.py" in error.traceback and "second line" in error.traceback
    assert gone(process)


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        ("Leaves", "raised", "SystemExit: that is enough"),
        ("Exits", "aborted", "ended with exit status 3"),
        ("Aborts", "aborted", "ended by SIGABRT"),
        ("Segfaults", "aborted", "ended by SIGSEGV"),
        ("IsKilled", "out of memory", "killed by SIGKILL.*memory"),
        ("OutOfMemory", "out of memory", "MemoryError: Unable to allocate"),
        ("OutOfDeviceMemory", "out of memory", "RuntimeError: CUDA out of memory.*8 GiB.$"),
        ("NotFinite", "not finite", "FloatingPointError: the loss"),
    ],
)
def test_every_end_has_its_reason(start: Start, fault: str, kind: str, message: str) -> None:
    error, process = failure(start, fault)
    assert error.kind == kind
    assert re.match(message, error.message)
    assert gone(process)


def test_an_abort_is_told_with_the_last_words(start: Start) -> None:
    error, _ = failure(start, "Aborts")
    assert "these are its last words" in error.traceback


@pytest.mark.parametrize("fault", ["Hangs", "HangsDeaf"])
def test_a_hang_is_killed(start: Start, fault: str) -> None:
    error, process = failure(start, fault, timeout=1)
    assert error.kind == "hung"
    assert error.message == "no answer within 1 s; killed"
    assert gone(process)


def test_a_hang_is_killed_with_what_it_started(start: Start) -> None:
    error, process = failure(start, "HangsWithChild", timeout=1)
    assert gone(process) and gone(int(error.traceback.split()[-1]))


def test_a_reply_that_cannot_be_understood_is_that_workers_failure(start: Start) -> None:
    with start() as worker:
        process = worker.pid
        with pytest.raises(WorkerFailed) as caught:
            worker.ask(opening("TellsNonsense"), Opened)
    assert caught.value.kind == "aborted"
    assert "cannot be understood: ValidationError: Expected `str`, got `int`" in str(caught.value)
    assert gone(process)


@pytest.mark.parametrize("fault", ["WritesText", "WritesAFrame"])
def test_bytes_in_the_pipe_are_no_reply(start: Start, fault: str) -> None:
    began = time.monotonic()
    error, process = failure(start, fault)
    assert (error.kind, gone(process)) == ("aborted", True)
    assert "cannot be understood" in error.message
    assert time.monotonic() - began < START_SECONDS / 2


def test_a_death_is_noticed_though_a_child_holds_the_pipe(start: Start) -> None:
    began = time.monotonic()
    error, process = failure(start, "DiesBesideAChild")
    assert time.monotonic() - began < START_SECONDS / 2
    assert (error.kind, error.message) == ("aborted", "ended with exit status 5")
    child = int(error.traceback.split()[-1])
    assert gone(process) and gone(child), "a session of its own does not save it"


def oracle(start: Start, *faults: str) -> OracleWorker:
    """An oracle whose first processes are those of misbehaving backends."""
    made = iter([*faults, NUMPY, NUMPY])

    def begin() -> Worker:
        worker = start()
        worker.ask(opening(next(made)), Opened)
        return worker

    return OracleWorker(begin)


@pytest.mark.parametrize("fault", ["Exits", "IsKilled", "Segfaults"])
def test_an_oracle_that_dies_is_started_again_once(start: Start, fault: str) -> None:
    with oracle(start, fault) as one:
        found = one.collect(ObserveCase(case="single"), Done, Observation)
    assert len([reply for reply in found if isinstance(reply, Observation)]) == len(rungs("single"))
    assert isinstance(found[-1], Done), "all of it is from the second process"
    with oracle(start, fault, fault) as two, pytest.raises(OracleFailed, match="the oracle failed"):
        two.collect(ObserveCase(case="single"), Done, Observation)


def test_close_leaves_no_child_of_a_worker_behind(start: Start) -> None:
    error, process = failure(start, "RaisesWithChild")
    child = int(error.message.split()[-1])
    left = not gone(child)
    if left:
        psutil.Process(child).kill()
    assert gone(process) and not left


def test_close_ends_a_worker_that_is_busy(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    with start() as worker:
        process = worker.pid
        worker.ask(opening("Hangs"), Opened)
        worker.send(TRAIN)
        monkeypatch.setattr(worker, "close", partial(worker._child.close, 0.5))
    assert gone(process)


def test_close_ends_a_worker_that_was_never_asked(start: Start) -> None:
    with start() as worker:
        process = worker.pid
    assert gone(process)


def test_an_error_of_the_parent_ends_the_worker_too(start: Start) -> None:
    with pytest.raises(KeyboardInterrupt), start() as worker:
        process = worker.pid
        worker.ask(opening("Hangs"), Opened)
        worker.send(TRAIN)
        began = time.monotonic()
        raise KeyboardInterrupt
    assert gone(process)
    assert time.monotonic() - began < EXIT_SECONDS / 2, "at once"


def test_workers_of_other_threads_end_with_the_whole(start: Start) -> None:
    factory = WorkerFactory(Registry())
    begun, processes = Event(), []

    def job() -> None:
        with start() as worker:
            factory._running.append(worker)
            processes.append(worker.pid)
            worker.ask(opening("Hangs"), Opened)
            begun.set()
            train(worker)

    def interrupt() -> None:
        begun.wait()
        raise KeyboardInterrupt

    with factory, pytest.raises(KeyboardInterrupt):
        factory.side_by_side([interrupt, job], most=2)
    assert gone(processes[0])


def test_shared_memory_of_a_worker_is_removed(start: Start) -> None:
    error, _ = failure(start, "LeavesSharedMemory")
    names = error.traceback.split()[-3:]
    assert [name for name in names if Path("/dev/shm", name).exists()] == []
    assert error.kind == "aborted"


def test_a_worker_is_not_started_where_no_more_files_can_be_opened(start: Start) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = len(os.listdir("/proc/self/fd"))
    before = {child.pid for child in psutil.Process().children()}
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 8, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert {child.pid for child in psutil.Process().children()} <= before


def test_megabytes_of_prints_do_not_reach_the_protocol(start: Start) -> None:
    with start() as worker:
        worker.ask(opening("Prints"), Opened)
        printing = climb(worker)
        worker.ask(opening(NUMPY), Opened)
        assert [bits(one) for one in climb(worker)] == [bits(one) for one in printing]


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("misbehaving:Missing", "AttributeError: .*Missing"),
        ("no_such_module:C", "ModuleNotFoundError: .*no_such_module"),
        ("RaisesOnConstruction", "RuntimeError: no float32 here"),
    ],
)
def test_a_backend_that_does_not_open_is_told_of(start: Start, factory: str, message: str) -> None:
    with start() as worker, pytest.raises(WorkerFailed, match=message) as caught:
        worker.ask(opening(factory), Opened)
    assert caught.value.kind == "raised" and "Traceback" in caught.value.traceback


def test_an_interpreter_that_does_not_start_is_told_of(start: Start) -> None:
    with start(PYTHONHOME="/nowhere") as worker, pytest.raises(WorkerFailed) as caught:
        worker.ask(opening(NUMPY), Opened)
    assert caught.value.kind == "aborted"
    assert "encodings" in caught.value.traceback


def test_a_worker_runs_in_its_own_environment_and_session(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.setenv("OMP_NUM_THREADS", "77")
    with start(threads=2) as worker:
        worker.ask(opening("RaisesItsEnvironment", threads=2), Opened)
        with pytest.raises(WorkerFailed) as caught:
            train(worker)
    (told,) = re.findall(r"^RuntimeError: (.*)$", caught.value.traceback, re.MULTILINE)
    found = ast.literal_eval(told)
    given = processes.worker_environment(2, tmp_path)
    differs = {name for name, value in given.items() if found.get(name) != value}
    assert differs <= {"PYTHONPATH"}
    assert all(found[name] == "2" for name in processes.THREAD_VARIABLES)
    assert "OMP_WAIT_POLICY" not in found
    assert int(found["cores"]) == min(2, cpu.usable_cores())
    assert int(found["session"]) != os.getsid(0)


def test_an_answer_of_another_kind_is_that_workers_failure(start: Start) -> None:
    with start() as worker, pytest.raises(WorkerFailed, match="Opened in place of Observation"):
        worker.ask(opening(NUMPY), Observation)


def test_of_a_flood_of_prints_the_last_is_kept_and_no_more(start: Start) -> None:
    error, _ = failure(start, "FloodsAndAborts")
    assert error.traceback.rstrip().endswith("the very last words")
    assert len(error.traceback) <= LOG_TAIL_BYTES

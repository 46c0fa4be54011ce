"""The parent's side of a worker: starting it, asking it, and knowing how it ended."""

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import IO, Any, TypeVar

from lstmbench.host import processes
from lstmbench.interface.errors import OracleFailed, headline
from lstmbench.plugins.registry import Registry
from lstmbench.protocol import messages, wire
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import FailureKind
from lstmbench.protocol.settings import Settings

LOG_TAIL_BYTES = 4000
EXIT_SECONDS = 10
LOOK_SECONDS = 1.0
"""How often it is looked whether a worker that says nothing is still there."""

ORACLE = Contender(backend="oracle")
ORACLE_FACTORY = "lstmbench.parity.oracle:Oracle"

Answer = TypeVar("Answer")


class WorkerFailed(Exception):
    """A worker raised, died or hung; `kind` says which."""

    def __init__(self, kind: FailureKind, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.kind, self.message, self.traceback = kind, message, traceback


class Log(Thread):
    """Reads all that a worker prints, and keeps the last of it."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream, self._kept = stream, b""
        self.start()

    def run(self) -> None:
        with self._stream:
            while part := os.read(self._stream.fileno(), 1 << 16):
                self._kept = (self._kept + part)[-LOG_TAIL_BYTES:]

    def tail(self) -> str:
        """Return the last that a worker has printed, which has ended."""
        self.join(LOOK_SECONDS)
        return self._kept.decode(errors="replace")


class Worker:
    """A worker process. Use as a context manager: it is gone at the end, unless it is `kept`."""

    def __init__(self, environment: Mapping[str, str], timeout: float) -> None:
        self.timeout, self.kept = timeout, False
        self._mark = uuid.uuid4().hex
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lstmbench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment, processes.MARK: self._mark},
            start_new_session=True,
        )
        assert self._process.stderr is not None
        self._log = Log(self._process.stderr)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        if not self.kept:
            self.close()

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def ask(self, request: messages.Request, answer: type[Answer]) -> Answer:
        """Send a request that has one answer."""
        self.send(request)
        return self.receive(answer)

    def receive(self, answer: type[Answer]) -> Answer:
        """Wait for the answer to the last request."""
        reply = self._receive()
        if not isinstance(reply, answer):
            raise self._unreadable(f"{type(reply).__name__} in place of {answer.__name__}")
        return reply

    def stream(self, request: messages.Request, last: type, *others: type) -> Iterator[Any]:
        """Send a request that has several answers, the last of type `last`."""
        self.send(request)
        while True:
            reply = self._receive()
            if not isinstance(reply, (last, *others)):
                raise self._unreadable(f"an unexpected {type(reply).__name__}")
            yield reply
            if isinstance(reply, last):
                return

    def send(self, request: messages.Request) -> None:
        """Send a request."""
        assert self._process.stdin is not None
        try:
            wire.send(self._process.stdin, request)
        except BrokenPipeError:
            raise self._ended() from None

    def _receive(self) -> Any:
        """Wait, asleep, for the next answer; a worker that is silent for `timeout` is killed."""
        data = wire.receive(self._reader(time.monotonic() + self.timeout))
        if data is None:
            raise self._ended()
        try:
            reply = wire.decode_reply(data)
        except Exception as error:  # whatever is wrong with it, it is the worker that has sent it
            raise self._unreadable(headline(error)) from None
        if isinstance(reply, messages.Raised):
            raise WorkerFailed(reply.kind, reply.message, reply.traceback)
        return reply

    def _readable(self, pipe: int, deadline: float) -> bool:
        """Wait until there is something to read, or the end; whether there is.

        A worker that has died may have left a child that holds the pipe open. A worker that says
        nothing until the deadline is killed.
        """
        while True:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([pipe], [], [], max(0.0, min(left, LOOK_SECONDS)))
            if ready:
                return True
            if not self.alive:
                # What it wrote at last may have come since.
                return bool(select.select([pipe], [], [], 0)[0])
            if left <= 0:
                self.kill()
                message = f"no answer within {self.timeout:g} s; killed"
                raise WorkerFailed("hung", message, self._log.tail())

    def _unreadable(self, what: str) -> WorkerFailed:
        """End a worker whose replies make no sense; return why."""
        self.kill()
        return WorkerFailed(
            "aborted", f"a reply that cannot be understood: {what}", self._log.tail()
        )

    def _reader(self, deadline: float) -> Callable[[int], bytes]:
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()

        def read(count: int) -> bytes:
            data = bytearray()  # of bytes, each part would copy all that came before
            while len(data) < count:
                if not self._readable(pipe, deadline):
                    break
                part = os.read(pipe, count - len(data))
                if not part:
                    break
                data += part
            return bytes(data)

        return read

    def _ended(self) -> WorkerFailed:
        """Return how a worker that closed its pipe came to its end."""
        try:
            status = self._process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return WorkerFailed("aborted", "closed its pipe and did not end", self._log.tail())
        if status == -signal.SIGKILL:
            message = "killed by SIGKILL, as the system does when memory runs out"
            return WorkerFailed("out of memory", message, self._log.tail())
        if status < 0:
            name = signal.Signals(-status).name
            return WorkerFailed("aborted", f"ended by {name}", self._log.tail())
        return WorkerFailed("aborted", f"ended with exit status {status}", self._log.tail())

    @property
    def pid(self) -> int:
        """The worker's process number."""
        return self._process.pid

    def kill(self) -> None:
        """End the worker and whatever it started, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        processes.kill_marked(self._mark)

    def close(self) -> None:
        """Let the worker end, or end it; what it started ends with it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError, subprocess.TimeoutExpired):
            self._process.stdin.close()
            self._process.wait(EXIT_SECONDS)
        self.kill()
        self._process.stdout.close()


class WorkerFactory:
    """Starts the workers of an experiment, which share a cache of compiled code.

    Unless `pinned`, none is kept on as many cores as it has threads, the first ones: for several
    that compute at the same time, and are not timed.
    Use as a context manager: the cache is gone at the end.
    """

    def __init__(self, registry: Registry) -> None:
        self.registry, self.pinned = registry, True
        self._cache = tempfile.TemporaryDirectory(prefix="lstmbench-")

    def __enter__(self) -> "WorkerFactory":
        return self

    def __exit__(self, *error: object) -> None:
        self._cache.cleanup()

    def open(self, contender: Contender, settings: Settings) -> Worker:
        """Return a fresh worker with a contender's backend loaded, with the run's threads.

        Raises WorkerFailed if it cannot be loaded.
        """
        return _opened(self.start(contender, settings))[0]

    def start(self, contender: Contender, settings: Settings) -> Worker:
        """Return a worker as `open` does, but while it is still loading.

        Its next answer is Opened.
        """
        factory, device = self.registry.backends[contender.backend].factory, contender.device
        return self._start(contender, factory, settings, settings.threads, device=device)

    def open_oracle(self, settings: Settings, threads: int | None = None) -> "OracleWorker":
        """Return a fresh worker with the float64 oracle.

        It has one thread unless given, as it must not depend on a quiet machine; that may run on
        any core, so that two oracles can work side by side.
        """
        pinned = threads is not None

        def start() -> Worker:
            return _opened(self._start(ORACLE, ORACLE_FACTORY, settings, threads or 1, pinned))[0]

        return OracleWorker(start)

    def devices(self, backend: str, settings: Settings) -> list[str]:
        """Return the kinds of device that a backend finds here, best first."""
        factory = self.registry.backends[backend].factory
        contender = Contender(backend=backend)
        worker, opened = _opened(self._start(contender, factory, settings, 1, device=""))
        worker.close()
        return opened.devices

    def _start(
        self,
        contender: Contender,
        factory: str,
        settings: Settings,
        threads: int,
        pinned: bool = True,
        device: str = "cpu",
    ) -> Worker:
        """Start a worker that sees the `device`; all there are if it is empty."""
        variables = processes.worker_environment(threads, Path(self._cache.name), device)
        try:
            worker = Worker(variables, settings.timeout)
        except OSError as error:  # too many open files or processes, or no memory for one more
            raise WorkerFailed("aborted", f"could not be started: {error.strerror}") from None
        try:
            worker.send(self._request(contender, factory, settings, threads, pinned))
        except BaseException:
            worker.close()
            raise
        return worker

    def _request(
        self, contender: Contender, factory: str, settings: Settings, threads: int, pinned: bool
    ) -> messages.Open:
        return messages.Open(
            contender=contender,
            factory=factory,
            options=settings.options(contender.device, threads),
            settings=settings,
            task_factory=self.registry.tasks[settings.task].factory,
            pinned=pinned and self.pinned,
        )


class OracleWorker:
    """The worker of the oracle: if it dies or hangs it is started again, once.

    It is asked for what does not depend on earlier requests. Use as a context manager. Raises
    OracleFailed where a worker raises WorkerFailed, except for what is refused.
    """

    def __init__(self, start: Callable[[], Worker]) -> None:
        self._start, self._failed = start, False
        self._worker: Worker | None = None
        self._trying(lambda worker: None)

    def __enter__(self) -> "OracleWorker":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process number of the present worker."""
        assert self._worker
        return self._worker.pid

    def ask(self, request: messages.Request, answer: type[Answer]) -> Answer:
        """Send a request that has one answer."""
        return self._trying(lambda worker: worker.ask(request, answer))

    def collect(self, request: messages.Request, last: type, *others: type) -> list[Any]:
        """Send a request that has several answers, the last of type `last`; return all."""
        return self._trying(lambda worker: list(worker.stream(request, last, *others)))

    def close(self) -> None:
        """Let the worker end."""
        if self._worker:
            self._worker.close()

    def _trying(self, work: Callable[[Worker], Answer]) -> Answer:
        while True:
            try:
                self._worker = self._worker or self._start()
                return work(self._worker)
            except WorkerFailed as error:
                self.close()
                self._worker = None
                if error.kind == "refused":
                    raise
                if self._failed or error.kind == "raised":
                    raise OracleFailed(
                        f"the oracle failed: {error.kind}: {error.message}"
                    ) from error
                self._failed = True


class KeptWorkers(WorkerFactory):
    """Has workers go on in the same process with other settings: libraries are imported once.

    Between two calls of `again`, the n-th worker of a contender is in the n-th process. A run that
    is to compare starts has no use for it.
    """

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry)
        self._kept: dict[tuple[Contender, int], Worker] = {}
        self._started: Counter[Contender] = Counter()

    def __exit__(self, *error: object) -> None:
        for worker in self._kept.values():
            worker.close()
        super().__exit__(*error)

    def again(self) -> None:
        """Begin anew with the first process of each contender."""
        self._started.clear()

    def start(self, contender: Contender, settings: Settings) -> Worker:
        key = contender, self._started[contender]
        self._started[contender] += 1
        worker = self._kept.get(key)
        if worker and worker.alive:
            factory = self.registry.backends[contender.backend].factory
            worker.send(self._request(contender, factory, settings, settings.threads, True))
            return worker
        worker = self._kept[key] = super().start(contender, settings)
        worker.kept = True
        return worker


def _opened(worker: Worker) -> tuple[Worker, messages.Opened]:
    """Return a worker once it has loaded, and what it then tells; it is closed if it fails."""
    try:
        return worker, worker.receive(messages.Opened)
    except BaseException:
        worker.close()
        raise

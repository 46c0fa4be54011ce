"""The parent's side of a worker: starting it, asking it, and knowing how it ended."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from lstmbench.host import processes, signals
from lstmbench.host.child import LOOK_SECONDS, Child, Ended, Silent
from lstmbench.host.frames import NotAFrame
from lstmbench.interface.errors import OracleFailed, headline
from lstmbench.plugins.registry import Registry
from lstmbench.protocol import messages, wire
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import FailureKind
from lstmbench.protocol.settings import Settings

ORACLE = Contender(backend="oracle")
ORACLE_FACTORY = "lstmbench.parity.oracle:Oracle"

Answer = TypeVar("Answer")


class WorkerFailed(Exception):
    """A worker raised, died or hung; `kind` says which."""

    def __init__(self, kind: FailureKind, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.kind, self.message, self.traceback = kind, message, traceback


class Worker:
    """A worker process. Use as a context manager: it is gone at the end, unless it is `kept`.

    Raises OSError if it cannot be started.
    """

    def __init__(self, environment: Mapping[str, str], timeout: float) -> None:
        self.timeout, self.kept = timeout, False
        self._child = Child("lstmbench.worker", environment)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind and not issubclass(kind, Exception):
            self.end()  # the whole run is to end
        elif not self.kept:
            self.close()

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        return self._child.alive

    @property
    def pid(self) -> int:
        """The worker's process number."""
        return self._child.pid

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
        try:
            self._child.send(wire.encode(request))
        except Ended as error:
            raise self._ended(error.status) from None

    def close(self) -> None:
        """Let the worker end, or end it; what it started ends with it."""
        self._child.close()

    def end(self) -> None:
        """End the worker, and what it started, at once."""
        self._child.close(seconds=0)

    def _receive(self) -> Any:
        """Wait, asleep, for the next answer; a worker that is silent for `timeout` is killed."""
        try:
            data = self._child.receive(self.timeout)
        except Ended as error:
            raise self._ended(error.status) from None
        except NotAFrame as error:
            raise self._unreadable(str(error)) from None
        except Silent:
            self._child.kill()
            message = f"no answer within {self.timeout:g} s; killed"
            raise WorkerFailed("hung", message, self._child.log()) from None
        try:
            reply = wire.decode_reply(data)
        except Exception as error:  # whatever is wrong with it, it is the worker that has sent it
            raise self._unreadable(headline(error)) from None
        if isinstance(reply, messages.Raised):
            raise WorkerFailed(reply.kind, reply.message, reply.traceback)
        return reply

    def _unreadable(self, what: str) -> WorkerFailed:
        """End a worker whose replies make no sense; return why."""
        self._child.kill()
        return WorkerFailed(
            "aborted", f"a reply that cannot be understood: {what}", self._child.log()
        )

    def _ended(self, status: int | None) -> WorkerFailed:
        """Return how a worker that closed its pipe came to its end."""
        if status is None:
            self._child.kill()
            return WorkerFailed("aborted", "closed its pipe and did not end", self._child.log())
        if processes.was_killed(status):
            message = "killed by SIGKILL, as the system does when memory runs out"
            return WorkerFailed("out of memory", message, self._child.log())
        return WorkerFailed("aborted", processes.ending(status), self._child.log())


class WorkerFactory:
    """Starts the workers of an experiment, which share a cache of compiled code.

    Unless `pinned`, none is kept on as many cores as it has threads, the first ones: for several
    that compute at the same time, and are not timed.
    Use as a context manager: the cache is gone at the end.
    """

    def __init__(self, registry: Registry) -> None:
        self.registry, self.pinned = registry, True
        self._cache = tempfile.TemporaryDirectory(prefix="lstmbench-")
        self._running: list[Worker] = []
        self._lock = Lock()  # of the list, as workers are started by several threads
        self._abandoned = False

    def __enter__(self) -> "WorkerFactory":
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind and not issubclass(kind, Exception):
            self.abandon()
        self._cache.cleanup()

    def abandon(self) -> None:
        """End all workers at once, those of other threads too, and start no more."""
        with self._lock:
            self._abandoned = True
            running = list(self._running)
        for worker in running:
            worker.end()

    def side_by_side(self, jobs: Sequence[Callable[[], Answer]], most: int) -> list[Answer]:
        """Return what some functions return, at most so many of them at the same time.

        If this process is told to end meanwhile, so are their workers.
        """
        with ThreadPoolExecutor(most) as pool:
            try:
                waiting = [pool.submit(job) for job in jobs]
                # A signal that comes just before a wait without end would not be noticed in it.
                while wait(waiting, timeout=LOOK_SECONDS).not_done:
                    pass
                return [one.result() for one in waiting]
            except BaseException as error:
                if not isinstance(error, Exception):
                    self.abandon()
                raise

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
            with signals.held():  # a worker that nobody knows of could not be ended
                worker = Worker(variables, settings.timeout)
                with self._lock:
                    self._running = [*(one for one in self._running if one.alive), worker]
        except OSError as error:  # too many open files or processes, or no memory for one more
            reason = error.strerror or str(error)
            raise WorkerFailed("aborted", f"could not be started: {reason}") from None
        if self._abandoned:
            worker.end()
            raise WorkerFailed("aborted", "this run is being ended")
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

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if self._worker:
            self._worker.__exit__(kind, *error)

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

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        for worker in self._kept.values():
            worker.kept = False
            worker.__exit__(kind, *error)
        super().__exit__(kind, *error)

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

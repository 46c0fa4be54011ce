"""The runner's side of a worker: starting it, asking it, and knowing how it ended."""

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil

from lstmbench.host import environment
from lstmbench.interface import Options
from lstmbench.plugins.registry import Registry
from lstmbench.protocol import messages
from lstmbench.protocol.messages import Row
from lstmbench.protocol.settings import Settings

LOG_TAIL_BYTES = 4000
EXIT_SECONDS = 10

Answer = TypeVar("Answer")


class WorkerFailed(Exception):
    """A worker raised, died or hung; `reason` is one of `messages.Reason`."""

    def __init__(self, reason: messages.Reason, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.reason, self.message, self.traceback = reason, message, traceback


class Worker:
    """A worker process. Use as a context manager: it is gone at the end."""

    def __init__(self, environment: Mapping[str, str], timeout: float) -> None:
        self.timeout = timeout
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed in close()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lstmbench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=dict(environment),
            start_new_session=True,
        )

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def ask(self, request: messages.Request, answer: type[Answer]) -> Answer:
        """Send a request that has one answer."""
        self._send(request)
        reply = self._receive()
        if not isinstance(reply, answer):
            raise TypeError(f"a worker answered {reply!r} to {request!r}")
        return reply

    def stream(self, request: messages.Request, last: type) -> Iterator[Any]:
        """Send a request that has several answers; the last is of type `last`."""
        self._send(request)
        while True:
            reply = self._receive()
            yield reply
            if isinstance(reply, last):
                return

    def _send(self, request: messages.Request) -> None:
        assert self._process.stdin is not None
        try:
            messages.send(self._process.stdin, request)
        except BrokenPipeError:
            raise self._ended() from None

    def _receive(self) -> Any:
        """The next answer, asleep until it comes; a worker silent for `timeout` is killed."""
        data = messages.receive(self._reader(time.monotonic() + self.timeout))
        if data is None:
            raise self._ended()
        reply = messages.decode_reply(data)
        if isinstance(reply, messages.Raised):
            raise WorkerFailed(reply.reason, reply.message, reply.traceback)
        return reply

    def _reader(self, deadline: float) -> Callable[[int], bytes]:
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()

        def read(count: int) -> bytes:
            data = bytearray()  # of bytes, each part would copy all that came before
            while len(data) < count:
                ready, _, _ = select.select([pipe], [], [], max(0, deadline - time.monotonic()))
                if not ready:
                    self.kill()
                    message = f"no answer within {self.timeout:g} s; killed"
                    raise WorkerFailed("hung", message, self._tail())
                part = os.read(pipe, count - len(data))
                if not part:
                    break
                data += part
            return bytes(data)

        return read

    def _ended(self) -> WorkerFailed:
        """How a worker that closed its pipe came to its end."""
        try:
            status = self._process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return WorkerFailed("aborted", "closed its pipe and did not end", self._tail())
        if status == -signal.SIGKILL:
            message = "killed by SIGKILL, as the system does when memory runs out"
            return WorkerFailed("out of memory", message, self._tail())
        if status < 0:
            name = signal.Signals(-status).name
            return WorkerFailed("aborted", f"ended by {name}", self._tail())
        return WorkerFailed("aborted", f"ended with exit status {status}", self._tail())

    def _tail(self) -> str:
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - LOG_TAIL_BYTES))
        return self._log.read().decode(errors="replace")

    def processor_seconds(self) -> float:
        """Processor time that the worker has used so far; 0 if it is gone."""
        try:
            times = psutil.Process(self._process.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system)

    def kill(self) -> None:
        """End the worker and whatever it started, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """Let the worker end, or end it; what it started ends with it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError, subprocess.TimeoutExpired):
            self._process.stdin.close()
            self._process.wait(EXIT_SECONDS)
        self.kill()
        self._process.stdout.close()
        self._log.close()


class Bench:
    """Where a run's workers are started: its settings, its plugins, its cache of compiled code."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self.settings, self.registry = settings, registry
        self._cache = tempfile.TemporaryDirectory(prefix="lstmbench-")

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *error: object) -> None:
        self._cache.cleanup()

    def open(self, row: Row, threads: int = 0) -> Worker:
        """A fresh worker with a row's backend loaded, with the run's threads unless given.

        Raises WorkerFailed if it cannot be loaded.
        """
        return self._open(row, threads)[0]

    def devices(self, backend: str) -> list[str]:
        """The kinds of device that a backend finds here, best first."""
        worker, opened = self._open(Row(backend=backend, device="cpu"), threads=1)
        worker.close()
        return opened.devices

    def _open(self, row: Row, threads: int) -> tuple[Worker, messages.Opened]:
        settings = self.settings
        threads = threads or settings.threads
        variables = environment.worker_environment(threads, Path(self._cache.name))
        request = messages.Open(
            row=row,
            factory=self.registry.backends.ours(row.backend).factory,
            options=Options(
                device=row.device,
                dtype=settings.dtype,
                threads=threads,
                tf32=settings.tf32,
                learning_rate=settings.learning_rate,
                clip_norm=settings.clip,
            ),
            settings=settings,
            task_factory=self.registry.tasks[settings.task].factory,
        )
        worker = Worker(variables, settings.timeout)
        try:
            return worker, worker.ask(request, messages.Opened)
        except BaseException:
            worker.close()
            raise

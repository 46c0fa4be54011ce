"""A child process that answers in frames: it can be waited for, and leaves nothing behind.

What reads its pipes are threads, as pipes cannot be waited for with a timeout on every system.
"""

import os
import queue
import subprocess
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from threading import Thread
from typing import IO

from lstmbench.host import frames, processes

LOG_TAIL_BYTES = 4000
EXIT_SECONDS = 10
LOOK_SECONDS = 1.0
"""How often it is looked whether a child that says nothing is still there."""
SPARE_FILES = 16
"""How many files this process must still be able to open once a child has been started."""


class Silent(Exception):
    """A child has not answered in time."""


class Ended(Exception):
    """A child has ended, or closed its pipe; `status` is its exit status, None if it lives on."""

    def __init__(self, status: int | None) -> None:
        super().__init__(status)
        self.status = status


class _Log(Thread):
    """Reads all that a child prints, and keeps the last of it."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream, self._kept = stream, b""

    def run(self) -> None:
        with self._stream:
            while part := os.read(self._stream.fileno(), 1 << 16):
                self._kept = (self._kept + part)[-LOG_TAIL_BYTES:]

    def tail(self) -> str:
        """Return the last that a child has printed, which has ended."""
        self.join(LOOK_SECONDS)
        return self._kept.decode(errors="replace")


class _Answers(Thread):
    """Reads frames; one waits to be taken while the next stays in the pipe."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._queue: queue.Queue[bytes | frames.NotAFrame | None] = queue.Queue(maxsize=1)

    def run(self) -> None:
        with self._stream:
            try:
                while (data := frames.read(self._read)) is not None:
                    self._queue.put(data)
            except frames.NotAFrame as error:
                self._queue.put(error)
            except (OSError, MemoryError):  # nothing more can be read
                pass
        self._queue.put(None)

    def _read(self, count: int) -> bytes:
        data = bytearray()  # of bytes, each part would copy all that came before
        while len(data) < count and (part := os.read(self._stream.fileno(), count - len(data))):
            data += part
        return bytes(data)

    def take(self, seconds: float) -> bytes | None:
        """Return the next answer, None at the end; raises queue.Empty if it does not come."""
        answer = self._queue.get(timeout=seconds)
        if isinstance(answer, frames.NotAFrame):
            raise answer
        return answer

    def drop(self) -> None:
        """Throw away what has not been taken, until the child's end."""
        end = time.monotonic() + LOOK_SECONDS
        while self.is_alive() and time.monotonic() < end:
            with suppress(queue.Empty):
                self._queue.get(timeout=0.01)


class Child:
    """A process of Python's that runs `module`; what it starts ends with it.

    Raises OSError if it cannot be started: too many files or processes, or no memory for one more.
    """

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self._since, self._mark = time.time(), uuid.uuid4().hex
        self._process = subprocess.Popen(
            processes.python_command(module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment, processes.MARK: self._mark},
            start_new_session=True,
        )
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._input = self._process.stdin
        self._log, self._answers = _Log(self._process.stderr), _Answers(self._process.stdout)
        try:
            _open_spare_files()
            self._log.start()
            self._answers.start()
        except (OSError, RuntimeError) as error:  # the latter: no thread can be started
            self.kill()
            for stream in (self._input, self._process.stdout, self._process.stderr):
                stream.close()
            raise error if isinstance(error, OSError) else OSError(0, str(error)) from None

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def send(self, data: bytes) -> None:
        """Send one frame; raises Ended if nobody is there to read it."""
        try:
            frames.write(self._input, data)
        except (BrokenPipeError, ValueError):  # the latter: closed on our side
            raise self._ended() from None

    def receive(self, seconds: float) -> bytes:
        """Wait, asleep, for the next frame.

        Raises Silent if none has come in so many seconds, Ended if the child has come to its end,
        and NotAFrame if it has written something else.
        """
        deadline, ended = time.monotonic() + seconds, False
        while True:
            left = deadline - time.monotonic()
            try:
                answer = self._answers.take(max(0.0, min(left, LOOK_SECONDS)))
            except queue.Empty:
                # A child that has died may have left one of its own that holds the pipe open.
                if ended:
                    raise self._ended() from None
                if left <= 0:
                    raise Silent from None
                ended = not self.alive  # what it wrote at last may have come since: once more
                continue
            if answer is None:
                raise self._ended()
            return answer

    def log(self) -> str:
        """Return the last that it has printed; it has ended."""
        return self._log.tail()

    def kill(self) -> None:
        """End it and whatever it started, at once."""
        processes.kill_group(self._process)
        processes.clean_up_after(self._mark, self.pid, self._since)

    def close(self, seconds: float = EXIT_SECONDS) -> None:
        """Let it end, or end it after so many seconds; what it started ends with it."""
        with suppress(OSError, ValueError):
            self._input.close()
        if seconds:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        self.kill()
        self._answers.drop()

    def _ended(self) -> Ended:
        try:
            return Ended(self._process.wait(EXIT_SECONDS))
        except subprocess.TimeoutExpired:
            return Ended(None)


def _open_spare_files() -> None:
    """Raise OSError if hardly any more files can be opened: then nothing else would work either."""
    opened = []
    try:
        for _ in range(SPARE_FILES):
            opened.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for file in opened:
            os.close(file)

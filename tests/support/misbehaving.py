"""Backends that do one thing wrong, for workers: put this folder on their PYTHONPATH.

Each is NumPy's until a training step. The late ones are correct for LATE steps after each `load`,
which is more than the parity ladder takes.
"""

import os
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from lstmbench_numpy.backend import NumpyBackend

from lstmbench import Options, Parameters

LATE = 300
LONG = 600
"""Seconds: longer than any test waits."""


class Misbehaving(NumpyBackend):
    """Correct for `correct_steps` training steps after `load`, then it misbehaves, each time."""

    correct_steps = 0

    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        self.steps = 0

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        self.steps += 1
        if self.steps > self.correct_steps:
            self.misbehave()
        return super().train_step(inputs, targets, free_running)

    def misbehave(self) -> None:
        raise NotImplementedError


class Raises(Misbehaving):
    def misbehave(self) -> None:
        raise RuntimeError("something is wrong\nand this is the second line")


class FloodsAndAborts(Misbehaving):
    def misbehave(self) -> None:
        for _ in range(50):
            print("x" * (1 << 20))
        print("the very last words", flush=True)
        os.abort()


class TellsNonsense(NumpyBackend):
    def describe(self) -> Any:
        return {7: "seven"}

    @classmethod
    def devices(cls) -> Any:
        return (7, 8)


class DiesBesideAChild(Misbehaving):
    """It dies, and a child of a session of its own holds its pipes open."""

    def misbehave(self) -> None:
        child = subprocess.Popen(["sleep", str(LONG)], start_new_session=True, pass_fds=pipes())
        print(child.pid, file=sys.stderr, flush=True)
        os._exit(5)


def is_pipe(fd: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:
        return False


def pipes() -> list[int]:
    """The numbers of all pipes that are open, beside those of the standard streams."""
    return [fd for fd in map(int, os.listdir("/proc/self/fd")) if fd > 2 and is_pipe(fd)]


class WritesText(Misbehaving):
    """Into every pipe that it finds."""

    def misbehave(self) -> None:
        for fd in pipes():
            with suppress(OSError):
                os.write(fd, b"hello, world\n")
        time.sleep(LONG)


class WritesAFrame(Misbehaving):
    """What is in it makes no sense."""

    def misbehave(self) -> None:
        for fd in pipes():
            with suppress(OSError):
                os.write(fd, b"lstm\0\0\0\1\xc1")
        time.sleep(LONG)


class LeavesSharedMemory(Misbehaving):
    """As OpenMP names it, as a process pool's child does, and by Python's own class."""

    def misbehave(self) -> None:
        from multiprocessing.shared_memory import SharedMemory

        registered = Path(f"/dev/shm/__KMP_REGISTERED_LIB_{os.getpid()}_0")
        registered.write_text("x")
        script = "import os, time; n = f'torch_{os.getpid()}_7'; open(f'/dev/shm/{n}', 'w');"
        script += f" print(n, flush=True); time.sleep({LONG})"
        child = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True
        )
        assert child.stdout
        name = child.stdout.readline().decode().strip()
        shared = SharedMemory(create=True, size=1000)
        print(registered.name, name, shared.name, flush=True)
        os._exit(4)


class RaisesOnConstruction(NumpyBackend):
    def __init__(self, options: Options) -> None:
        raise RuntimeError(f"no {options.dtype} here")


class RaisesItsEnvironment(Misbehaving):
    """The message tells the environment, cores and thread count that the worker found."""

    def misbehave(self) -> None:
        cores = len(os.sched_getaffinity(0))
        raise RuntimeError(repr({**os.environ, "cores": str(cores), "session": str(os.getsid(0))}))


class Leaves(Misbehaving):
    """Raises SystemExit, as a library that gives up may."""

    def misbehave(self) -> None:
        sys.exit("that is enough")


class Exits(Misbehaving):
    def misbehave(self) -> None:
        os._exit(3)


class Aborts(Misbehaving):
    def misbehave(self) -> None:
        os.write(2, b"these are its last words\n")
        os.abort()


class Segfaults(Misbehaving):
    def misbehave(self) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)


class IsKilled(Misbehaving):
    """As the system does when memory runs out."""

    def misbehave(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class OutOfMemory(Misbehaving):
    def misbehave(self) -> None:
        raise MemoryError("Unable to allocate 8.00 EiB")


class OutOfDeviceMemory(Misbehaving):
    """The type is the library's own; its message has several lines."""

    def misbehave(self) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 8 GiB.\nSee the manual.")


class Hangs(Misbehaving):
    def misbehave(self) -> None:
        time.sleep(LONG)


class HangsDeaf(Misbehaving):
    """Ignores the signals that can be ignored."""

    def misbehave(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        time.sleep(LONG)


class HangsWithChild(Misbehaving):
    """Its child's process id is the last word on standard error."""

    def misbehave(self) -> None:
        child = subprocess.Popen(["sleep", str(LONG)])
        os.write(2, f"child {child.pid}".encode())
        time.sleep(LONG)


class RaisesWithChild(Misbehaving):
    """Its child's process id is the last word of the message."""

    def misbehave(self) -> None:
        child = subprocess.Popen(["sleep", str(LONG)])
        raise RuntimeError(f"child {child.pid}")


class NotANumber(Misbehaving):
    def misbehave(self) -> None:
        NumpyBackend.load(self, {name: a * np.nan for name, a in self.parameters().items()})


class NotFinite(Misbehaving):
    """Finds out itself."""

    def misbehave(self) -> None:
        raise FloatingPointError("the loss is not finite")


class Prints(Misbehaving):
    """Megabytes, by way of Python and past it, and it computes what it should."""

    def misbehave(self) -> None:
        print("x" * 2_000_000)
        os.write(1, b"y" * 2_000_000)
        print("z" * 2_000_000, file=sys.stderr)


class RaisesLate(Raises):
    correct_steps = LATE


class AbortsLate(Aborts):
    correct_steps = LATE


class HangsLate(Hangs):
    correct_steps = LATE


class IsKilledLate(IsKilled):
    correct_steps = LATE


class NotANumberLate(NotANumber):
    correct_steps = LATE


class ChangesInputsLate(Misbehaving):
    correct_steps = LATE

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        loss = NumpyBackend.train_step(self, inputs, targets, free_running)
        self.steps += 1
        if self.steps > self.correct_steps:
            inputs[...] = targets
        return loss


class StopsWorkingLate(Misbehaving):
    """Hands back the last loss and trains no more: very fast, and wrong."""

    correct_steps = LATE
    last = 0.0

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        if self.steps >= self.correct_steps:
            return self.last
        self.last = super().train_step(inputs, targets, free_running)
        return self.last

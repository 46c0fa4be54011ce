"""Signals that tell this process to end, as an exception that unwinds everything in order."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")

_waiting: list[int] = []
_holders = 0


class Interrupted(BaseException):
    """This process was told to end, by a signal; `go_on` is the command that does the rest."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.go_on = ""


def raise_interrupted() -> None:
    """Have signals that tell this process to end raise Interrupted in the main thread, once.

    Those that it was started to ignore, as under nohup, it goes on to ignore.
    """
    for number in _numbers():
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _raise)


@contextmanager
def held() -> Iterator[None]:
    """Have such a signal wait until a short piece of work, which it must not tear, is done."""
    global _holders
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _holders += 1
    try:
        yield
    finally:
        _holders -= 1
        if _waiting and not _holders:
            raise Interrupted(_waiting.pop())


def _numbers() -> list[int]:
    return [getattr(signal, name) for name in NAMES if hasattr(signal, name)]


def _raise(number: int, frame: FrameType | None) -> None:
    for one in _numbers():  # what is being unwound is not to be broken off
        signal.signal(one, signal.SIG_IGN)
    if _holders:
        _waiting.append(number)
        return
    raise Interrupted(number)

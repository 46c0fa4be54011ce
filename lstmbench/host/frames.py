"""Frames of bytes on a pipe: a mark, a length (4 bytes, big-endian) and that many bytes."""

import struct
from collections.abc import Callable
from typing import IO

MARK = b"lstm"
"""What each frame begins with, so that anything else on the pipe is known for what it is."""

_HEAD = struct.Struct(">4sI")


class NotAFrame(Exception):
    """Something else was written to the pipe."""


def write(stream: IO[bytes], data: bytes) -> None:
    """Write one frame and flush it."""
    stream.write(_HEAD.pack(MARK, len(data)) + data)
    stream.flush()


def read(read: Callable[[int], bytes]) -> bytes | None:
    """Return what is in the next frame, or None at the end of the stream.

    `read(n)` returns n bytes, fewer at the end. Raises NotAFrame for what is none.
    """
    head = read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    mark, length = _HEAD.unpack(head)
    if mark != MARK:
        raise NotAFrame(repr(head))
    data = read(length)
    return data if len(data) == length else None

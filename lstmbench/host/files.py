"""Files that somebody else may have put there: no links are written through, no devices read."""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO

# Opening a pipe that nobody writes to would wait for ever. Windows has neither of these.
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)


def opened(path: Path) -> IO[bytes]:
    """Return a regular file, opened to be read; raises OSError if it is none."""
    return _opened(path, os.O_RDONLY, "rb")


def read(path: Path, most: int) -> bytes:
    """Return what is in a regular file; raises OSError if it is none, or has over `most` bytes."""
    with opened(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"over {most:,} bytes")
    return data


def append_to(path: Path) -> IO[bytes]:
    """Return a regular file, opened to be appended to; raises OSError, for a link too."""
    return _opened(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | _NO_LINK, "a+b")


def write(path: Path, content: str | bytes) -> None:
    """Write a whole file, text in UTF-8, so that it is there in full or not at all.

    A link of that name, or of the name that it has while it is written, is replaced, not followed.
    """
    if isinstance(content, str):
        content = content.encode("utf-8", errors="backslashreplace")
    partial = path.with_name(path.name + ".part")
    with suppress(FileNotFoundError):
        partial.unlink()
    try:
        with partial.open("xb") as file:
            file.write(content)
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()
        raise


def _opened(path: Path, flags: int, mode: str) -> IO[bytes]:
    number = os.open(path, flags | _NO_WAIT | _BINARY, 0o666)
    try:
        kind = os.fstat(number).st_mode
        if stat.S_ISDIR(kind):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(kind):
            raise OSError(errno.EINVAL, "not a regular file")
        return os.fdopen(number, mode)
    except BaseException:
        os.close(number)
        raise

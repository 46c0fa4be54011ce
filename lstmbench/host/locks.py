"""Locks on files that a process holds as long as it lives."""

import sys
from typing import IO

if sys.platform == "win32":
    import msvcrt

    FAR_AWAY = 1 << 62
    """What is locked there keeps nobody from what is in the file: it has no byte so far behind."""

    def take(file: IO[bytes]) -> bool:
        """Lock an open file for this process; whether nobody else has."""
        position = file.tell()
        try:
            file.seek(FAR_AWAY)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            file.seek(position)
        return True
else:

    def take(file: IO[bytes]) -> bool:
        """Lock an open file for this process; whether nobody else has."""
        try:
            import fcntl
        except ImportError:  # neither Windows nor POSIX
            return True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            return True
        return True

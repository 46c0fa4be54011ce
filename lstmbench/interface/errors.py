"""The errors that lstmbench raises on purpose."""

import difflib
from collections.abc import Iterable

OUT_OF_MEMORY = ("out of memory", "resource_exhausted", "status_alloc_failed")
"""What CUDA, XLA, and cuBLAS and cuDNN say when a device has no memory left."""


class UsageError(Exception):
    """What the user asked for cannot be done; shown as one line, exit status 2."""


class NotSupported(NotImplementedError):
    """A backend does not offer this method; reported as "not claimed", never as a failure."""


def unknown(kind: str, value: str, choices: Iterable[str]) -> UsageError:
    """Return a UsageError that names the thing, its value, the nearest choice and all choices."""
    known = sorted(choices)
    near = difflib.get_close_matches(value, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return UsageError(f"unknown {kind} {value!r}{hint} (choices: {', '.join(known) or 'none'})")


def out_of_memory(error: BaseException) -> bool:
    """Return whether memory ran out, the host's or a device's, by type or by message."""
    told = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in told for sign in OUT_OF_MEMORY)


def headline(error: BaseException) -> str:
    """Return the type of an exception and the first line of its message."""
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]

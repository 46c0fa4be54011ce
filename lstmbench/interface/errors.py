"""The errors that lstmbench raises on purpose."""

import difflib
import traceback
from collections.abc import Iterable

OUT_OF_MEMORY = ("out of memory", "resource_exhausted", "status_alloc_failed")
"""What CUDA, XLA, and cuBLAS and cuDNN say when a device has no memory left."""


LONGEST_LINE = 500
LONGEST_TRACEBACK = 20_000
LONGEST_VALUE = 200


class UsageError(Exception):
    """What the user asked for cannot be done; shown as one line, exit status 2."""


class RunFailed(Exception):
    """What all of a run depends on has failed; shown as one line, status 1.

    What was measured before is kept.
    """


class OracleFailed(RunFailed):
    """The oracle's process failed, and again when it was started anew."""


class NotSupported(NotImplementedError):
    """A backend does not offer this method; reported as "not claimed", never as a failure."""


def unknown(kind: str, value: str, choices: Iterable[str]) -> UsageError:
    """Return a UsageError that names the thing, its value, the nearest choice and all choices."""
    known = sorted(choices)
    near = difflib.get_close_matches(value[:LONGEST_VALUE], known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return UsageError(
        f"unknown {kind} {shortened_value(value)}{hint} (choices: {', '.join(known) or 'none'})"
    )


def out_of_memory(error: BaseException) -> bool:
    """Return whether memory ran out, the host's or a device's, by type or by message."""
    told = message(error).lower()
    return isinstance(error, MemoryError) or any(sign in told for sign in OUT_OF_MEMORY)


def message(error: BaseException) -> str:
    """Return the message of an exception, which may not even be able to tell it."""
    try:
        return str(error)
    except Exception:  # somebody else's exceptions may be anything
        return "(its message cannot be told)"


def headline(error: BaseException) -> str:
    """Return the type of an exception and the first line of its message, shortened."""
    told = f"{type(error).__name__}: {message(error)}".strip()
    return shortened(told.splitlines()[0], LONGEST_LINE)


def shortened(text: str, most: int) -> str:
    """Return at most so many characters of a text, its beginning and its end."""
    if len(text) <= most:
        return text
    half = (most - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def shortened_value(value: object) -> str:
    """Return a value as the user gave it, shortened; not all can be told."""
    try:
        return shortened(repr(value), LONGEST_VALUE)
    except (ValueError, RecursionError):  # a number of thousands of digits, or much nesting
        return f"(a {type(value).__name__} that is too long to be told)"


def told_traceback() -> str:
    """Return the traceback of the exception that is being handled, shortened."""
    return shortened(traceback.format_exc(), LONGEST_TRACEBACK)

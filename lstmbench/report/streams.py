"""Standard output and error of the command line, whatever is behind them."""

import codecs
import io
import os
import sys
from typing import Any

from lstmbench.interface.errors import UsageError

PLAINER = {
    "✓": "+",
    "✗": "x",
    "≈": "~",
    "–": "-",
    "µ": "u",
    "÷": "/",
    "×": "x",
    "±": "+-",
    "°": "deg ",
    "≥": ">=",
    "…": "...",
}
"""What stands for a sign that a terminal cannot show."""


class ReaderGone(Exception):
    """Nobody reads standard output any more."""


class Stream(io.TextIOWrapper):
    """A text stream that shows a plainer sign where its encoding lacks one.

    Where it cannot be written, ReaderGone or UsageError is raised; nothing if it is `expendable`.
    """

    def __init__(self, stream: io.TextIOWrapper, expendable: bool) -> None:
        super().__init__(
            stream.buffer,
            encoding=stream.encoding,
            errors="plainer",
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        self._expendable = expendable

    def write(self, text: str, /) -> int:
        if text == "":  # click tries out what kind of stream this is
            return 0
        try:
            return super().write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Write no more; what is still in the buffer would only fail again."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
        if self._expendable:
            return
        if isinstance(error, BrokenPipeError):
            raise ReaderGone from None
        raise UsageError(f"standard output cannot be written: {error.strerror}") from None


def prepare() -> None:
    """Have standard output and error be Streams, of which the latter is expendable."""
    codecs.register_error("plainer", _plainer)
    sys.stdout = _prepared(sys.stdout, expendable=False)
    sys.stderr = _prepared(sys.stderr, expendable=True)


def _prepared(stream: Any, expendable: bool) -> Any:
    if stream is None:  # closed by whoever started this process
        return open(os.devnull, "w", encoding="utf-8")
    return Stream(stream, expendable) if isinstance(stream, io.TextIOWrapper) else stream


def _plainer(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(PLAINER.get(character, "?") for character in missing), error.end

"""Text that others wrote, made fit to be shown: plugins, exceptions and files hold anything."""

import unicodedata

UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of what steers a terminal, or changes how the rest is read."""


def clean(text: str, lines: bool = False) -> str:
    r"""Return a text with control characters written out, such as "\x1b"; `lines` keeps newlines.

    Among them are those that change the direction of writing.
    """
    if text.isprintable():
        return text
    return "".join(
        _written_out(c) if unicodedata.category(c) in UNSEEN and not (lines and c == "\n") else c
        for c in text
    )


def _written_out(character: str) -> str:
    return repr(character)[1:-1] if not character.isprintable() else character

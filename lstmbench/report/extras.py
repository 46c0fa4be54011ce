"""The libraries that some formats need and a plain installation has not."""

from importlib.util import find_spec

from lstmbench.interface.errors import UsageError

MODULES = {
    "report": ("altair", "vl_convert", "jinja2"),
    "tensorboard": ("tensorboardX",),
}
"""By the extra that brings them."""


def missing(extra: str) -> list[str]:
    """Return the libraries of an extra that are not installed."""
    return [name for name in MODULES[extra] if find_spec(name) is None]


def need(extra: str, what: str) -> None:
    """Raise UsageError, with what to type, if `what` cannot be made for want of a library."""
    if absent := missing(extra):
        raise UsageError(f"{what} needs {', '.join(absent)}: pip install 'lstmbench[{extra}]'")

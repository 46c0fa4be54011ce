"""Which of these LSTM implementations computes the same thing, and how fast?

This is the face that plugins import; it loads no framework, and NumPy only for what computes.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstmbench.errors import NotSupported, UsageError
from lstmbench.hookspecs import hookimpl
from lstmbench.interface import (
    INTERFACE,
    VOCABULARY,
    Backend,
    BackendInfo,
    Options,
    Parameters,
    Split,
    State,
    Task,
    TaskInfo,
)

if TYPE_CHECKING:
    import pandas

    from lstmbench.allocator import keep_freed_memory
    from lstmbench.parameters import random_generator, views
    from lstmbench.rules import NoisyRule, uniforms

__all__ = [
    "INTERFACE",
    "VOCABULARY",
    "Backend",
    "BackendInfo",
    "NoisyRule",
    "NotSupported",
    "Options",
    "Parameters",
    "Split",
    "State",
    "Task",
    "TaskInfo",
    "UsageError",
    "hookimpl",
    "keep_freed_memory",
    "load",
    "random_generator",
    "uniforms",
    "views",
]


_ON_DEMAND = {
    "NoisyRule": "rules",
    "keep_freed_memory": "allocator",
    "random_generator": "parameters",
    "uniforms": "rules",
    "views": "parameters",
}


def __getattr__(name: str) -> Any:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_ON_DEMAND[name]}"), name)


def load(path: str | Path) -> "pandas.DataFrame":
    """All observations of the run in a folder as a tidy DataFrame, one a row, with its unit.

    Columns: backend, device, metric, unit, launch, round, epoch, value. Raises UsageError if the
    folder holds no run, or a damaged one.
    """
    from lstmbench.store import frame

    return frame(Path(path))

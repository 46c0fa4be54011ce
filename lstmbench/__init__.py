"""Which of these LSTM implementations computes the same thing, and how fast?

This is the face that plugins import; it loads no framework, and NumPy only for what computes.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from lstmbench.interface.errors import NotSupported, UsageError
from lstmbench.interface.hookspecs import hookimpl

if TYPE_CHECKING:
    import pandas

    from lstmbench.host.allocator import keep_freed_memory
    from lstmbench.interface.noisy_rule import NoisyRule, uniforms
    from lstmbench.interface.parameters import random_generator, views

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
    "NoisyRule": "interface.noisy_rule",
    "keep_freed_memory": "host.allocator",
    "random_generator": "interface.parameters",
    "uniforms": "interface.noisy_rule",
    "views": "interface.parameters",
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
    from lstmbench.records.folder import frame

    return frame(Path(path))

"""What plugins implement: backend and task classes, hooks, model parameters and errors.

Importing this package loads no NumPy, so that `lstmbench list` answers at once.
"""

from lstmbench.interface.backend import (
    CAPABILITIES,
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

__all__ = [
    "CAPABILITIES",
    "INTERFACE",
    "VOCABULARY",
    "Backend",
    "BackendInfo",
    "Options",
    "Parameters",
    "Split",
    "State",
    "Task",
    "TaskInfo",
]

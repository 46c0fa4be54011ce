"""What plugins implement: backend and task classes, hooks, model parameters and errors.

Importing this package loads no NumPy, so that `lstmbench list` answers at once.
"""

from lstmbench.interface.backend import (
    CAPABILITIES,
    INTERFACE,
    Backend,
    BackendInfo,
    Options,
    Parameters,
    State,
)
from lstmbench.interface.model import (
    VOCABULARY,
    BatchShape,
    ModelSpec,
    OptimiserSpec,
    Precision,
)
from lstmbench.interface.task import Split, Task, TaskInfo

__all__ = [
    "CAPABILITIES",
    "INTERFACE",
    "VOCABULARY",
    "Backend",
    "BackendInfo",
    "BatchShape",
    "ModelSpec",
    "OptimiserSpec",
    "Options",
    "Parameters",
    "Precision",
    "Split",
    "State",
    "Task",
    "TaskInfo",
]

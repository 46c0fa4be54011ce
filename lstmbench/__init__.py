"""Which of these LSTM implementations compute the same thing, and how fast?

This module is the public face: what plugins derive from, and what users call. Importing it loads
no framework, and NumPy only once something that computes is used.
"""

import importlib
from importlib import metadata
from typing import TYPE_CHECKING, Any

from lstmbench.interface import (
    INTERFACE,
    VOCABULARY,
    Backend,
    BackendInfo,
    ModelSpec,
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
    from lstmbench.api import (
        CheckResult,
        RunComparison,
        RunResult,
        SelfTestResult,
        check,
        compare,
        figures,
        ladder_tests,
        load,
        open_run,
        open_sweep,
        plan_sweep,
        recommend,
        render,
        render_comparison,
        resume,
        run,
        selftest,
        site,
        sweep,
        write_tensorboard,
    )
    from lstmbench.host.memory import keep_freed_memory
    from lstmbench.interface.noisy_rule import NoisyRule, uniform_blocks, uniforms
    from lstmbench.interface.parameters import random_generator, views

    __version__: str

__all__ = [
    "INTERFACE",
    "VOCABULARY",
    "Backend",
    "BackendInfo",
    "CheckResult",
    "ModelSpec",
    "NoisyRule",
    "NotSupported",
    "Options",
    "Parameters",
    "RunComparison",
    "RunResult",
    "SelfTestResult",
    "Split",
    "State",
    "Task",
    "TaskInfo",
    "UsageError",
    "__version__",
    "check",
    "compare",
    "figures",
    "hookimpl",
    "keep_freed_memory",
    "ladder_tests",
    "load",
    "open_run",
    "open_sweep",
    "plan_sweep",
    "random_generator",
    "recommend",
    "render",
    "render_comparison",
    "resume",
    "run",
    "selftest",
    "site",
    "sweep",
    "uniform_blocks",
    "uniforms",
    "views",
    "write_tensorboard",
]

_ON_DEMAND = {
    "CheckResult": "api",
    "NoisyRule": "interface.noisy_rule",
    "RunComparison": "api",
    "RunResult": "api",
    "SelfTestResult": "api",
    "check": "api",
    "compare": "api",
    "figures": "api",
    "keep_freed_memory": "host.memory",
    "ladder_tests": "api",
    "load": "api",
    "open_run": "api",
    "open_sweep": "api",
    "plan_sweep": "api",
    "random_generator": "interface.parameters",
    "recommend": "api",
    "render": "api",
    "render_comparison": "api",
    "resume": "api",
    "run": "api",
    "selftest": "api",
    "site": "api",
    "sweep": "api",
    "uniform_blocks": "interface.noisy_rule",
    "uniforms": "interface.noisy_rule",
    "views": "interface.parameters",
    "write_tensorboard": "api",
}
"""Where each name is that is imported when it is first used."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return metadata.version("lstmbench")
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_ON_DEMAND[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

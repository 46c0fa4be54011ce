"""The hooks that a plugin may implement (pluggy project and entry-point group "lstmbench")."""

import pluggy

from lstmbench.interface import BackendInfo, TaskInfo

PROJECT = "lstmbench"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def lstmbench_backends() -> list[BackendInfo]:  # type: ignore[empty-body]  # a specification
    """The backends that this plugin brings."""


@hookspec
def lstmbench_tasks() -> list[TaskInfo]:  # type: ignore[empty-body]  # a specification
    """The tasks that this plugin brings."""

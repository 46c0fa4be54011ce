"""What the process that loads plugins is asked, and what it answers."""

from msgspec import Struct

from lstmbench.interface import BackendInfo, TaskInfo

ALL = "all"
"""Stands for all backends, so no backend may be called so."""
OURS = "lstmbench"
"""Our own distribution."""


class Load(Struct, kw_only=True):
    """Load the plugins that are found on a path, from number `first` on."""

    path: list[str]
    first: int


class Entry(Struct, kw_only=True):
    """The name of a plugin's entry point and of its distribution."""

    name: str
    distribution: str


class Entries(Struct, kw_only=True):
    """All plugins, in the order in which they are loaded."""

    entries: list[Entry]


class Found(Struct, kw_only=True):
    """What a plugin brings, or why it cannot be used.

    `names` are then those that it would have brought, where they are known.
    """

    backends: list[BackendInfo] = []
    tasks: list[TaskInfo] = []
    error: str = ""
    names: list[str] = []

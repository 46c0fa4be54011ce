"""What plugins bring: a broken one is listed as such, and the others work."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from typing import Generic, TypeVar

import msgspec

from lstmbench.host.child import Child, Ended, Silent
from lstmbench.host.frames import NotAFrame
from lstmbench.host.processes import ending
from lstmbench.interface import BackendInfo, TaskInfo
from lstmbench.interface.errors import UsageError, shortened, unknown
from lstmbench.plugins.messages import OURS, Entries, Entry, Found, Load

PATIENCE_SECONDS = 30.0
"""How long loading one plugin may take."""
LAST_WORDS = 200
"""How many characters are told of what a plugin printed that ended its process."""

Info = TypeVar("Info", BackendInfo, TaskInfo)
Message = TypeVar("Message", Entries, Found)


@dataclass(frozen=True)
class Broken:
    """A plugin that could not be used, and why; `names` are those that it would have brought.

    What a plugin that cannot even be imported would have brought is not known.
    """

    plugin: str
    distribution: str
    error: str
    names: tuple[str, ...] = ()

    def answers_to(self, name: str) -> bool:
        """Return whether somebody who types `name` may mean this plugin."""
        return name in {self.plugin, self.distribution, *self.names}


@dataclass
class Catalogue(Generic[Info]):
    """Everything of one kind by name, with the distributions that claim each name."""

    kind: str
    broken: list[Broken] = field(default_factory=list)
    claims: dict[str, list[tuple[str, Info]]] = field(default_factory=dict)

    def add(self, info: Info, distribution: str) -> None:
        self.claims.setdefault(info.name, []).append((distribution, info))

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.claims))

    def __getitem__(self, name: str) -> Info:
        """Raises UsageError if nothing, or more than one distribution, claims the name."""
        if name not in self.claims:
            raise self._absent(name)
        if reason := self.conflict(name):
            raise UsageError(f"{self.kind} {name!r} is {reason}")
        return self.claims[name][0][1]

    def _absent(self, name: str) -> UsageError:
        for plugin in self.broken:
            if plugin.answers_to(name):
                where = f"plugin {plugin.plugin} of {plugin.distribution} is broken"
                return UsageError(f"{self.kind} {name!r} cannot be used: {where}: {plugin.error}")
        return unknown(self.kind, name, self.claims)

    def infos(self) -> Iterator[Info]:
        """Return everything, rivals for one name included."""
        return (info for claims in self.claims.values() for _, info in claims)

    def owners(self, name: str) -> list[str]:
        """Return the distributions that claim a name, each once."""
        return sorted({distribution for distribution, _ in self.claims[name]})

    def distribution(self, name: str) -> str:
        """Return the distributions that claim a name, in words."""
        return " and ".join(self.owners(name))

    def conflict(self, name: str) -> str:
        """Return why a name that is claimed twice cannot be used, and what to do; or empty."""
        if len(self.claims.get(name, ())) < 2:
            return ""
        owners = self.owners(name)
        if len(owners) == 1:
            return f"claimed more than once by {owners[0]}, which is its fault; uninstall it"
        rivals = " ".join(owner for owner in owners if owner != OURS)
        drop = rivals if OURS in owners else "all but one"
        return f"claimed by {self.distribution(name)}; uninstall {drop}"


class Registry:
    """All that the installed plugins bring."""

    def __init__(self) -> None:
        self.broken: list[Broken] = []
        self.backends: Catalogue[BackendInfo] = Catalogue("backend", self.broken)
        self.tasks: Catalogue[TaskInfo] = Catalogue("task", self.broken)


def discover() -> Registry:
    """Return all that plugins of the entry-point group bring; nothing of them is imported here.

    They are loaded in another process, so that none can end, stop or garble this one. One that ends
    the other process, or does not come to an end, is broken; those after it have a new process.
    """
    registry = Registry()
    loaded: int | None = 0
    while loaded is not None:
        loaded = _load(registry, loaded)
    return registry


def _load(registry: Registry, first: int) -> int | None:
    """Load plugins from number `first` on; return which one is next, or None if that was all."""
    child = Child("lstmbench.plugins.loading", dict(os.environ))
    plugins: list[Entry] = []
    number = first
    try:
        child.send(msgspec.json.encode(Load(path=sys.path, first=first)))
        plugins = _receive(child, Entries).entries
        for number in range(first, len(plugins)):
            _add(registry, plugins[number], _receive(child, Found))
        return None
    except _Gone as error:
        if not plugins:
            raise UsageError(f"the installed plugins cannot be listed: {error}") from None
        if number > first and not error.silent:
            return number  # one of those before may have done it: once more, without them
        one = plugins[number]
        registry.broken.append(Broken(one.name, one.distribution, f"{error} while it was loaded"))
        return number + 1
    finally:
        child.close(seconds=0)


class _Gone(Exception):
    """The process that loads plugins has come to its end, is silent, or makes no sense."""

    def __init__(self, message: str, silent: bool = False) -> None:
        super().__init__(message)
        self.silent = silent


def _receive(child: Child, kind: type[Message]) -> Message:
    """Return the next message of the process that loads plugins."""
    try:
        return msgspec.json.decode(child.receive(PATIENCE_SECONDS), type=kind)
    except Silent:
        raise _Gone(f"no answer within {PATIENCE_SECONDS:g} s", silent=True) from None
    except Ended as error:
        how = "closed its pipe" if error.status is None else ending(error.status)
        words = shortened(" ".join(child.log().split()), LAST_WORDS)
        raise _Gone(f"the process {how}{f' ({words})' if words else ''}") from None
    except (NotAFrame, msgspec.MsgspecError, RecursionError):
        raise _Gone("something else was in the pipe of the process") from None


def _add(registry: Registry, entry: Entry, found: Found) -> None:
    """Take in what has come of loading one plugin."""
    distribution = entry.distribution
    if found.error:
        registry.broken.append(Broken(entry.name, distribution, found.error, tuple(found.names)))
    for backend in found.backends:
        registry.backends.add(backend, distribution)
    for task in found.tasks:
        registry.tasks.add(task, distribution)


def missing(info: BackendInfo) -> list[str]:
    """Return the required import names that are not installed, found without importing anything."""
    return [name for name in info.requires if not _installed(name)]


def _installed(name: str) -> bool:
    """Return whether an import name can be found, without importing the parent of a dotted one."""
    top, *parts = name.split(".")
    spec = importlib.util.find_spec(top)
    for part in parts:
        if spec is None:
            break
        spec = PathFinder.find_spec(f"{spec.name}.{part}", spec.submodule_search_locations)
    return spec is not None


def unusable(info: BackendInfo, distribution: str) -> str:
    """Return why a backend cannot be used here and what to type; empty if it can."""
    absent = missing(info)
    if not absent:
        return ""
    what = f"{distribution}[{info.extra}]" if info.extra else " ".join(absent)
    return f"{', '.join(absent)}: not installed; pip install '{what}'"

"""Finding plugins, guarded: a broken one is listed and harms nobody."""

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

import pluggy

from lstmbench import hookspecs
from lstmbench.errors import UsageError, unknown
from lstmbench.interface import BackendInfo, TaskInfo

Info = TypeVar("Info", BackendInfo, TaskInfo)


@dataclass(frozen=True)
class Broken:
    """A plugin that could not be used, and why."""

    plugin: str
    distribution: str
    error: str


@dataclass
class Catalogue(Generic[Info]):
    """Everything of one kind by name, with the distributions that claim each name."""

    kind: str
    claims: dict[str, list[tuple[str, Info]]] = field(default_factory=dict)

    def add(self, info: Info, distribution: str) -> None:
        self.claims.setdefault(info.name, []).append((distribution, info))

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.claims))

    def __getitem__(self, name: str) -> Info:
        """Raises UsageError if nothing, or more than one distribution, claims the name."""
        if name not in self.claims:
            raise unknown(self.kind, name, self.claims)
        claims = self.claims[name]
        if len(claims) > 1:
            rivals = " and ".join(distribution for distribution, _ in claims)
            raise UsageError(f"{self.kind} {name!r} is claimed by {rivals}; uninstall one of them")
        return claims[0][1]

    def distribution(self, name: str) -> str:
        """The distributions that claim a name."""
        return " and ".join(distribution for distribution, _ in self.claims[name])

    def conflicted(self, name: str) -> bool:
        return len(self.claims[name]) > 1


@dataclass
class Registry:
    """All that the installed plugins bring."""

    backends: Catalogue[BackendInfo] = field(default_factory=lambda: Catalogue("backend"))
    tasks: Catalogue[TaskInfo] = field(default_factory=lambda: Catalogue("task"))
    broken: list[Broken] = field(default_factory=list)


def discover() -> Registry:
    """Load every plugin of the entry-point group; none of the frameworks behind them."""
    registry = Registry()
    for entry in entry_points(group=hookspecs.PROJECT):
        distribution = (entry.dist and entry.dist.name) or "?"
        try:
            _add(registry, entry, distribution)
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            registry.broken.append(Broken(entry.name, distribution, reason))
    return registry


def _add(registry: Registry, entry: EntryPoint, distribution: str) -> None:
    """Register one plugin by itself and take in what its hooks return, or nothing of it."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(entry.load(), name=entry.name)
    backends = _collect(manager.hook.lstmbench_backends, BackendInfo)
    tasks = _collect(manager.hook.lstmbench_tasks, TaskInfo)
    for backend in backends:
        registry.backends.add(backend, distribution)
    for task in tasks:
        registry.tasks.add(task, distribution)


def _collect(hook: Callable[[], list[list[Any]]], kind: type[Info]) -> list[Info]:
    infos = [info for part in hook() for info in part]
    for info in infos:
        if not isinstance(info, kind) or not isinstance(info.name, str):
            raise TypeError(f"a hook returned {info!r} where a {kind.__name__} belongs")
    return infos


def missing(info: BackendInfo) -> list[str]:
    """The required import names that are not installed, found without importing anything."""
    return [name for name in info.requires if not _installed(name)]


def _installed(name: str) -> bool:
    """Whether an import name can be found; by `find_spec` a dotted one would import its parent."""
    top, *parts = name.split(".")
    spec = importlib.util.find_spec(top)
    for part in parts:
        if spec is None:
            break
        spec = PathFinder.find_spec(f"{spec.name}.{part}", spec.submodule_search_locations)
    return spec is not None


def unusable(info: BackendInfo, distribution: str) -> str:
    """Why a backend cannot be used here and what to type; empty if it can."""
    absent = missing(info)
    if not absent:
        return ""
    what = f"{distribution}[{info.extra}]" if info.extra else " ".join(absent)
    return f"{', '.join(absent)}: not installed; pip install '{what}'"


def resolve(factory: str) -> Any:
    """The object that "package.module:name" names."""
    module, _, name = factory.partition(":")
    return getattr(importlib.import_module(module), name)

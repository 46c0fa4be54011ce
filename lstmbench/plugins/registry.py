"""Finding plugins, guarded: a broken one is listed as such, and the others work."""

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

import msgspec
import pluggy

from lstmbench.interface import INTERFACE, BackendInfo, TaskInfo, hookspecs
from lstmbench.interface.errors import UsageError, message, unknown

OURS = "lstmbench"
UPGRADE = "pip install --upgrade lstmbench"
IF_NEWER = f"if it was written for a newer lstmbench: {UPGRADE}"

ALL = "all"
NAME = re.compile(r"\w[\w.+-]*")
FACTORY = re.compile(r"\w+(\.\w+)*:\w+")

Info = TypeVar("Info", BackendInfo, TaskInfo)


class Unfit(Exception):
    """A plugin that this lstmbench cannot use; `names` are those that it would have brought."""

    def __init__(self, message: str, names: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.names = tuple(names)


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
    """Load every plugin of the entry-point group; none of the frameworks behind them."""
    registry = Registry()
    for entry in entry_points(group=hookspecs.PROJECT):
        distribution = (entry.dist and entry.dist.name) or "?"
        try:
            with redirect_stdout(sys.stderr):  # our own answer may be for a program
                _add(registry, entry, distribution)
        except Unfit as error:
            registry.broken.append(Broken(entry.name, distribution, str(error), error.names))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit, and panics of extensions in Rust
            registry.broken.append(Broken(entry.name, distribution, _reason(error)))
    return registry


def _reason(error: BaseException) -> str:
    """Return an error in one line, with a remedy if the plugin may be for a newer interface."""
    lines = f"{type(error).__name__}: {message(error)}".splitlines()
    if isinstance(error, pluggy.PluginValidationError):
        return f"{'; '.join(lines)}; {IF_NEWER}"
    unknown_name = isinstance(error, ImportError) and error.name == OURS
    if unknown_name or "Info.__init__() got an unexpected" in lines[0]:
        return f"{lines[0]}; {IF_NEWER}"
    return lines[0]


def _add(registry: Registry, entry: EntryPoint, distribution: str) -> None:
    """Register one plugin by itself and take in what its hooks return, or nothing of it."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    plugin = entry.load()
    manager.register(plugin, name=entry.name)
    manager.check_pending()  # a hook that is not known
    if not manager.get_hookcallers(plugin):
        raise Unfit("it has no hook; is @hookimpl missing?")
    backends = _collect(manager.hook.lstmbench_backends, BackendInfo)
    tasks = _collect(manager.hook.lstmbench_tasks, TaskInfo)
    _check_interface(backends)
    infos: list[BackendInfo | TaskInfo] = [*backends, *tasks]
    for info in infos:
        _check(info)
    for backend in backends:
        registry.backends.add(backend, distribution)
    for task in tasks:
        registry.tasks.add(task, distribution)


def _collect(hook: pluggy.HookCaller, kind: type[Info]) -> list[Info]:
    """Return what a plugin's hook returned, if it is a list of the right type; raises Unfit."""
    answers = hook()
    if hook.get_hookimpls() and not answers:
        raise Unfit(f"{hook.name} returned None where a list belongs")
    infos = [info for answer in answers for info in answer]
    for info in infos:
        if not isinstance(info, kind):
            raise Unfit(f"{hook.name} returned {info!r} where a {kind.__name__} belongs")
    return infos


def _check_interface(backends: list[BackendInfo]) -> None:
    """Raises Unfit if one was written for a newer interface, whatever else it may say."""
    for info in backends:
        if isinstance(info.interface, int) and info.interface > INTERFACE:
            reason = f"needs interface {info.interface}, this lstmbench has {INTERFACE}; {UPGRADE}"
            raise Unfit(reason, [str(one.name) for one in backends])


def _check(info: BackendInfo | TaskInfo) -> None:
    """Raises Unfit if a field is of the wrong type, or one that nobody could ask for or find."""
    try:
        msgspec.convert(msgspec.to_builtins(info), type(info))
    except (msgspec.ValidationError, TypeError) as error:
        raise Unfit(f"a hook returned {info!r}: {error}") from None
    if not NAME.fullmatch(info.name) or info.name == ALL:
        raise Unfit(f"a hook returned the name {info.name!r}, which nobody could ask for")
    if not FACTORY.fullmatch(info.factory):
        raise Unfit(f"factory {info.factory!r} of {info.name} is not like 'package.module:Class'")


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

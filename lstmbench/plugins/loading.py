"""Loading plugins, in a process of its own: `python -m lstmbench.plugins.loading`.

Whatever a plugin raises makes it a broken one. What it prints stays out of every answer.
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, distributions, entry_points
from typing import TypeVar

import msgspec
import pluggy

from lstmbench.host import frames
from lstmbench.host.processes import die_with_parent
from lstmbench.interface import INTERFACE, BackendInfo, TaskInfo, hookspecs
from lstmbench.interface.errors import LONGEST_LINE, message, shortened
from lstmbench.plugins.messages import ALL, OURS, Entries, Entry, Found, Load

UPGRADE = "pip install --upgrade lstmbench"
IF_NEWER = f"if it was written for a newer lstmbench: {UPGRADE}"

NAME = re.compile(r"\w[\w.+-]*")
MODULE = re.compile(r"\w+(\.\w+)*")
FACTORY = re.compile(rf"{MODULE.pattern}:\w+")
NEVER_INSTALLED = ("__main__",)
LONGEST_ANSWER = 100_000
"""Bytes of all that one plugin tells."""

Info = TypeVar("Info", BackendInfo, TaskInfo)


class Unfit(Exception):
    """A plugin that this lstmbench cannot use; `names` are those that it would have brought."""

    def __init__(self, message: str, names: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.names = list(names)


def main() -> None:
    """Answer one request on standard input with what all plugins bring, one after the other."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    die_with_parent()
    request = msgspec.json.decode(frames.read(sys.stdin.buffer.read) or b"", type=Load)
    sys.path[:] = request.path
    plugins = list(_plugins())
    told = [Entry(name=plugin.name, distribution=owner) for plugin, owner, _ in plugins]
    frames.write(answers, msgspec.json.encode(Entries(entries=told)))
    for plugin, _, error in plugins[request.first :]:
        sys.path[:] = request.path  # one plugin may have changed it for the next
        answer = msgspec.json.encode(Found(error=error) if error else load(plugin))
        if len(answer) > LONGEST_ANSWER:
            answer = msgspec.json.encode(Found(error=f"it tells {len(answer):,} bytes of itself"))
        frames.write(answers, answer)
    os._exit(0)  # at once: libraries take their time to shut down


def _plugins() -> Iterator[tuple[EntryPoint, str, str]]:
    """Yield each plugin with its distribution, and why not even its entry can be read, if so."""
    try:
        found = entry_points(group=hookspecs.PROJECT)
    except Exception:  # of some distribution; which one is found out one by one
        yield from _one_by_one()
        return
    for entry in found:
        yield entry, (entry.dist and entry.dist.name) or "?", ""


def _one_by_one() -> Iterator[tuple[EntryPoint, str, str]]:
    seen = set()
    for one in distributions():
        owner = "?"
        try:
            owner = one.name or "?"
            entries = [] if owner in seen else list(one.entry_points)
        except Exception as error:
            reason = f"its metadata cannot be read: {_reason(error)}"
            yield EntryPoint(owner, "", hookspecs.PROJECT), owner, reason
            continue
        seen.add(owner)
        yield from ((one, owner, "") for one in entries if one.group == hookspecs.PROJECT)


def load(entry: EntryPoint) -> Found:
    """Return what one plugin brings: all of it, or nothing and why."""
    try:
        return _load(entry)
    except Unfit as error:
        return Found(error=shortened(str(error), LONGEST_LINE), names=error.names)
    except BaseException as error:  # SystemExit, KeyboardInterrupt, panics of extensions in Rust
        return Found(error=shortened(_reason(error), LONGEST_LINE))


def _reason(error: BaseException) -> str:
    """Return an error in one line, with a remedy if the plugin may be for a newer interface."""
    lines = f"{type(error).__name__}: {message(error)}".strip().splitlines()
    if isinstance(error, pluggy.PluginValidationError):
        return f"{'; '.join(lines)}; {IF_NEWER}"
    unknown_name = isinstance(error, ImportError) and error.name == OURS
    if unknown_name or "Info.__init__() got an unexpected" in lines[0]:
        return f"{lines[0]}; {IF_NEWER}"
    return lines[0]


def _load(entry: EntryPoint) -> Found:
    """Register one plugin by itself and return what its hooks return."""
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
    return Found(backends=backends, tasks=tasks)


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
    if isinstance(info, BackendInfo):
        for name in info.requires:
            if not MODULE.fullmatch(name) or name in NEVER_INSTALLED:
                raise Unfit(f"{name!r}, which {info.name} requires, is no import name")
        for name in (*info.devices, *info.dtypes):
            if not NAME.fullmatch(name):
                raise Unfit(f"{name!r} of {info.name} is the name of no device or dtype")


if __name__ == "__main__":
    main()

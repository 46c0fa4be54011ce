"""A new plugin from the template: a distribution that installs, and that fails at "forward"."""

import importlib.util
import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from lstmbench.interface import INTERFACE
from lstmbench.interface.errors import UsageError
from lstmbench.plugins.messages import ALL
from lstmbench.plugins.registry import Registry

SUFFIX = ".template"
PACKAGE_FOLDER = "package"
NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")


def create(name: str, parent: Path, registry: Registry) -> list[Path]:
    """Write a distribution for a backend `name` into a new folder of that name; what was written.

    The package in it is `lstmbench_NAME`, so that it cannot stand in the way of a library that is
    called NAME. Raises UsageError if the name is not fit or taken, or the folder is there already.
    """
    package = f"lstmbench_{name.replace('-', '_')}"
    _check(name, package, registry)
    words = {
        "name": name,
        "package": package,
        "distribution": f"lstmbench-{name.replace('_', '-')}",
        "class_name": "".join(part.capitalize() for part in re.split("[-_]", name)) + "Backend",
        "interface": str(INTERFACE),
    }
    folder = parent / name
    try:
        folder.mkdir()
    except FileExistsError:
        raise UsageError(f"folder {str(folder)!r} is there already; nothing was written") from None
    except OSError as error:
        raise UsageError(f"folder {str(folder)!r} cannot be made: {error.strerror}") from None
    return list(_write(files("lstmbench.plugins") / "template", folder, words))


def _check(name: str, package: str, registry: Registry) -> None:
    if not NAME.fullmatch(name) or name == ALL:
        raise UsageError(
            f"plugin name {name!r} is not fit (choices: lower-case letters and digits, a letter "
            "first, words joined by - or _, as in my-lstm; not all)"
        )
    if name in registry.backends:
        owner = registry.backends.distribution(name)
        raise UsageError(f"plugin name {name!r}: a backend of that name is in {owner}")
    if importlib.util.find_spec(package):
        raise UsageError(f"plugin name {name!r}: a package {package} is installed")


def _write(source: Traversable, target: Path, words: dict[str, str]) -> Iterator[Path]:
    """Write every template below `source`, filled in, to its place below `target`."""
    for entry in sorted(source.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            folder = target / (words["package"] if entry.name == PACKAGE_FOLDER else entry.name)
            folder.mkdir()
            yield from _write(entry, folder, words)
        elif entry.name.endswith(SUFFIX):
            path = target / entry.name.removesuffix(SUFFIX)
            text = Template(entry.read_text(encoding="utf-8")).substitute(words)
            path.write_text(text, encoding="utf-8")
            yield path

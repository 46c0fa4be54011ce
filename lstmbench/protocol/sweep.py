"""What a sweep is to do: axes over settings, and the cells that they make."""

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from lstmbench.interface.errors import UsageError, message, shortened_value, unknown
from lstmbench.protocol.settings import Settings, from_mapping, read_toml
from lstmbench.protocol.slurm import Slurm

Value = int | float | str
Changes = dict[str, Value]
"""The settings that a cell changes, by name."""
Design = Literal["one-at-a-time", "grid"]

NOT_AXES = ("backend", "baseline", "epochs", "batches_per_epoch", "teacher_forcing")
"""Settings that make no axis: contenders are compared within a cell, and nothing is trained."""
CELL_DEFAULTS: dict[str, Any] = {"epochs": 0, "rounds": 8, "launches": 3}
"""The settings of a cell that are cheaper than those of a run, unless they are given too."""
MOST_CELLS = 10_000
BASE = "base"
RANGE = re.compile(r"([^:]+):([^:]+):([x+])([^:]+)")


class Cell(Struct, frozen=True, kw_only=True):
    """One point of a sweep: the settings that it changes of the base."""

    name: str
    """The name of its folder, such as "batch=512"."""
    changes: Changes


class Plan(Struct, frozen=True, kw_only=True):
    """A whole sweep."""

    base: dict[str, Any]
    """The settings that all cells share, by name, as they were given."""
    design: Design
    axes: dict[str, list[Value]]
    cells: list[Cell]
    executor: Slurm | None = None
    """How cells are run on other machines, if they are."""

    def settings(self, cell: Cell) -> Settings:
        """Return the settings of a cell, as checked as those of a run."""
        given = {**CELL_DEFAULTS, **self.base, **cell.changes}
        if "time_budget" not in given and "precision" not in given:
            given["time_budget"] = 0.0  # no more than the least launches
        return from_mapping(given, f"cell {cell.name}")

    def cell(self, key: str) -> Cell:
        """Return a cell by its number, from 1, or its name; UsageError if there is none."""
        by_name = {one.name: one for one in self.cells}
        if key in by_name:
            return by_name[key]
        if key.isdecimal() and 1 <= int(key) <= len(self.cells):
            return self.cells[int(key) - 1]
        if key.isdecimal():
            raise UsageError(f"cell {key}: there are {len(self.cells)} cells, from 1")
        raise unknown("cell", key, by_name)


class SweepConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[sweep]` of a TOML file."""

    design: Design = "one-at-a-time"
    axes: dict[str, Any] = {}
    also: list[Changes] = []
    skip: list[Changes] = []
    executor: Slurm | None = None
    """How cells are run on other machines, if they are."""


def sweep_config(path: Path) -> tuple[dict[str, Any], SweepConfig]:
    """Return the settings of a TOML file, and its table `[sweep]`.

    Raises UsageError with the line or key.
    """
    told = read_toml(path)
    sweep = told.pop("sweep", {})
    from_mapping(told, str(path))
    try:
        return told, msgspec.convert(sweep, SweepConfig)
    except (msgspec.ValidationError, RecursionError) as error:
        raise UsageError(f"{path}: [sweep]: {message(error)}") from None


def plan(
    base: Mapping[str, Any],
    axes: Mapping[str, Any],
    design: Design = "one-at-a-time",
    also: Sequence[Mapping[str, Any]] = (),
    skip: Sequence[Mapping[str, Any]] = (),
    executor: Slurm | None = None,
) -> Plan:
    """Return the cells of a sweep.

    Parameters
    ----------
    base
        Settings that all cells share.
    axes
        By setting, its values: a list, or a text that `values` understands.
    design
        One axis at a time from the base, or all combinations.
    also
        More cells: settings that are changed together.
    skip
        Cells to leave out: those that have all of these values.
    executor
        How cells are run on other machines.

    Raises UsageError for what is no setting, has no values, or is out of bounds in any cell.
    """
    spread = {_axis(name): values(_axis(name), given) for name, given in axes.items()}
    base = dict(base)
    points = _grid(spread) if design == "grid" else _one_at_a_time(spread)
    points = itertools.chain(points, (_checked(one, "also") for one in also))
    skipped = [_checked(one, "skip") for one in skip]
    standard = _base_values(base)
    cells: dict[str, Cell] = {}
    for point in points:
        changes = {name: value for name, value in point.items() if value != standard.get(name)}
        whole = {**standard, **point}
        if any(all(whole.get(n) == v for n, v in one.items()) for one in skipped):
            continue
        cell = Cell(name=name_of(changes), changes=changes)
        cells.setdefault(cell.name, cell)
        if len(cells) > MOST_CELLS:
            raise UsageError(f"a sweep of over {MOST_CELLS:,} cells; take fewer values")
    if not cells:
        raise UsageError("a sweep without cells: give --axis NAME=VALUES, or skip fewer")
    found = Plan(
        base=base, design=design, axes=spread, cells=list(cells.values()), executor=executor
    )
    for cell in found.cells:
        found.settings(cell)  # refuse what is out of bounds before anything is measured
    return found


def name_of(changes: Mapping[str, Value]) -> str:
    """Return the name of a cell, which is that of its folder."""
    parts = (f"{name.replace('_', '-')}={value}" for name, value in changes.items())
    return re.sub(r"[^\w.,=+-]", "-", ",".join(parts)) or BASE


def values(name: str, given: Any) -> list[Value]:
    """Return the values of an axis.

    `given` is a list, or a text: values with commas between them, or a range. "32:1024:x2" is 32,
    64, … as long as it is at most 1024; "10:50:+10" is 10, 20, … 50.
    """
    if isinstance(given, str):
        found = [one for part in given.split(",") for one in _part(name, part.strip())]
    elif isinstance(given, list):
        found = list(given)
    else:
        raise UsageError(f"axis {name}: {shortened_value(given)} is neither a list nor a range")
    checked = [_value(name, one) for one in found]
    if not checked:
        raise UsageError(f"axis {name}: no values")
    return list(dict.fromkeys(checked))


def _axis(name: str) -> str:
    plain = name.replace("-", "_")
    known = [one for one in Settings.__struct_fields__ if one not in NOT_AXES]
    if plain not in known:
        raise unknown("axis", name, (one.replace("_", "-") for one in known))
    return plain


def _part(name: str, part: str) -> list[str | float]:
    """Return one value as it stands, or those of a range."""
    found = RANGE.fullmatch(part)
    if not found:
        if part.count(":") >= 2:
            raise UsageError(f"axis {name}: {part!r} is no range; write low:high:xN or low:high:+N")
        return [part] if part else []
    low, high, kind, step = found.groups()
    try:
        numbers = [float(text) for text in (low, high, step)]
    except ValueError:
        raise UsageError(f"axis {name}: {part!r} is no range of numbers") from None
    return _range(name, part, (numbers[0], numbers[1], numbers[2]), kind == "x")


def _range(
    name: str, part: str, numbers: tuple[float, float, float], grows: bool
) -> list[str | float]:
    low, high, step = numbers
    ends = all(map(math.isfinite, (low, high, step))) and low <= high
    if not ends or (grows and (step <= 1 or low <= 0)) or (not grows and step <= 0):
        raise UsageError(f"axis {name}: the range {part!r} does not go from low to high")
    found: list[str | float] = []
    value = low
    while value <= high * (1 + 1e-12):
        found.append(value)
        if len(found) > MOST_CELLS:
            raise UsageError(f"axis {name}: the range {part!r} has over {MOST_CELLS:,} values")
        value = value * step if grows else low + len(found) * step
    return found


def _value(name: str, given: Any) -> Value:
    """Return a value of the type that the setting has; UsageError if it is out of bounds."""
    wanted = given
    if isinstance(given, str):
        wanted = _number(given)
    if isinstance(wanted, float) and wanted.is_integer() and _is_integer(name):
        wanted = int(wanted)
    checked = getattr(from_mapping({name: wanted}, f"axis {name}"), name)
    if isinstance(checked, tuple):
        if len(checked) != 1:
            raise UsageError(f"axis {name}: {shortened_value(given)} is not one {name}")
        (checked,) = checked
    value: Value = checked
    return value


def _is_integer(name: str) -> bool:
    return type(getattr(Settings(), name)) is int


def _number(text: str) -> Value:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _checked(given: Mapping[str, Any], where: str) -> Changes:
    if not isinstance(given, Mapping) or not given:
        raise UsageError(f"sweep.{where}: {shortened_value(given)} is no table of settings")
    return {_axis(name): _value(_axis(name), value) for name, value in given.items()}


def _base_values(base: Mapping[str, Any]) -> Changes:
    """Return the values of all settings at the base, one device in place of a list of one."""
    settings = from_mapping({**CELL_DEFAULTS, **base}, "sweep")
    told = msgspec.structs.asdict(settings)
    return {
        name: value[0] if isinstance(value, tuple) and len(value) == 1 else value
        for name, value in told.items()
        if not isinstance(value, tuple) or len(value) == 1
    }


def _one_at_a_time(axes: Mapping[str, list[Value]]) -> Iterable[Changes]:
    yield {}
    for name, found in axes.items():
        for value in found:
            yield {name: value}


def _grid(axes: Mapping[str, list[Value]]) -> Iterable[Changes]:
    for point in itertools.product(*axes.values()):
        yield dict(zip(axes, point, strict=True))

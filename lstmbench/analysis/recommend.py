"""Which contender to take at a shape that was not measured itself."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lstmbench.analysis.sweep import CellResult, SweepResult
from lstmbench.interface.errors import unknown
from lstmbench.interface.workloads import MAIN
from lstmbench.protocol.settings import from_mapping
from lstmbench.protocol.sweep import Plan, Value

SHAPE = ("batch", "seq_len", "hidden", "layers")
"""The settings of which a near value will do."""
EXACT = ("dtype", "device", "threads", "task")
"""Those that must be the same."""
FARTHEST = 2.0
"""A measured value that is further away than by this factor says nothing."""


@dataclass(frozen=True)
class Near:
    """A measured cell near to what is asked for."""

    cell: CellResult
    distance: float
    """The Euclidean distance of the logarithms (base 2) of the shape's values."""
    farthest: float
    """By which factor the value that is furthest away differs."""


@dataclass(frozen=True)
class Recommendation:
    """Which contenders are fastest near a shape; none where that cannot be known."""

    wanted: dict[str, Value]
    workload: str
    contenders: list[str]
    """One, or several between which no difference is seen."""
    evidence: list[Near]
    """The nearest cells, all at the same distance."""
    reason: str = ""
    """Why nothing can be known."""


def recommend(
    sweep: SweepResult, wanted: Mapping[str, Value], workload: str = MAIN.name
) -> Recommendation:
    """Return the contender that is fastest at the cells nearest to a shape.

    Nothing is interpolated: a cell counts if each value of its shape is within a factor of FARTHEST
    of what is wanted, and everything else is the same.
    """
    given = dict(wanted)
    near = sorted(
        (one for cell in sweep.cells if (one := _near(cell, given)) is not None),
        key=lambda one: one.distance,
    )
    within = [one for one in near if one.farthest <= FARTHEST * (1 + 1e-9)]
    if not within:
        return Recommendation(given, workload, [], near[:1], _too_far(near))
    nearest = [one for one in within if math.isclose(one.distance, within[0].distance)]
    names = [_candidates(one.cell, workload) for one in nearest]
    if not all(names):
        return Recommendation(given, workload, [], nearest, "nobody was timed there")
    shared = [name for name in names[0] if all(name in others for others in names)]
    if not shared:
        reason = "the nearest cells, which are equally near, disagree"
        return Recommendation(given, workload, [], nearest, reason)
    return Recommendation(given, workload, shared, nearest)


def _candidates(cell: CellResult, workload: str) -> list[str]:
    """Return the fastest contender, and those that are not known to be slower."""
    fastest = cell.fastest(workload)
    return [fastest.label, *fastest.not_slower] if fastest else []


def _near(cell: CellResult, wanted: Mapping[str, Value]) -> Near | None:
    """Return how near a cell is; None if it is of another kind."""
    if any(cell.value(name) != wanted[name] for name in EXACT if name in wanted):
        return None
    logs = [
        math.log2(float(cell.value(name)) / float(wanted[name])) for name in SHAPE if name in wanted
    ]
    distance = math.sqrt(sum(log**2 for log in logs))
    return Near(cell, distance, 2 ** max(map(abs, logs), default=0.0))


def _too_far(near: list[Near]) -> str:
    if not near:
        return "no cell of this kind was measured"
    return f"the nearest cell, {near[0].cell.cell.name}, is {near[0].farthest:.4g} times off"


def wanted(plan: Plan, given: Mapping[str, Any]) -> dict[str, Value]:
    """Return the whole shape that is asked for; what is not given is the sweep's own.

    Raises UsageError for what is no setting of a shape, or out of bounds.
    """
    known = (*SHAPE, *EXACT)
    for name in given:
        if name not in known:
            raise unknown("setting of a shape", name, known)
    base = from_mapping({**plan.base, **given}, "recommend")
    result: dict[str, Value] = {name: getattr(base, name) for name in SHAPE}
    for name in EXACT:
        value = getattr(base, name)
        if name in given or name in plan.axes:
            result[name] = value[0] if isinstance(value, tuple) else value
    if result.get("threads") == 0:  # as many as there are cores, wherever a cell was run
        del result["threads"]
    return result

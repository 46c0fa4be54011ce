"""The rungs of the parity ladder: everything that is compared, first things first.

A rung is one object: what it observes of a backend, what the oracle expects there and within which
tolerances, and how the two are compared. To add one, write a class and put it into `LADDER`;
nothing else lists rungs.
"""

from lstmbench.parity.climb import BATCHES
from lstmbench.parity.rungs.base import EVERYWHERE, AfterSteps, Moves, Rung
from lstmbench.parity.rungs.changing import (
    ShapedForward,
    ShapedGradients,
    ShapedState,
    ShapedSteps,
)
from lstmbench.parity.rungs.effects import Lifetime, LifetimeOfGradients, SideEffects
from lstmbench.parity.rungs.generation import Generate
from lstmbench.parity.rungs.passes import CarriedState, Forward, Gradients, LoadedParameters, Loss
from lstmbench.parity.rungs.repeated import Again, ManyDigits, ManyGradients, ManyPasses
from lstmbench.parity.rungs.shapes import Shapes
from lstmbench.parity.rungs.stale import (
    AfterTraining,
    FreeRunningAfterTraining,
    GenerateAfterReload,
    GenerateAfterTraining,
    GradientsAfterReload,
    GradientsAfterTraining,
    Reload,
    StepsAfterReload,
)
from lstmbench.parity.rungs.training import Accuracy, Clip, FreeRunning, Steps

__all__ = ["LADDER", "ORDER", "RUNGS", "AfterSteps", "Moves", "Rung", "rungs"]

LADDER: tuple[Rung, ...] = (
    Shapes(),
    LoadedParameters(),
    Forward(),
    CarriedState(),
    Loss(),
    Gradients(),
    Clip(),
    Steps("step", 1, EVERYWHERE),
    Steps("steps", 3),
    Steps("trajectory", BATCHES, long=True),
    FreeRunning(),
    Generate(),
    Again(),
    Lifetime(),
    LifetimeOfGradients(),
    ShapedForward(),
    ShapedState(),
    ShapedGradients(),
    ShapedSteps(),
    SideEffects(),
    AfterTraining(),
    GradientsAfterTraining(),
    GenerateAfterTraining(),
    FreeRunningAfterTraining(),
    Reload(),
    GradientsAfterReload(),
    GenerateAfterReload(),
    StepsAfterReload(),
    Accuracy(),
    ManyPasses(),
    ManyGradients(),
    ManyDigits(),
    Steps("many-steps", 150, ("odd",), long=True),
)
"""All rungs, in the order in which the ladder is climbed."""
RUNGS = {rung.name: rung for rung in LADDER}
"""All rungs by name."""
ORDER = tuple(RUNGS)
"""The names of all rungs, in order."""


def rungs(case: str) -> tuple[Rung, ...]:
    """Return the rungs that stand at a case, in order."""
    return tuple(rung for rung in LADDER if case in rung.cases)

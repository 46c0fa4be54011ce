"""The rungs of weights that are out of date: after training, and after another load."""

from lstmbench.parity.climb import Climb
from lstmbench.parity.rungs.base import SOME, AfterSteps, Moves, Rung
from lstmbench.parity.rungs.generation import Generate
from lstmbench.parity.values import Arrays

STEPS = 3
"""How many steps change greedy digits at every case."""


class AfterTraining(AfterSteps):
    """Logits once the parameters have moved: none may be stale."""

    name, needs = "after-training", ("train_step", "forward")
    steps = 2

    def observe(self, climb: Climb) -> Arrays:
        for pair in climb.staged[: self.steps]:
            climb.backend.train_step(*pair)
        return climb.fetch({"logits": climb.backend.forward(climb.staged[0][0])[0]})


class GradientsAfterTraining(AfterSteps):
    """Gradients once the parameters have moved."""

    name, needs = "gradients-after-training", ("train_step", "loss_and_gradients")
    cases, steps = SOME, 2

    def observe(self, climb: Climb) -> Arrays:
        climb.backend.loss_and_gradients(*climb.staged[0])
        for pair in climb.staged[: self.steps]:
            climb.backend.train_step(*pair)
        loss, gradients = climb.backend.loss_and_gradients(*climb.staged[0])
        return climb.fetch({"loss": loss, **gradients})


class GenerateAfterTraining(Generate):
    """Greedy digits once the parameters have moved."""

    name = "generate-after-training"
    needs = ("train_step", "generate")
    cases = SOME

    def prepare(self, climb: Climb) -> None:
        super().prepare(climb)
        climb.backend.generate(climb.staged[0][0], climb.case.digits)
        for pair in climb.staged[:STEPS]:
            climb.backend.train_step(*pair)


class FreeRunningAfterTraining(Moves):
    """A free-running step once the parameters have moved, and one after another load."""

    name, needs = "free-running-after-training", ("train_step",)
    cases, steps = SOME, 1

    def observe(self, climb: Climb) -> Arrays:
        step = climb.backend.train_step
        climb.load(climb.case.varied_parameters(climb.dtype))
        step(*climb.staged[0], free_running=True)
        for pair in climb.staged[:STEPS]:
            step(*pair)
        moved = step(*climb.staged[0], free_running=True)
        climb.load(climb.case.varied_parameters(climb.dtype, draw=1))
        return climb.moves([step(*climb.staged[0], free_running=True)]) | climb.fetch(
            {"loss after training": moved}
        )


class Reload(Rung):
    """Logits after other parameters were loaded, whose arrays the caller then overwrites."""

    name, needs = "reload", ("forward",)

    def observe(self, climb: Climb) -> Arrays:
        climb.backend.forward(climb.staged[0][0])
        overwritten_load(climb)
        return climb.fetch({"logits": climb.backend.forward(climb.staged[0][0])[0]})


def overwritten_load(climb: Climb) -> None:
    """Load another draw of parameters, and overwrite all arrays that the backend may have kept."""
    climb.load(climb.case.parameters(climb.dtype, draw=1))
    given, climb.given = climb.given, {}
    for array in [*given.values(), *climb.backend.parameters().values()]:
        if array.flags.writeable:
            array[...] = 0


class StepsAfterReload(Moves):
    """Gradients and steps after another load: they are those of a fresh start."""

    name, needs = "steps-after-reload", ("train_step",)
    cases, steps = SOME, 2

    def observe(self, climb: Climb) -> Arrays:
        for pair in climb.staged[:2]:
            climb.backend.train_step(*pair)
        overwritten_load(climb)
        return climb.moves([climb.backend.train_step(*pair) for pair in climb.staged[:2]])


class GradientsAfterReload(Rung):
    """Gradients after another load."""

    name, needs = "gradients-after-reload", ("loss_and_gradients",)
    cases = SOME

    def observe(self, climb: Climb) -> Arrays:
        climb.backend.loss_and_gradients(*climb.staged[0])
        overwritten_load(climb)
        loss, gradients = climb.backend.loss_and_gradients(*climb.staged[0])
        return climb.fetch({"loss": loss, **gradients})


class GenerateAfterReload(Generate):
    """Greedy digits after another load."""

    name = "generate-after-reload"
    cases = SOME

    def prepare(self, climb: Climb) -> None:
        super().prepare(climb)
        climb.backend.generate(climb.staged[0][0], climb.case.digits)
        climb.load(climb.case.varied_parameters(climb.dtype, draw=1))

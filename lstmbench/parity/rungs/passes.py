"""The rungs of single passes: parameters, logits, state, loss and gradients."""

from lstmbench.parity.climb import Climb
from lstmbench.parity.rungs.base import EVERYWHERE, Rung
from lstmbench.parity.values import Arrays


class LoadedParameters(Rung):
    """What comes out after `load`."""

    name = "parameters"

    def observe(self, climb: Climb) -> Arrays:
        return climb.backend.parameters()


class Forward(Rung):
    """Logits of some batches, each from a zero state."""

    name, needs = "forward", ("forward",)
    cases, by_call = EVERYWHERE, True

    def observe(self, climb: Climb) -> Arrays:
        return {"logits": climb.stack([climb.backend.forward(x)[0] for x, _ in climb.staged[:3]])}


class CarriedState(Rung):
    """A state that one call returned is given to the next, which leaves it as it was."""

    name, needs = "state", ("forward",)
    cases = EVERYWHERE

    def observe(self, climb: Climb) -> Arrays:
        _, first = climb.backend.forward(climb.staged[0][0])
        logits, (hidden, cell) = climb.backend.forward(climb.staged[1][0], first)
        return climb.fetch(
            {
                "logits": logits,
                "hidden": hidden,
                "cell": cell,
                "first hidden": first[0],
                "first cell": first[1],
            }
        )


class Loss(Rung):
    """Loss of two batches."""

    name, needs = "loss", ("loss_and_gradients",)
    cases = EVERYWHERE

    def observe(self, climb: Climb) -> Arrays:
        calls = [climb.backend.loss_and_gradients(*pair) for pair in climb.staged[:2]]
        return {"loss": climb.stack([loss for loss, _ in calls])}


class Gradients(Rung):
    """Gradients of some batches, not clipped: nothing of one is left over in another."""

    name, needs = "gradients", ("loss_and_gradients",)
    cases, by_call = EVERYWHERE, True

    def observe(self, climb: Climb) -> Arrays:
        calls = [climb.backend.loss_and_gradients(*pair)[1] for pair in climb.staged[:3]]
        return {name: climb.stack([call[name] for call in calls]) for name in calls[0]}

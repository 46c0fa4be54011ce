"""The rungs on which the shape of the batch changes."""

from typing import Any

from lstmbench.interface import BatchShape
from lstmbench.parity.climb import Climb
from lstmbench.parity.rungs.base import Moves, Rung
from lstmbench.parity.values import Arrays


class Shaped(Rung):
    """Something at the case's shape, at fewer sequences, at fewer steps, and at the first again."""

    cases = ("odd",)

    @staticmethod
    def batches(climb: Climb) -> list[tuple[str, Any, Any]]:
        """Return a batch of each shape with its name: inputs and targets, staged."""
        whole = climb.case.shape
        fewer = BatchShape(whole.batch - 1, whole.length)
        shorter = BatchShape(whole.batch, whole.length - 2)
        result = []
        for turn, shape in enumerate((whole, fewer, whole, shorter, whole), 1):
            ((inputs, targets),) = climb.stage_shape(shape, turn)[-1:]
            result.append((f"of {shape.batch} x {shape.length}, call {turn}", inputs, targets))
        return result


class ShapedForward(Shaped):
    """Logits as the shape of the batch changes."""

    name, needs = "shapes-forward", ("forward",)

    def observe(self, climb: Climb) -> Arrays:
        batches = self.batches(climb)
        return climb.fetch(
            {f"logits {name}": climb.backend.forward(x)[0] for name, x, _ in batches}
        )


class ShapedState(Shaped):
    """Logits from a carried state as the shape of the batch changes."""

    name, needs = "shapes-state", ("forward",)

    def observe(self, climb: Climb) -> Arrays:
        forward, found = climb.backend.forward, {}
        for name, inputs, _ in self.batches(climb):
            _, state = forward(inputs)
            found[f"logits {name}"] = forward(inputs, state)[0]
        return climb.fetch(found)


class ShapedGradients(Shaped):
    """Loss and gradients as the shape of the batch changes."""

    name, needs = "shapes-gradients", ("loss_and_gradients",)

    def observe(self, climb: Climb) -> Arrays:
        found = {}
        for name, inputs, targets in self.batches(climb):
            loss, gradients = climb.backend.loss_and_gradients(inputs, targets)
            found[f"loss {name}"] = loss
            found |= {f"{key} {name}": gradient for key, gradient in gradients.items()}
        return climb.fetch(found)


class ShapedSteps(Shaped, Moves):
    """Training steps as the shape of the batch changes."""

    name, needs = "shapes-steps", ("train_step",)
    steps = 5

    def observe(self, climb: Climb) -> Arrays:
        pairs = [(inputs, targets) for _, inputs, targets in self.batches(climb)]
        return climb.moves([climb.backend.train_step(*pair) for pair in pairs])

"""The rungs of what calls do to one another: results last, and nothing else is changed."""

from abc import abstractmethod
from collections.abc import Callable

from lstmbench.parity.climb import Climb
from lstmbench.parity.rungs.base import RUNS, SOME, Moves, Rung
from lstmbench.parity.values import Arrays

KEPT_RESULTS = 5
"""How many results of one method are kept while others are computed."""
FEW_DIGITS = 3


def do_nothing(climb: Climb) -> None:
    """Leave the oracle alone, which keeps nothing between its calls but parameters and moments."""


def evaluate(climb: Climb) -> None:
    """Call every method that is claimed and leaves the parameters as they are."""
    backend, batches = climb.backend, climb.staged[KEPT_RESULTS:]
    if climb.claims("forward"):
        backend.forward(batches[0][0])
    if climb.claims("loss_and_gradients"):
        backend.loss_and_gradients(*batches[1])
    if climb.claims("generate"):
        backend.generate(batches[2][0], FEW_DIGITS)
    backend.parameters()


def do_everything(climb: Climb) -> None:
    """Call every method that is claimed."""
    evaluate(climb)
    if climb.claims("train_step"):
        climb.backend.train_step(*climb.staged[-1])


class WithOtherCalls(Rung):
    """A rung that calls other methods in between; the oracle, which is alike without, does not."""

    def meanwhile(self, climb: Climb) -> None:
        """Make the other calls."""
        do_everything(climb)

    @abstractmethod
    def observe_with(self, climb: Climb, meanwhile: Callable[[Climb], None]) -> Arrays:
        """Return what is compared, having called `meanwhile` where other calls belong."""

    def observe(self, climb: Climb) -> Arrays:
        return self.observe_with(climb, self.meanwhile)

    def observe_oracle(self, climb: Climb) -> Arrays:
        return self.observe_with(climb, do_nothing)


class Lifetime(WithOtherCalls):
    """Logits and states are still what they were once much else has been computed."""

    name, needs = "lifetime", ("forward",)
    by_call = True
    cases = (*SOME, *RUNS)

    def observe_with(self, climb: Climb, meanwhile: Callable[[Climb], None]) -> Arrays:
        kept = [climb.backend.forward(x) for x, _ in climb.staged[:KEPT_RESULTS]]
        meanwhile(climb)
        return {
            "logits": climb.stack([logits for logits, _ in kept]),
            "hidden": climb.stack([state[0] for _, state in kept]),
            "cell": climb.stack([state[1] for _, state in kept]),
        }


class LifetimeOfGradients(WithOtherCalls):
    """Gradients and losses are still what they were once much else has been computed."""

    name, needs = "lifetime-gradients", ("loss_and_gradients",)
    cases, by_call = SOME, True

    def observe_with(self, climb: Climb, meanwhile: Callable[[Climb], None]) -> Arrays:
        kept = [climb.backend.loss_and_gradients(*pair) for pair in climb.staged[:KEPT_RESULTS]]
        meanwhile(climb)
        gradients = [gradients for _, gradients in kept]
        stacked = {name: climb.stack([one[name] for one in gradients]) for name in gradients[0]}
        return stacked | {"loss": climb.stack([loss for loss, _ in kept])}


class SideEffects(WithOtherCalls, Moves):
    """Steps move the parameters alike whatever is compiled or computed before and between them."""

    name, needs = "side-effects", ("train_step",)
    cases, steps = (*SOME, *RUNS), 3

    def meanwhile(self, climb: Climb) -> None:
        evaluate(climb)

    def observe_with(self, climb: Climb, meanwhile: Callable[[Climb], None]) -> Arrays:
        shape = climb.case.shape
        climb.backend.compile(shape.batch, shape.length)
        compiled = {f"{name} once compiled": a for name, a in climb.backend.parameters().items()}
        losses = []
        for pair in climb.staged[: self.steps]:
            losses.append(climb.backend.train_step(*pair))
            meanwhile(climb)
        return climb.moves(losses) | compiled

"""The rungs of training: clipping, steps of Adam, free-running steps, and what is learned."""

from itertools import cycle, islice

import numpy as np

from lstmbench import statistics
from lstmbench.parity.climb import LARGE_STEP, Climb
from lstmbench.parity.comparing import Found, worst
from lstmbench.parity.oracle_runs import OracleRuns
from lstmbench.parity.rungs.base import EVERYWHERE, USUAL, Moves, Rung
from lstmbench.parity.tolerances import clipping_allowance, global_norm, rounding
from lstmbench.parity.values import Arrays, Comparison, Expected

ACTIVE_CLIP = 1e-3
"""A bound far below the norm of every case's gradients."""
NO_CLIP = 1e30
LESSONS = 5
LESSON_STEPS = 30


class Clip(Rung):
    """The clipped gradient where clipping is active, in units of the unclipped one's norm."""

    name, needs = "clip", ("train_step",)

    def observe(self, climb: Climb) -> Arrays:
        unclipped = climb.large_step(NO_CLIP)
        norm = global_norm(unclipped)
        return {name: move / norm for name, move in climb.large_step(ACTIVE_CLIP).items()}

    def allowance(self, runs: OracleRuns) -> float:
        return clipping_allowance(runs.gradients, runs.precision.stored_eps)

    def resolutions(self, runs: OracleRuns, exact: Arrays) -> dict[str, float]:
        unit = global_norm(runs.gradients) * LARGE_STEP.learning_rate / LARGE_STEP.epsilon
        before = runs.exact.loaded
        return {name: rounding(before[name], runs.options.dtype) / unit for name in exact}


class Steps(Moves):
    """How far each parameter moves in some steps, and the loss of each.

    Bias correction shows at the second step, the carried moments at the third.
    """

    needs = ("train_step",)

    def __init__(
        self, name: str, steps: int, cases: tuple[str, ...] = USUAL, long: bool = False
    ) -> None:
        self.name, self.steps = name, steps  # type: ignore[misc]  # a name for each instance
        self.cases, self.long = cases, long  # type: ignore[misc]

    def observe(self, climb: Climb) -> Arrays:
        pairs = islice(cycle(climb.staged), self.steps)
        return climb.moves([climb.backend.train_step(*pair) for pair in pairs])


class FreeRunning(Moves):
    """A free-running step, and an ordinary one after it."""

    name, needs = "free-running", ("train_step",)
    # But not where logits are so large that a greedy choice is a tie within rounding.
    cases = tuple(case for case in EVERYWHERE if case != "large")
    steps = 2

    def observe(self, climb: Climb) -> Arrays:
        first = climb.backend.train_step(*climb.staged[0], free_running=True)
        return climb.moves([first, climb.backend.train_step(*climb.staged[1])])


class Accuracy(Rung):
    """Share of right guesses after some training on what can be learned, for each of some seeds.

    Compared by two one-sided tests: equivalent if the 95 % interval of the mean difference from
    the oracle, over the same seeds, lies within what another seed changes, one standard deviation.
    Schuirmann, https://doi.org/10.1007/BF01068419, at 95 % rather than 90 %.
    """

    name, needs = "accuracy", ("train_step", "forward")
    cases = ("wide",)  # large enough to learn something

    def observe(self, climb: Climb) -> Arrays:
        shares = []
        for seed in range(LESSONS):
            climb.load(climb.case.parameters(climb.dtype, draw=seed))
            *lessons, test = climb.case.lesson(seed, LESSON_STEPS + 1)
            for pair in climb.stage(np.stack(lessons)):
                climb.backend.train_step(*pair)
            ((inputs, _),) = climb.stage(test[None])
            logits = climb.backend.fetch(climb.backend.forward(inputs)[0])
            shares.append((logits.argmax(-1) == test[:, 1:]).mean())
        return {"accuracy": np.array(shares)}

    def expect(self, runs: OracleRuns) -> Expected:
        shares = runs.observe(self.observe)
        margin = float(shares["accuracy"].std(ddof=1))
        return Expected(name=self.name, arrays=shares, tolerances={"accuracy": margin})

    def compare_arrays(self, expected: Expected, actual: Arrays) -> Comparison:
        wanted, shares = expected.arrays["accuracy"], actual["accuracy"]
        margin = expected.tolerances["accuracy"]
        difference = statistics.mean((shares - wanted).tolist())
        furthest = max(abs(difference.low), abs(difference.high))
        note = f"differs by {100 * difference.value:.1f} points of {len(wanted)} seeds' mean"
        return worst({"accuracy": Found(furthest / margin, note, margin)})

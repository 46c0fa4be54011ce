"""The rungs of the parity ladder: everything that is compared, first things first.

A rung is one object: what it observes of a backend, what the oracle expects there and within which
tolerances, and how the two are compared. To add one, write a class and put it into `LADDER`;
nothing else lists rungs.
"""

from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any, ClassVar

import numpy as np

from lstmbench import statistics
from lstmbench.interface.errors import NotSupported
from lstmbench.parity.climb import BATCHES, Climb
from lstmbench.parity.comparing import INFINITE, Found, compare_arrays, worst, wrong_shape
from lstmbench.parity.oracle_runs import OracleRuns
from lstmbench.parity.tolerances import clipping_allowance, step_allowance
from lstmbench.parity.values import Arrays, Comparison, Expected, Observation

GENERATED_DIGITS = 16
REPEATED_CALLS = 10
ACTIVE_CLIP = 1e-3
"""A bound far below the norm of every case's gradients."""
NO_CLIP = 1e30
LESSONS = 5
LESSON_STEPS = 30


class Rung(ABC):
    """One check of the ladder."""

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    """The methods of `Backend` that must be claimed."""
    only_at: ClassVar[str] = ""
    """The one case at which it stands; empty for all."""

    @abstractmethod
    def observe(self, climb: Climb) -> Arrays:
        """Return the named arrays that are compared, of a backend that has just been loaded."""

    def expect(self, runs: OracleRuns) -> Expected:
        """Return the oracle's arrays and the relative error that is allowed in each."""
        exact, others = runs.observe(self.observe)
        allowance = self.allowance(runs)
        allowed = {n: t + allowance for n, t in runs.tolerances(exact, others).items()}
        return Expected(name=self.name, arrays=exact, tolerances=allowed)

    def allowance(self, runs: OracleRuns) -> float:
        """Return what is allowed beyond what the oracle's variants show, as a relative error."""
        return 0.0

    def compare(self, expected: Expected, observed: Observation) -> Comparison:
        """Return what comes of comparing an observation with the expected values."""
        if not observed.claimed:
            return Comparison(outcome="not claimed")
        if observed.error:
            return Comparison(outcome="failed", note=f"raised {observed.error}")
        if observed.inputs_changed:
            return Comparison(outcome="failed", array="inputs", note="changed")
        return self.compare_arrays(expected, observed.arrays)

    def compare_arrays(self, expected: Expected, actual: Arrays) -> Comparison:
        """Compare the arrays of an observation."""
        return compare_arrays(expected, actual)


class Shapes(Rung):
    """One call of every claimed method; compared by shape and dtype alone.

    The first word of an array's name is the method that returned it.
    """

    name = "shapes"

    def observe(self, climb: Climb) -> Arrays:
        found = {f"parameters {n}": array for n, array in climb.backend.parameters().items()}
        for method in (self._forward, self._loss_and_gradients, self._train_step, self._generate):
            capability = method.__name__.removeprefix("_")
            if capability in climb.backend.capabilities():
                with suppress(NotSupported):
                    arrays = climb.fetch(method(climb))
                    found |= {f"{capability} {n}": array for n, array in arrays.items()}
        return found

    @staticmethod
    def _forward(climb: Climb) -> dict[str, Any]:
        logits, (hidden, cell) = climb.backend.forward(climb.staged[0][0])
        return {"logits": logits, "hidden": hidden, "cell": cell}

    @staticmethod
    def _loss_and_gradients(climb: Climb) -> dict[str, Any]:
        loss, gradients = climb.backend.loss_and_gradients(*climb.staged[0])
        return {"loss": loss, **gradients}

    @staticmethod
    def _train_step(climb: Climb) -> dict[str, Any]:
        return {"loss": climb.backend.train_step(*climb.staged[0])}

    @staticmethod
    def _generate(climb: Climb) -> dict[str, Any]:
        inputs = climb.staged[0][0]
        several = climb.backend.generate(inputs, GENERATED_DIGITS)
        return {"digits": several, "digit": climb.backend.generate(inputs, 1)}

    def expect(self, runs: OracleRuns) -> Expected:
        arrays = {
            name: array.astype(runs.options.dtype) if array.dtype.kind == "f" else array
            for name, array in runs.observe_exact(self.observe).items()
        }
        return Expected(name=self.name, arrays=arrays, tolerances={})

    def compare_arrays(self, expected: Expected, actual: Arrays) -> Comparison:
        methods = {name.split()[0] for name in actual}
        found = {n: Found(INFINITE, "unknown") for n in actual.keys() - expected.arrays.keys()}
        for name, wanted in expected.arrays.items():
            if name.split()[0] in methods:  # the others' methods are not claimed
                found[name] = self._compare(name, actual.get(name), wanted)
        return worst(found)

    @staticmethod
    def _compare(name: str, value: np.ndarray | None, wanted: np.ndarray) -> Found:
        """Compare shape and dtype: digits may be any kind of integer, a loss any kind of float."""
        if value is None:
            return Found(INFINITE, "missing")
        if other_shape := wrong_shape(value, wanted):
            return other_shape
        returned = name.split()[-1]
        if returned in ("digits", "digit"):
            good = value.dtype.kind in "iu"
        elif returned == "loss":
            good = value.dtype.kind == "f"
        else:
            good = value.dtype == wanted.dtype
        if good:
            return Found(0.0)
        return Found(INFINITE, f"dtype {value.dtype}, expected {wanted.dtype}")


class LoadedParameters(Rung):
    """What comes out after `load`."""

    name = "parameters"

    def observe(self, climb: Climb) -> Arrays:
        return climb.backend.parameters()


class Forward(Rung):
    """Logits of two batches, each from a zero state."""

    name, needs = "forward", ("forward",)

    def observe(self, climb: Climb) -> Arrays:
        return {"logits": climb.stack([climb.backend.forward(x)[0] for x, _ in climb.staged[:2]])}


class CarriedState(Rung):
    """A state that one call returned is given to the next, which leaves it as it was."""

    name, needs = "state", ("forward",)

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

    def observe(self, climb: Climb) -> Arrays:
        calls = [climb.backend.loss_and_gradients(*pair) for pair in climb.staged[:2]]
        return {"loss": climb.stack([loss for loss, _ in calls])}


class Gradients(Rung):
    """Gradients of two batches, not clipped: nothing of one is left over in the other."""

    name, needs = "gradients", ("loss_and_gradients",)

    def observe(self, climb: Climb) -> Arrays:
        calls = [climb.backend.loss_and_gradients(*pair)[1] for pair in climb.staged[:2]]
        return {name: climb.stack([call[name] for call in calls]) for name in calls[0]}


class Clip(Rung):
    """The clipped gradient where clipping is active, in units of the unclipped one's norm."""

    name, needs = "clip", ("train_step",)

    def observe(self, climb: Climb) -> Arrays:
        unclipped = climb.large_step(NO_CLIP)
        norm = np.sqrt(sum(float((move**2).sum()) for move in unclipped.values()))
        return {name: move / norm for name, move in climb.large_step(ACTIVE_CLIP).items()}

    def allowance(self, runs: OracleRuns) -> float:
        return clipping_allowance(runs.gradients, runs.eps)


class AfterSteps(Rung):
    """A rung on which Adam has moved the parameters, with the case's own clip."""

    def allowance(self, runs: OracleRuns) -> float:
        return step_allowance(runs.gradients, runs.exact.options.optimiser, runs.eps)


class Steps(AfterSteps):
    """How far each parameter moves in some steps, and the loss of each.

    Bias correction shows at the second step, the carried moments at the third.
    """

    needs = ("train_step",)

    def __init__(self, name: str, count: int) -> None:
        self.name, self.count = name, count  # type: ignore[misc]  # a name for each count

    def observe(self, climb: Climb) -> Arrays:
        return climb.moves([climb.backend.train_step(*pair) for pair in climb.staged[: self.count]])


class FreeRunning(AfterSteps):
    """A free-running step, and an ordinary one after it."""

    name, needs = "free-running", ("train_step",)

    def observe(self, climb: Climb) -> Arrays:
        first = climb.backend.train_step(*climb.staged[0], free_running=True)
        return climb.moves([first, climb.backend.train_step(*climb.staged[1])])


class Generate(Rung):
    """Greedy digits after two batches of prompts, each from a zero state."""

    name, needs = "generate", ("generate",)

    def observe(self, climb: Climb) -> Arrays:
        prompts = [x for x, _ in climb.staged[:2]]
        calls = [climb.backend.generate(x, GENERATED_DIGITS) for x in prompts]
        return {"digits": np.concatenate(climb.stack(calls))}

    def expect(self, runs: OracleRuns) -> Expected:
        arrays = runs.observe_exact(self.observe)
        prompts = np.concatenate(runs.case.tokens(2)[..., :-1])
        return Expected(
            name=self.name,
            arrays=arrays,
            tolerances={"digits": FORWARD.expect(runs).tolerances["logits"]},
            margins={"digits": runs.greedy_margins(prompts, arrays["digits"])},
        )


class Again(Rung):
    """The first batch many times over, another shape in between."""

    name, needs = "again", ("forward",)

    def observe(self, climb: Climb) -> Arrays:
        inputs, forward = climb.staged[0][0], climb.backend.forward
        other = np.concatenate([climb.sequences[0], climb.sequences[1]])
        calls = [forward(inputs)[0] for _ in range(REPEATED_CALLS // 2)]
        reshaped = climb.fetch({"logits of another shape": forward(climb.backend.stage(other))[0]})
        calls += [forward(inputs)[0] for _ in range(REPEATED_CALLS // 2)]
        return reshaped | {"logits": climb.stack(calls)}


class AfterTraining(AfterSteps):
    """Logits once the parameters have moved: none may be stale."""

    name, needs = "after-training", ("train_step", "forward")

    def observe(self, climb: Climb) -> Arrays:
        for pair in climb.staged[:2]:
            climb.backend.train_step(*pair)
        return climb.fetch({"logits": climb.backend.forward(climb.staged[0][0])[0]})


class Reload(Rung):
    """Logits after other parameters were loaded, whose arrays the caller then overwrites."""

    name, needs = "reload", ("forward",)

    def observe(self, climb: Climb) -> Arrays:
        other = climb.case.parameters(climb.options.dtype, draw=1)
        climb.backend.forward(climb.staged[0][0])
        climb.backend.load(other)
        for array in [*other.values(), *climb.backend.parameters().values()]:
            if array.flags.writeable:
                array[...] = 0
        return climb.fetch({"logits": climb.backend.forward(climb.staged[0][0])[0]})


class Accuracy(Rung):
    """Share of right guesses after some training on what can be learned, for each of some seeds.

    Compared by two one-sided tests: equivalent if the 95 % interval of the mean difference from
    the oracle, over the same seeds, lies within what another seed changes, one standard deviation.
    Schuirmann, https://doi.org/10.1007/BF01068419, at 95 % rather than 90 %.
    """

    name, needs = "accuracy", ("train_step", "forward")
    only_at = "wide"  # large enough to learn something

    def observe(self, climb: Climb) -> Arrays:
        shares = []
        for seed in range(LESSONS):
            climb.backend.load(climb.case.parameters(climb.options.dtype, draw=seed))
            *lessons, test = climb.case.lesson(seed, LESSON_STEPS + 1)
            for pair in climb.stage(np.stack(lessons)):
                climb.backend.train_step(*pair)
            ((inputs, _),) = climb.stage(test[None])
            logits = climb.backend.fetch(climb.backend.forward(inputs)[0])
            shares.append((logits.argmax(-1) == test[:, 1:]).mean())
        return {"accuracy": np.array(shares)}

    def expect(self, runs: OracleRuns) -> Expected:
        shares = runs.observe_exact(self.observe)
        margin = float(shares["accuracy"].std(ddof=1))
        return Expected(name=self.name, arrays=shares, tolerances={"accuracy": margin})

    def compare_arrays(self, expected: Expected, actual: Arrays) -> Comparison:
        wanted, shares = expected.arrays["accuracy"], actual["accuracy"]
        margin = expected.tolerances["accuracy"]
        difference = statistics.mean((shares - wanted).tolist())
        furthest = max(abs(difference.low), abs(difference.high))
        note = f"differs by {100 * difference.value:.1f} points of {len(wanted)} seeds' mean"
        return worst({"accuracy": Found(furthest / margin, note, margin)})


FORWARD = Forward()
LADDER: tuple[Rung, ...] = (
    Shapes(),
    LoadedParameters(),
    FORWARD,
    CarriedState(),
    Loss(),
    Gradients(),
    Clip(),
    Steps("step", 1),
    Steps("steps", 3),
    Steps("trajectory", BATCHES),
    FreeRunning(),
    Generate(),
    Again(),
    AfterTraining(),
    Reload(),
    Accuracy(),
)
"""All rungs, in the order in which the ladder is climbed."""
RUNGS = {rung.name: rung for rung in LADDER}
"""All rungs by name."""
ORDER = tuple(RUNGS)
"""The names of all rungs, in order."""


def rungs(case: str) -> tuple[Rung, ...]:
    """Return the rungs that stand at a case, in order."""
    return tuple(rung for rung in LADDER if rung.only_at in ("", case))

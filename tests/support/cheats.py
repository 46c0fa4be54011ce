"""Backends that leave work out where it is timed, or in training, by the place where it is noticed.

All are right in the first few calls after a load.
"""

import time
from collections import Counter
from typing import Any

import numpy as np
from lstmbench_numpy.backend import NumpyBackend

from lstmbench import Parameters

CHEATS: dict[str, list[type[NumpyBackend]]] = {}


def noticed_in(place: str) -> Any:
    """File a class under the workload, or the part of a training, in which it is noticed."""

    def file(cheat: type[NumpyBackend]) -> type[NumpyBackend]:
        CHEATS.setdefault(place, []).append(cheat)
        return cheat

    return file


class Counting(NumpyBackend):
    """Counts the calls of each method since the last load, and keeps the last result."""

    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        self.calls: Counter[str] = Counter()
        self.last: dict[str, Any] = {}

    def idle(self, method: str) -> bool:
        """Whether this call is one to leave out."""
        self.calls[method] += 1
        return method in self.last and self.leaves_out(self.calls[method])

    def leaves_out(self, call: int) -> bool:
        return call >= 43

    def kept(self, method: str, result: Any) -> Any:
        self.last[method] = result
        return result


# Idle calls


class IdleForward(Counting):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        if self.idle("forward"):
            return self.last["forward"]
        return self.kept("forward", super().forward(inputs, state))


@noticed_in("forward")
class ForwardStopsAtCall43(IdleForward):
    pass


@noticed_in("forward")
class EverySecondPass(IdleForward):
    def leaves_out(self, call: int) -> bool:
        return call > 4 and call % 2 == 0


@noticed_in("forward")
class PassesTenToThirtyLeftOut(IdleForward):
    def leaves_out(self, call: int) -> bool:
        return 10 <= call <= 30


class IdleGradients(Counting):
    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        if self.idle("gradients"):
            return self.last["gradients"]
        return self.kept("gradients", super().loss_and_gradients(inputs, targets))


@noticed_in("gradients")
class GradientsStopAtCall43(IdleGradients):
    pass


@noticed_in("gradients")
class EveryThirdGradient(IdleGradients):
    def leaves_out(self, call: int) -> bool:
        return call > 4 and call % 3 == 0


@noticed_in("gradients")
class OnlyTheDeepestGradient(Counting):
    """The gradients of all but one array are those of the first call."""

    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        loss, gradients = super().loss_and_gradients(inputs, targets)
        if self.idle("gradients") and self.calls["gradients"] > 4:
            deepest = {"lstm.0.weight_ih": gradients["lstm.0.weight_ih"]}
            return loss, self.last["gradients"] | deepest
        self.kept("gradients", gradients)
        return loss, gradients


@noticed_in("gradients")
class UpperLayersFromTheLastCall(Counting):
    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        loss, gradients = super().loss_and_gradients(inputs, targets)
        before = self.last.get("gradients", gradients)
        self.kept("gradients", gradients)
        self.calls["gradients"] += 1
        if self.calls["gradients"] <= 4:
            return loss, gradients
        return loss, {n: g if ".0." in n else before[n] for n, g in gradients.items()}


@noticed_in("gradients")
class LossOfTheLastCall(Counting):
    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        loss, gradients = super().loss_and_gradients(inputs, targets)
        before = self.last.get("loss", loss)
        self.kept("loss", loss)
        self.calls["gradients"] += 1
        return (before if self.calls["gradients"] > 4 else loss), gradients


class IdleSteps(Counting):
    """Hands back a loss and leaves the parameters as they are."""

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        if self.idle("train"):
            return self.last["train"]
        return self.kept("train", super().train_step(inputs, targets, free_running))


@noticed_in("train")
class StepsStopAtCall43(IdleSteps):
    pass


@noticed_in("train")
class EverySecondStepOfALongBlock(IdleSteps):
    def leaves_out(self, call: int) -> bool:
        return call > 20 and call % 2 == 0


@noticed_in("train")
class LossesWithoutUpdates(IdleSteps):
    """From the 43rd step on the loss is right for the parameters, which no longer move."""

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        if self.idle("train"):
            return super(Counting, self).loss_and_gradients(inputs, targets)[0]
        return self.kept("train", super(Counting, self).train_step(inputs, targets, free_running))


@noticed_in("train")
class LastStepLeftOut(IdleSteps):
    """Knows how many calls a block has, and leaves out the last update."""

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        if self.calls["train"] == 61:
            return super(Counting, self).loss_and_gradients(inputs, targets)[0]
        return super().train_step(inputs, targets, free_running)

    def leaves_out(self, call: int) -> bool:
        return False


class IdleGeneration(Counting):
    def generate(self, prompts: Any, steps: int) -> Any:
        if self.idle("generate"):
            return self.last["generate"]
        return self.kept("generate", super().generate(prompts, steps))


@noticed_in("generate")
class GenerationStopsAtCall43(IdleGeneration):
    pass


@noticed_in("generate")
class RepeatsOneDigit(NumpyBackend):
    def generate(self, prompts: Any, steps: int) -> Any:
        return np.repeat(super().generate(prompts, 1), steps, axis=1)


@noticed_in("generate")
class RepeatsEightDigits(NumpyBackend):
    def generate(self, prompts: Any, steps: int) -> Any:
        digits = super().generate(prompts, min(steps, 8))
        return np.concatenate([digits] * 8, axis=1)[:, :steps]


@noticed_in("generate")
class ReadsTheLastDigitOfAPrompt(NumpyBackend):
    def generate(self, prompts: Any, steps: int) -> Any:
        return super().generate(prompts[:, -1:], steps)


@noticed_in("generate")
class RemembersDigitsByTheEndOfAPrompt(NumpyBackend):
    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        self.known: dict[Any, Any] = {}

    def generate(self, prompts: Any, steps: int) -> Any:
        key = prompts[:, -1:].tobytes(), prompts.shape, steps
        if key not in self.known:
            self.known[key] = super().generate(prompts, steps)
        return self.known[key]


@noticed_in("generate")
class GeneratesWithTheFirstBlocksWeights(NumpyBackend):
    first: Any = None

    def load(self, parameters: Parameters) -> None:
        self.first = self.first or dict(parameters)
        super().load(self.first)


# Late results, and work in `stage`


class Late:
    """An array that is computed when it is fetched."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        time.sleep(0.02)
        return self.array


@noticed_in("late")
class GradientsOnDemand(NumpyBackend):
    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        loss, gradients = super().loss_and_gradients(inputs, targets)
        return loss, {name: Late(array) for name, array in gradients.items()}


@noticed_in("late")
class AllButTheDeepestOnDemand(NumpyBackend):
    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        loss, gradients = super().loss_and_gradients(inputs, targets)
        ready = {"lstm.0.weight_ih": gradients["lstm.0.weight_ih"]}
        return loss, {name: Late(array) for name, array in gradients.items()} | ready


class Staged:
    """Digits with what was computed from them."""

    def __init__(self, digits: np.ndarray, result: Any) -> None:
        self.digits, self.result = digits, result


@noticed_in("stage")
class PassesInStage(NumpyBackend):
    def stage(self, tokens: np.ndarray) -> Any:
        time.sleep(0.005)
        return Staged(tokens, super().forward(tokens))

    def forward(self, inputs: Any, state: Any = None) -> Any:
        return super().forward(inputs.digits, state) if state else inputs.result

    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        return super().loss_and_gradients(inputs.digits, targets.digits)

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        return super().train_step(inputs.digits, targets.digits, free_running)

    def generate(self, prompts: Any, steps: int) -> Any:
        return super().generate(prompts.digits, steps)


@noticed_in("stage")
class DigitsInStage(PassesInStage):
    def stage(self, tokens: np.ndarray) -> Any:
        digits = NumpyBackend.generate(self, tokens, 64)
        time.sleep(0.05)
        return Staged(tokens, digits)

    def forward(self, inputs: Any, state: Any = None) -> Any:
        return NumpyBackend.forward(self, inputs.digits, state)

    def generate(self, prompts: Any, steps: int) -> Any:
        return prompts.result[:, :steps]


@noticed_in("stage")
class SlowStage(NumpyBackend):
    def stage(self, tokens: np.ndarray) -> Any:
        time.sleep(0.05)
        return super().stage(tokens)


# Training


@noticed_in("losses")
class EverySecondStepOfTraining(IdleSteps):
    """Once so many steps were made that no block of the timing has as many."""

    def leaves_out(self, call: int) -> bool:
        return call > 65 and call % 2 == 0


@noticed_in("losses")
class TrainingStops(IdleSteps):
    """The loss is right for the parameters, which no longer move."""

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        self.calls["train"] += 1
        if self.calls["train"] <= 70:
            return super(Counting, self).train_step(inputs, targets, free_running)
        return super(Counting, self).loss_and_gradients(inputs, targets)[0]


@noticed_in("losses")
class OutputLayerAloneLater(Counting):
    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        self.calls["train"] += 1
        before = self.parameters()
        loss = super().train_step(inputs, targets, free_running)
        if self.calls["train"] > 70:
            moments, after = self.calls, self.parameters()
            self.load({n: after[n] if n.startswith("linear") else a for n, a in before.items()})
            self.calls = moments
        return loss


@noticed_in("losses")
class UpdatesEveryFourthStep(Counting):
    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        self.calls["train"] += 1
        if self.calls["train"] > 66 and self.calls["train"] % 4:
            return super().loss_and_gradients(inputs, targets)[0]
        return super().train_step(inputs, targets, free_running)


@noticed_in("logits")
class WrongForEvaluationBatches(NumpyBackend):
    """Computes the first hundred sequences of a batch."""

    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, state = super().forward(inputs, state)
        logits[100:] = logits[:1]
        return logits, state


@noticed_in("logits")
class EvaluatesByTheWeightsLoaded(NumpyBackend):
    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        self.other = NumpyBackend(self.options)
        self.other.load(parameters)

    def forward(self, inputs: Any, state: Any = None) -> Any:
        return (self.other if len(inputs) > 100 else super()).forward(inputs, state)


@noticed_in("digits")
class GeneratesByTheWeightsLoaded(NumpyBackend):
    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        self.other = NumpyBackend(self.options)
        self.other.load(parameters)

    def generate(self, prompts: Any, steps: int) -> Any:
        return (self.other if len(prompts) > 100 else super()).generate(prompts, steps)


# What cannot be noticed


class LastUpdateDeferred(NumpyBackend):
    """Makes the update of a step when the next call needs it; the last one of a block never."""

    def load(self, parameters: Parameters) -> None:
        self.due: Any = None
        super().load(parameters)

    def settle(self) -> None:
        if self.due is not None:
            due, self.due = self.due, None
            super().train_step(*due)

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        self.settle()
        self.due = inputs, targets, free_running
        return super().loss_and_gradients(inputs, targets)[0]

    def parameters(self) -> Any:
        self.settle()
        return super().parameters()


UNSEEN = [LastUpdateDeferred]

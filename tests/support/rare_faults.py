"""Broken backends that are right most of the time, under the rung at which each must be caught.

They are wrong only at some sizes, late, as shapes change, once something else was called, with
weights that are out of date, or at large values.
"""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np
from faults import FAULTS as FAULTS
from faults import caught_at
from plain import Arrays, Plain, sigmoid

from lstmbench import Parameters

Factory = Callable[[int], type[Plain]]


def at_each(rung: str, *limits: int) -> Callable[[Factory], Factory]:
    """File what a factory makes of each limit."""

    def file(factory: Factory) -> Factory:
        for limit in limits:
            fault = factory(limit)
            fault.__name__ = f"{factory.__name__}_{limit}"
            caught_at(rung)(fault)
        return factory

    return file


# Sizes


@at_each("forward", 64, 128, 256, 512)
def rows_beyond(limit: int) -> type[Plain]:
    """Sequences beyond so many have the first one's logits."""

    class Fault(Plain):
        def forward(self, inputs: Any, state: Any = None) -> Any:
            logits, state = super().forward(inputs, state)
            logits[limit:] = logits[:1]
            return logits, state

    return Fault


@at_each("state", 64, 300)
def rows_without_a_state(limit: int) -> type[Plain]:
    """Sequences beyond so many start from zeros."""

    class Fault(Plain):
        def forward(self, inputs: Any, state: Any = None) -> Any:
            if state and len(inputs) > limit:
                state = tuple(np.array(part) for part in state)
                for part in state:
                    part[:, limit:] = 0
            return super().forward(inputs, state)

    return Fault


@at_each("gradients", 64, 128, 500)
def rows_without_gradient(limit: int) -> type[Plain]:
    """Sequences beyond so many are left out of the gradients."""

    class Fault(Plain):
        def loss(self, logits: np.ndarray, targets: np.ndarray) -> Any:
            loss, d_logits = super().loss(logits, targets)
            d_logits[limit:] = 0
            return loss, d_logits

    return Fault


@at_each("loss", 64, 256)
def mean_over_at_most(limit: int) -> type[Plain]:
    """The loss is divided by no more sequences than so many."""

    class Fault(Plain):
        def loss(self, logits: np.ndarray, targets: np.ndarray) -> Any:
            loss, d_logits = super().loss(logits, targets)
            return loss * self.dtype.type(max(1, len(logits) / limit)), d_logits

    return Fault


@at_each("forward", 32, 128, 256)
def steps_beyond(limit: int) -> type[Plain]:
    """Time steps beyond so many have the last one's logits."""

    class Fault(Plain):
        def forward(self, inputs: Any, state: Any = None) -> Any:
            logits, state = super().forward(inputs, state)
            logits[:, limit:] = logits[:, limit - 1 : limit]
            return logits, state

    return Fault


@at_each("gradients", 20, 40, 100, 250)
def truncated_backpropagation(every: int) -> type[Plain]:
    """What comes back through time is cut off."""

    class Fault(Plain):
        def through_time(self, n: int, t: int, dh: np.ndarray) -> np.ndarray:
            return 0 * dh if t % every == 0 else dh

    return Fault


@at_each("generate", 16, 32, 64)
def last_of_prompt(limit: int) -> type[Plain]:
    """Of a prompt, so many last digits are read."""

    class Fault(Plain):
        def generate(self, prompts: Any, steps: int) -> Any:
            return super().generate(prompts[:, -limit:], steps)

    return Fault


@at_each("generate", 16, 32)
def first_of_prompt(limit: int) -> type[Plain]:
    """Of a prompt, so many first digits are read."""

    class Fault(Plain):
        def generate(self, prompts: Any, steps: int) -> Any:
            return super().generate(prompts[:, :limit], steps)

    return Fault


@at_each("generate", 32, 64, 100)
def digits_beyond(limit: int) -> type[Plain]:
    """After so many digits the last one is repeated."""

    class Fault(Plain):
        def generate(self, prompts: Any, steps: int) -> Any:
            digits = super().generate(prompts, steps)
            digits[:, limit:] = digits[:, limit - 1 : limit]
            return digits

    return Fault


@at_each("generate", 20, 50)
def state_lost_after(limit: int) -> type[Plain]:
    """After so many digits the state is zero."""

    class Fault(Plain):
        def generate(self, prompts: Any, steps: int) -> Any:
            digits = super().generate(prompts, min(steps, limit))
            if steps <= limit:
                return digits
            rest = super().generate(digits[:, -1:], steps - limit)
            return np.concatenate([digits, rest], axis=1)

    return Fault


# Late


class Counting(Plain):
    """Counts the calls of each method since the last load."""

    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        self.calls: dict[str, int] = {}

    def count(self, method: str) -> int:
        self.calls[method] = self.calls.get(method, 0) + 1
        return self.calls[method]


@at_each("many-passes", 12, 100, 900)
def forward_from_call(first: int) -> type[Plain]:
    class Fault(Counting):
        def forward(self, inputs: Any, state: Any = None) -> Any:
            logits, state = super().forward(inputs, state)
            return logits * self.dtype.type(1.001 if self.count("forward") >= first else 1), state

    return Fault


@at_each("many-passes", 100, 200)
def forward_races_once_in(calls: int) -> type[Plain]:
    """One sequence of one call is a thousandth off."""

    class Fault(Counting):
        def forward(self, inputs: Any, state: Any = None) -> Any:
            logits, state = super().forward(inputs, state)
            if self.count("forward") % calls == calls // 2:
                logits[-1] *= self.dtype.type(1.001)
            return logits, state

    return Fault


@at_each("many-gradients", 12, 50, 300)
def gradients_from_call(first: int) -> type[Plain]:
    class Fault(Counting):
        def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
            loss, gradients = super().loss_and_gradients(inputs, targets)
            if self.count("gradients") >= first:
                gradients["lstm.0.bias"] *= self.dtype.type(1.001)
            return loss, gradients

    return Fault


@at_each("many-gradients", 100)
def gradients_race_once_in(calls: int) -> type[Plain]:
    class Fault(Counting):
        def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
            loss, gradients = super().loss_and_gradients(inputs, targets)
            if self.count("gradients") % calls == calls // 2:
                gradients["lstm.0.weight_hh"][0] = 0
            return loss, gradients

    return Fault


@at_each("many-digits", 5, 50)
def generate_from_call(first: int) -> type[Plain]:
    class Fault(Counting):
        def generate(self, prompts: Any, steps: int) -> Any:
            digits = super().generate(prompts, steps)
            return 9 - digits if self.count("generate") >= first else digits

    return Fault


@at_each("many-steps", 31, 100, 140)
def rate_halved_after(steps: int) -> type[Plain]:
    class Fault(Plain):
        def direction(self, m: np.ndarray, v: np.ndarray) -> np.ndarray:
            return super().direction(m, v) * (0.5 if self.steps > steps else 1)

    return Fault


@at_each("many-steps", 31, 100)
def training_stops_after(steps: int) -> type[Plain]:
    class Fault(Plain):
        def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
            if self.steps < steps:
                return super().train_step(inputs, targets, free_running)
            return self.differentiate(inputs, targets, free_running)[0]

    return Fault


@at_each("many-steps", 60, 120)
def moments_reset_at(step: int) -> type[Plain]:
    class Fault(Plain):
        def update(self, gradients: Arrays) -> None:
            if self.steps == step:
                self.mean = {name: 0 * array for name, array in self.mean.items()}
            super().update(gradients)

    return Fault


@at_each("many-steps", 40)
def epsilon_after(steps: int) -> type[Plain]:
    class Fault(Plain):
        def direction(self, m: np.ndarray, v: np.ndarray) -> np.ndarray:
            late = 9 * self.options.epsilon if self.steps > steps else 0
            return np.asarray(m / (np.sqrt(v) + self.options.epsilon + late))

    return Fault


@at_each("many-steps", 16, 64)
def steps_wrap_at(steps: int) -> type[Plain]:
    """As where the count is kept in too few bits."""

    class Fault(Plain):
        def corrected(self, name: str) -> Any:
            with patch.object(self, "steps", (self.steps - 1) % steps + 1):
                return super().corrected(name)

    return Fault


# Changing shapes


class Shaped(Plain):
    """Knows the shapes of the first batch and of the last one since the load."""

    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        self.first: Any = None
        self.last: Any = None

    def see(self, inputs: np.ndarray) -> None:
        self.first = self.first or inputs.shape
        self.last = inputs.shape


@caught_at("shapes-forward")
class FewerRowsThanAtFirst(Shaped):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, state = super().forward(inputs, state)
        if self.first and len(inputs) < self.first[0]:
            logits[-1] = logits[0]
        self.see(inputs)
        return logits, state


@caught_at("again")
class FewerStepsThanBefore(Shaped):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, state = super().forward(inputs, state)
        if self.last and inputs.shape[1] < self.last[1]:
            logits[:, -1] = 0
        self.see(inputs)
        return logits, state


@caught_at("again")
class MoreStepsThanBefore(Shaped):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, state = super().forward(inputs, state)
        if self.last and inputs.shape[1] > self.last[1]:
            logits[:, self.last[1] :] = 0
        self.see(inputs)
        return logits, state


@caught_at("shapes-state")
class StateOfAnotherBatchSizeIgnored(Shaped):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        self.see(inputs)
        return super().forward(inputs, state if self.first[0] == len(inputs) else None)


@caught_at("shapes-gradients")
class NormalisedByTheFirstShape(Shaped):
    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        loss, gradients = super().loss_and_gradients(inputs, targets)
        self.see(inputs)
        share = self.dtype.type(inputs.size / np.prod(self.first))
        return loss * share, {name: array * share for name, array in gradients.items()}


@caught_at("shapes-gradients")
class GradientsNotClearedForAnotherShape(Shaped):
    kept: Arrays = {}  # noqa: RUF012  # replaced, never changed

    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        loss, gradients = super().loss_and_gradients(inputs, targets)
        if self.last and self.last != inputs.shape:
            gradients = {name: array + self.kept[name] for name, array in gradients.items()}
        self.see(inputs)
        self.kept = gradients
        return loss, gradients


@caught_at("shapes-steps")
class StepsNormalisedByTheFirstShape(Shaped):
    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        self.see(inputs)
        return super().train_step(inputs, targets, free_running)

    def clip(self, gradients: Arrays) -> Arrays:
        share = self.dtype.type(np.prod(self.last) / np.prod(self.first))
        return {name: array * share for name, array in super().clip(gradients).items()}


# Results that do not last


class Buffers(Plain):
    """Hands out the same few arrays in turn, for each name and shape."""

    count = 2

    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        self.buffers: dict[Any, list[np.ndarray]] = {}

    def buffered(self, name: str, value: np.ndarray) -> np.ndarray:
        buffers = self.buffers.setdefault((name, value.shape), [])
        buffers.append(buffers.pop(0) if len(buffers) == self.count else np.empty_like(value))
        buffers[-1][...] = value
        return buffers[-1]

    def spoil(self, kind: str) -> None:
        """Overwrite what was handed out under names of a kind."""
        for (name, _), buffers in self.buffers.items():
            for buffer in buffers if name.startswith(kind) else []:
                buffer[...] = 0


class LogitsInTurn(Buffers):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, state = super().forward(inputs, state)
        return self.buffered("logits", logits), state


@caught_at("forward")
class LogitsInTwoBuffers(LogitsInTurn):
    pass


@caught_at("lifetime")
class LogitsInFourBuffers(LogitsInTurn):
    count = 4


@caught_at("many-passes")
class LogitsInThirtyBuffers(LogitsInTurn):
    count = 30


@caught_at("lifetime")
class LogitsOverwrittenByAStep(LogitsInTurn):
    count = 1_000_000

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        self.spoil("logits")
        return super().train_step(inputs, targets, free_running)


@caught_at("lifetime")
class LogitsOverwrittenByGeneration(LogitsInTurn):
    count = 1_000_000

    def generate(self, prompts: Any, steps: int) -> Any:
        self.spoil("logits")
        return Plain.generate(self, prompts, steps)


@caught_at("lifetime")
class LogitsOverwrittenByGradients(LogitsInTurn):
    count = 1_000_000

    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        self.spoil("logits")
        return super().loss_and_gradients(inputs, targets)


@caught_at("state")
class StateOverwrittenByTheNextPass(Buffers):
    count = 1

    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, (h, c) = super().forward(inputs, state and tuple(map(np.array, state)))
        return logits, (self.buffered("state h", h), self.buffered("state c", c))


@caught_at("lifetime")
class StateOverwrittenByGeneration(Buffers):
    count = 1_000_000

    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, (h, c) = super().forward(inputs, state)
        return logits, (self.buffered("state h", h), self.buffered("state c", c))

    def generate(self, prompts: Any, steps: int) -> Any:
        self.spoil("state")
        return Plain.generate(self, prompts, steps)


class GradientsInTurn(Buffers):
    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        loss, gradients = super().loss_and_gradients(inputs, targets)
        return loss, {name: self.buffered(f"g {name}", g) for name, g in gradients.items()}


@caught_at("gradients")
class GradientsInTwoBuffers(GradientsInTurn):
    pass


@caught_at("lifetime-gradients")
class GradientsInFourBuffers(GradientsInTurn):
    count = 4


@caught_at("lifetime-gradients")
class GradientsOverwrittenByAStep(GradientsInTurn):
    count = 1_000_000

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        self.spoil("g ")
        return super().train_step(inputs, targets, free_running)


@caught_at("lifetime-gradients")
class GradientsOverwrittenByAPass(GradientsInTurn):
    count = 1_000_000

    def forward(self, inputs: Any, state: Any = None) -> Any:
        self.spoil("g ")
        return super().forward(inputs, state)


@caught_at("steps")
class LossInOneBuffer(Buffers):
    count = 1

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        loss = super().train_step(inputs, targets, free_running)
        return self.buffered("loss", np.asarray(loss))


@caught_at("generate")
class DigitsInOneBuffer(Buffers):
    count = 1

    def generate(self, prompts: Any, steps: int) -> Any:
        return self.buffered("digits", super().generate(prompts, steps))


# Side effects


@caught_at("side-effects")
class CompilingMovesTheWeights(Plain):
    def compile(self, batch: int, length: int) -> None:
        for array in self.p.values():
            array += self.dtype.type(1e-3)


@caught_at("side-effects")
class CompilingLeavesMoments(Plain):
    def compile(self, batch: int, length: int) -> None:
        self.mean = {name: array + self.dtype.type(1e-3) for name, array in self.mean.items()}


@caught_at("side-effects")
class CompilingCountsAsAStep(Plain):
    def compile(self, batch: int, length: int) -> None:
        self.steps += 1


@caught_at("side-effects")
class APassClearsTheMoments(Plain):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        self.mean = {name: 0 * array for name, array in self.mean.items()}
        return super().forward(inputs, state)


@caught_at("side-effects")
class GenerationClearsTheMoments(Plain):
    def generate(self, prompts: Any, steps: int) -> Any:
        self.square = {name: 0 * array for name, array in self.square.items()}
        return super().generate(prompts, steps)


@caught_at("side-effects")
class GradientsCountAsAStep(Plain):
    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        self.steps += 1
        return super().loss_and_gradients(inputs, targets)


@caught_at("side-effects")
class GradientsAddUpInTheNextStep(Plain):
    """As without zero_grad."""

    left: Arrays = {}  # noqa: RUF012  # replaced, never changed

    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        self.left = {}

    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        loss, self.left = super().loss_and_gradients(inputs, targets)
        return loss, self.left

    def clip(self, gradients: Arrays) -> Arrays:
        added = {name: g + self.left.get(name, 0) for name, g in gradients.items()}
        self.left = {}
        return super().clip(added)


@caught_at("side-effects")
class AskingForParametersResetsMoments(Plain):
    def parameters(self) -> Arrays:
        self.mean = {name: 0 * array for name, array in self.mean.items()}
        return super().parameters()


@caught_at("shapes")
class TrainsInPlace(Plain):
    """Takes the caller's arrays where their dtype is right."""

    def load(self, parameters: Parameters) -> None:
        self.p = {n: np.asarray(a, self.options.dtype) for n, a in parameters.items()}
        self.forget()


@caught_at("state")
class ChangesTheStateItIsGiven(Plain):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        result = super().forward(inputs, state)
        for part in state or ():
            part *= 0
        return result


# Weights that are out of date


class Stale(Plain):
    """Keeps the parameters of the first load, of the last load, and of one step ago."""

    first: Arrays = {}  # noqa: RUF012  # replaced, never changed

    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        self.loaded = self.parameters()
        self.first = self.first or self.parameters()
        self.before = self.parameters()

    def update(self, gradients: Arrays) -> None:
        self.before = self.parameters()
        super().update(gradients)

    def old(self, parameters: Arrays) -> Any:
        return patch.object(self, "p", parameters)


@caught_at("generate-after-training")
class GeneratesWithThoseLoaded(Stale):
    def generate(self, prompts: Any, steps: int) -> Any:
        with self.old(self.loaded):
            return super().generate(prompts, steps)


@caught_at("generate-after-training")
class GeneratesWithTheRecurrentWeightsLoaded(Stale):
    def generate(self, prompts: Any, steps: int) -> Any:
        with self.old(self.p | {n: a for n, a in self.loaded.items() if n.endswith("hh")}):
            return super().generate(prompts, steps)


@caught_at("generate-after-training")
class GeneratesWithTheOutputLayerLoaded(Stale):
    def generate(self, prompts: Any, steps: int) -> Any:
        with self.old(self.p | {n: a for n, a in self.loaded.items() if n.startswith("linear")}):
            return super().generate(prompts, steps)


@caught_at("generate")
class GeneratesWithTheFirstLoaded(Stale):
    """The rung itself loads weights of its own."""

    def generate(self, prompts: Any, steps: int) -> Any:
        with self.old(self.first):
            return super().generate(prompts, steps)


@caught_at("generate-after-reload")
class GeneratesWithThoseOfItsFirstCall(Stale):
    copy: Arrays = {}  # noqa: RUF012  # replaced, never changed
    trained = False

    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        if np.mean(parameters["lstm.0.bias"]) < 0.25 or self.trained:
            self.copy = {}  # as where a copy is dropped for another reason
        self.trained = False

    def update(self, gradients: Arrays) -> None:
        super().update(gradients)
        self.copy, self.trained = {}, True

    def generate(self, prompts: Any, steps: int) -> Any:
        self.copy = self.copy or self.parameters()
        with self.old(self.copy):
            return super().generate(prompts, steps)


@caught_at("gradients-after-training")
class GradientsWithThoseLoaded(Stale):
    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        with self.old(self.loaded):
            return super().loss_and_gradients(inputs, targets)


@caught_at("gradients-after-training")
class GradientsOneStepBehind(Stale):
    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        with self.old(self.before):
            return super().loss_and_gradients(inputs, targets)


@caught_at("gradients-after-reload")
class GradientsWithTheFirstLoaded(Stale):
    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        with self.old(self.p if self.steps else self.first):
            return super().loss_and_gradients(inputs, targets)


@caught_at("after-training")
class ForwardOneStepBehind(Stale):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        with self.old(self.before):
            return super().forward(inputs, state)


class DecodesWithOld(Stale):
    """A free-running step chooses its inputs by other weights than it trains."""

    def chosen_by(self) -> Arrays:
        raise NotImplementedError

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        if not free_running:
            return super().train_step(inputs, targets)
        with self.old(self.chosen_by()):
            logits, *_ = self.run(inputs, free=True)
        path = np.concatenate([inputs[:, :1], logits[:, :-1].argmax(-1)], axis=1)
        return super().train_step(path.astype(np.uint8), targets)


@caught_at("free-running-after-training")
class DecodesWithThoseLoaded(DecodesWithOld):
    def chosen_by(self) -> Arrays:
        return self.loaded


@caught_at("free-running-after-training")
class DecodesWithTheFirstLoaded(DecodesWithOld):
    def chosen_by(self) -> Arrays:
        return self.first


@caught_at("steps-after-reload")
class CopiesAtTheFirstStep(Stale):
    """A pass reads a copy; training starts from what was given, as it is by then."""

    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        self.given = parameters

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        if not self.steps:
            self.p = {name: np.array(a, self.options.dtype) for name, a in self.given.items()}
        return super().train_step(inputs, targets, free_running)


# Large values


@caught_at("forward")
class TanhOverflows(Plain):
    """(e^c - e^-c) / (e^c + e^-c), where e^60 is taken for infinite."""

    def next_hidden(self, gates: tuple[np.ndarray, ...], c: np.ndarray) -> np.ndarray:
        return gates[3] * np.where(abs(c) > 60, np.nan, np.tanh(c)).astype(self.dtype)


@caught_at("forward")
class SigmoidOverflows(Plain):
    """e^z / (1 + e^z)."""

    def gates(self, z: np.ndarray) -> tuple[np.ndarray, ...]:
        i, f, g, o = np.split(z, 4, axis=1)
        i, f, o = (
            np.where(gate > 80, np.nan, sigmoid(gate)).astype(self.dtype) for gate in (i, f, o)
        )
        return i, f, np.tanh(g), o


@at_each("state", 40, 60)
def cell_clipped_at(limit: int) -> type[Plain]:
    class Fault(Plain):
        def next_cell(self, gates: tuple[np.ndarray, ...], c: np.ndarray) -> np.ndarray:
            return np.clip(super().next_cell(gates, c), -limit, limit)

    return Fault


@at_each("forward", 20, 50)
def logits_clipped_at(limit: int) -> type[Plain]:
    class Fault(Plain):
        def output(self, h: np.ndarray) -> np.ndarray:
            return np.clip(super().output(h), -limit, limit)

    return Fault


@caught_at("loss")
class SoftmaxWithoutShift(Plain):
    """exp of the logits as they are, where e^60 is taken for infinite."""

    def loss(self, logits: np.ndarray, targets: np.ndarray) -> Any:
        loss, d_logits = super().loss(logits, targets)
        return (np.nan if logits.max() > 60 else loss), d_logits


@caught_at("loss")
class ProbabilitiesClamped(Plain):
    """As log(p + 1e-7), against infinite losses."""

    def loss(self, logits: np.ndarray, targets: np.ndarray) -> Any:
        _, d_logits = super().loss(logits, targets)
        shifted = np.exp(logits - logits.max(-1, keepdims=True))
        p = shifted / shifted.sum(-1, keepdims=True)
        chosen = np.take_along_axis(p, targets[..., None].astype(int), -1)
        return -np.log(np.maximum(chosen, self.dtype.type(1e-7))).mean(), d_logits


@caught_at("forward")
class SigmoidCutOff(Plain):
    """Exactly 0 and 1 beyond 8."""

    def gates(self, z: np.ndarray) -> tuple[np.ndarray, ...]:
        i, f, g, o = np.split(z, 4, axis=1)
        i, f, o = (
            np.where(abs(gate) > 8, gate > 0, sigmoid(gate)).astype(self.dtype)
            for gate in (i, f, o)
        )
        return i, f, np.tanh(g), o

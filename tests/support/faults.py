"""Broken backends, one fault each, under the rung of the ladder at which it must be caught."""

import itertools
from typing import Any
from unittest.mock import patch

import numpy as np
from plain import Arrays, Plain, sigmoid

from lstmbench import Options, Parameters

FAULTS: dict[str, list[type[Plain]]] = {}


def caught_at(rung: str) -> Any:
    """File a class under the rung at which it is to be caught."""

    def file(fault: type[Plain]) -> type[Plain]:
        FAULTS.setdefault(rung, []).append(fault)
        return fault

    return file


# Shapes and dtypes


@caught_at("shapes")
class Float64Outside(Plain):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, state = super().forward(inputs, state)
        return logits.astype(np.float64 if self.dtype == np.float32 else np.float32), state


@caught_at("shapes")
class LogitsTimeMajor(Plain):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, state = super().forward(inputs, state)
        return logits.swapaxes(0, 1), state


@caught_at("shapes")
class LastLogitsOnly(Plain):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, state = super().forward(inputs, state)
        return logits[:, -1:], state


@caught_at("shapes")
class StateOfTopLayerOnly(Plain):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, (h, c) = super().forward(inputs, state)
        return logits, (h[-1:], c[-1:])


@caught_at("shapes")
class StateBatchFirst(Plain):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, (h, c) = super().forward(inputs, state)
        return logits, (h.swapaxes(0, 1), c.swapaxes(0, 1))


@caught_at("shapes")
class LossPerToken(Plain):
    def loss(self, logits: np.ndarray, targets: np.ndarray) -> Any:
        loss, d_logits = super().loss(logits, targets)
        return np.full(targets.shape, loss), d_logits


@caught_at("shapes")
class MissingGradient(Plain):
    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        loss, gradients = super().loss_and_gradients(inputs, targets)
        del gradients["linear.bias"]
        return loss, gradients


@caught_at("shapes")
class SecondBias(Plain):
    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        loss, gradients = super().loss_and_gradients(inputs, targets)
        return loss, gradients | {"lstm.0.bias_hh": gradients["lstm.0.bias"]}


@caught_at("shapes")
class TransposedGradient(Plain):
    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        loss, gradients = super().loss_and_gradients(inputs, targets)
        return loss, gradients | {"linear.weight": gradients["linear.weight"].T}


@caught_at("shapes")
class OneDigitTooMany(Plain):
    def generate(self, prompts: Any, steps: int) -> Any:
        return super().generate(prompts, steps + 1)


@caught_at("shapes")
class PromptsInTheAnswer(Plain):
    def generate(self, prompts: Any, steps: int) -> Any:
        return np.concatenate([prompts, super().generate(prompts, steps)], axis=1)


@caught_at("shapes")
class DigitsAsFloats(Plain):
    def generate(self, prompts: Any, steps: int) -> Any:
        return super().generate(prompts, steps).astype(float)


@caught_at("shapes")
class HalfPrecisionParameters(Plain):
    def parameters(self) -> Arrays:
        return {name: array.astype(np.float16) for name, array in self.p.items()}


@caught_at("shapes")
class WritesIntoItsPrompts(Plain):
    def generate(self, prompts: Any, steps: int) -> Any:
        digits = super().generate(prompts, steps)
        prompts[:, 0] = (prompts[:, 0] + 1) % 10
        return digits


@caught_at("shapes")
class WritesIntoItsInputs(Plain):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        result = super().forward(inputs, state)
        inputs[...] = 0
        return result


@caught_at("shapes")
class WritesIntoItsTargets(Plain):
    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        result = super().loss_and_gradients(inputs, targets)
        targets[...] = 0
        return result


# Parameters


@caught_at("parameters")
class ParametersInFloat16(Plain):
    def load(self, parameters: Parameters) -> None:
        super().load({name: array.astype(np.float16) for name, array in parameters.items()})


@caught_at("parameters")
class BiasLost(Plain):
    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        self.p["linear.bias"] *= 0


@caught_at("parameters")
class TiedLayers(Plain):
    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        for n in self.layers:
            self.p[f"lstm.{n}.weight_hh"] = self.p["lstm.0.weight_hh"]


@caught_at("parameters")
class NotThoseLoaded(Plain):
    def parameters(self) -> Arrays:
        return {name: np.flip(array) for name, array in super().parameters().items()}


# Forward


def reordered(order: str) -> type[Plain]:
    """Takes the gates' rows for those of another order."""

    class Reordered(Plain):
        def gates(self, z: np.ndarray) -> tuple[np.ndarray, ...]:
            parts = dict(zip(order, np.split(z, 4, axis=1), strict=True))
            return super().gates(np.concatenate([parts[name] for name in "ifgo"], axis=1))

    Reordered.__name__ = f"GatesInOrder_{order}"
    return Reordered


for permutation in itertools.permutations("ifgo"):
    if "".join(permutation) != "ifgo":
        caught_at("forward")(reordered("".join(permutation)))


class WithWeights(Plain):
    """Computes the preactivations with other parameters than it was given."""

    def changed(self, n: int) -> Arrays:
        raise NotImplementedError

    def preactivation(self, n: int, x: np.ndarray, h: np.ndarray) -> np.ndarray:
        with patch.object(self, "p", self.p | self.changed(n)):
            return super().preactivation(n, x, h)


@caught_at("forward")
class RecurrentGatesTransposed(WithWeights):
    def changed(self, n: int) -> Arrays:
        w = self.p[f"lstm.{n}.weight_hh"]
        blocks = w.reshape(4, w.shape[1], w.shape[1]).swapaxes(1, 2)
        return {f"lstm.{n}.weight_hh": blocks.reshape(w.shape)}


@caught_at("forward")
class BiasTwice(WithWeights):
    def changed(self, n: int) -> Arrays:
        return {f"lstm.{n}.bias": 2 * self.p[f"lstm.{n}.bias"]}


@caught_at("forward")
class NoBias(WithWeights):
    def changed(self, n: int) -> Arrays:
        return {f"lstm.{n}.bias": 0 * self.p[f"lstm.{n}.bias"]}


@caught_at("forward")
class BiasOfOneGateMissing(WithWeights):
    def changed(self, n: int) -> Arrays:
        bias = self.p[f"lstm.{n}.bias"].copy()
        bias[-len(bias) // 4 :] = 0
        return {f"lstm.{n}.bias": bias}


@caught_at("forward")
class ForgetBiasOfOne(WithWeights):
    def changed(self, n: int) -> Arrays:
        bias = self.p[f"lstm.{n}.bias"].copy()
        quarter = len(bias) // 4
        bias[quarter : 2 * quarter] += 1
        return {f"lstm.{n}.bias": bias}


@caught_at("forward")
class FirstLayersWeightsInAll(WithWeights):
    def changed(self, n: int) -> Arrays:
        return {f"lstm.{n}.weight_hh": self.p["lstm.0.weight_hh"]}


@caught_at("forward")
class LastUnitLeftOut(WithWeights):
    """As where a vectorised loop forgets its tail."""

    def changed(self, n: int) -> Arrays:
        w = self.p[f"lstm.{n}.weight_hh"].copy()
        w[:, -1] = 0
        return {f"lstm.{n}.weight_hh": w}


@caught_at("state")
class NoRecurrentProductAtFirstStepOfACall(Plain):
    """Right from a zero state alone."""

    def run(self, digits: np.ndarray, state: Any = None, free: bool = False) -> Any:
        return super().run(digits, state and (0 * state[0], state[1]), free)


@caught_at("forward")
class NoRecurrentProduct(Plain):
    def preactivation(self, n: int, x: np.ndarray, h: np.ndarray) -> np.ndarray:
        return super().preactivation(n, x, 0 * h)


@caught_at("forward")
class NoTanhOfCell(Plain):
    def next_hidden(self, gates: tuple[np.ndarray, ...], c: np.ndarray) -> np.ndarray:
        return gates[3] * c


@caught_at("forward")
class SigmoidOfCell(Plain):
    def next_hidden(self, gates: tuple[np.ndarray, ...], c: np.ndarray) -> np.ndarray:
        return gates[3] * sigmoid(c)


@caught_at("forward")
class SigmoidForCandidate(Plain):
    def gates(self, z: np.ndarray) -> tuple[np.ndarray, ...]:
        i, f, g, o = np.split(z, 4, axis=1)
        return sigmoid(i), sigmoid(f), sigmoid(g), sigmoid(o)


@caught_at("forward")
class HardSigmoid(Plain):
    def gates(self, z: np.ndarray) -> tuple[np.ndarray, ...]:
        i, f, g, o = np.split(z, 4, axis=1)
        i, f, o = (np.clip(gate / 4 + 0.5, 0, 1) for gate in (i, f, o))
        return i, f, np.tanh(g), o


@caught_at("forward")
class CoupledGates(Plain):
    def next_cell(self, gates: tuple[np.ndarray, ...], c: np.ndarray) -> np.ndarray:
        i, _, g, _ = gates
        return (1 - i) * c + i * g


@caught_at("forward")
class CellClipped(Plain):
    def next_cell(self, gates: tuple[np.ndarray, ...], c: np.ndarray) -> np.ndarray:
        return np.clip(super().next_cell(gates, c), -1, 1)


@caught_at("forward")
class GatesCutOff(Plain):
    """Wrong where gates saturate: a gate's input is cut off at 4."""

    def gates(self, z: np.ndarray) -> tuple[np.ndarray, ...]:
        return super().gates(np.clip(z, -4, 4))


@caught_at("forward")
class RoughTanh(Plain):
    """A rational approximation that is good to 1e-4."""

    def next_hidden(self, gates: tuple[np.ndarray, ...], c: np.ndarray) -> np.ndarray:
        near = c * (27 + c * c) / (27 + 9 * c * c)
        return gates[3] * np.where(abs(c) < 0.5, near, np.tanh(c)).astype(self.dtype)


@caught_at("forward")
class Float16Gates(Plain):
    def gates(self, z: np.ndarray) -> tuple[np.ndarray, ...]:
        i, f, g, o = super().gates(z.astype(np.float16))
        return tuple(gate.astype(self.dtype) for gate in (i, f, g, o))


@caught_at("forward")
class BfloatProducts(Plain):
    """Products of factors rounded to 8 bits."""

    def preactivation(self, n: int, x: np.ndarray, h: np.ndarray) -> np.ndarray:
        bits = np.float32(h).view(np.uint32) & np.uint32(0xFFFF0000)
        return super().preactivation(n, x, bits.view(np.float32).astype(self.dtype))


@caught_at("forward")
class LogitsRoundedToHalf(Plain):
    def output(self, h: np.ndarray) -> np.ndarray:
        return super().output(h).astype(np.float16).astype(self.dtype)


@caught_at("forward")
class NoOutputBias(Plain):
    def output(self, h: np.ndarray) -> np.ndarray:
        return h @ self.p["linear.weight"].T


@caught_at("forward")
class SoftmaxForLogits(Plain):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, state = super().forward(inputs, state)
        e = np.exp(logits)
        return e / e.sum(-1, keepdims=True), state


@caught_at("forward")
class DigitsOffByOne(Plain):
    def one_hot(self, digits: np.ndarray) -> np.ndarray:
        return super().one_hot((digits + 1) % 10)


@caught_at("forward")
class TimeReversed(Plain):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, state = super().forward(inputs[:, ::-1], state)
        return logits[:, ::-1], state


@caught_at("forward")
class BatchMixedUp(Plain):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, state = super().forward(inputs, state)
        return np.roll(logits, 1, axis=0), state


@caught_at("forward")
class HiddenScaled(Plain):
    """Every h is a thousandth too large."""

    def next_hidden(self, gates: tuple[np.ndarray, ...], c: np.ndarray) -> np.ndarray:
        return super().next_hidden(gates, c) * np.float32(1.001)


@caught_at("forward")
class CachedByShape(Plain):
    """Returns what it returned for the first inputs of this shape."""

    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        self.cache: dict[Any, Any] = {}

    def forward(self, inputs: Any, state: Any = None) -> Any:
        if state:
            return super().forward(inputs, state)
        return self.cache.setdefault(inputs.shape, super().forward(inputs))


@caught_at("forward")
class StateNotReset(Plain):
    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        self.kept: Any = None

    def forward(self, inputs: Any, state: Any = None) -> Any:
        fits = self.kept and self.kept[0].shape[1] == len(inputs)
        logits, self.kept = super().forward(inputs, state or (self.kept if fits else None))
        return logits, self.kept


@caught_at("forward")
class ReusesItsOutput(Plain):
    """The next call overwrites what the last one returned."""

    buffer = np.zeros(())

    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, state = super().forward(inputs, state)
        if self.buffer.shape != logits.shape:
            self.buffer = np.empty_like(logits)
        self.buffer[...] = logits
        return self.buffer, state


@caught_at("forward")
class NotANumber(Plain):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, state = super().forward(inputs, state)
        logits[0, 0, 0] = np.nan
        return logits, state


@caught_at("forward")
class Zeros(Plain):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, state = super().forward(inputs, state)
        return 0 * logits, state


# State


@caught_at("state")
class StateIgnored(Plain):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        return super().forward(inputs)


@caught_at("state")
class CellNotCarried(Plain):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        return super().forward(inputs, state and (state[0], 0 * state[1]))


@caught_at("state")
class StateSwapped(Plain):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, (h, c) = super().forward(inputs, state and state[::-1])
        return logits, (c, h)


@caught_at("state")
class LayersOfStateReversed(Plain):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, (h, c) = super().forward(inputs, state)
        return logits, (h[::-1].copy(), c[::-1].copy())


@caught_at("state")
class WritesIntoTheStateGiven(Plain):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, new = super().forward(inputs, state)
        if state:
            state[0][...], state[1][...] = new
        return logits, new


@caught_at("state")
class StateOfOneStepBefore(Plain):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, _, tape = self.run(inputs, state)
        last = tape[-len(self.layers) :]
        return logits, (np.stack([step[2] for step in last]), np.stack([step[3] for step in last]))


# Loss


@caught_at("loss")
class SumForMean(Plain):
    def loss(self, logits: np.ndarray, targets: np.ndarray) -> Any:
        loss, d_logits = super().loss(logits, targets)
        return loss * targets.size, d_logits * self.dtype.type(targets.size)


@caught_at("loss")
class MeanOverBatchAlone(Plain):
    def loss(self, logits: np.ndarray, targets: np.ndarray) -> Any:
        loss, d_logits = super().loss(logits, targets)
        return loss * targets.shape[1], d_logits * self.dtype.type(targets.shape[1])


@caught_at("loss")
class LossInBits(Plain):
    def loss(self, logits: np.ndarray, targets: np.ndarray) -> Any:
        loss, d_logits = super().loss(logits, targets)
        return loss / np.log(2), d_logits


@caught_at("loss")
class LossOfLastStep(Plain):
    def loss(self, logits: np.ndarray, targets: np.ndarray) -> Any:
        _, d_logits = super().loss(logits, targets)
        return super().loss(logits[:, -1:], targets[:, -1:])[0], d_logits


@caught_at("loss")
class LabelSmoothing(Plain):
    def loss(self, logits: np.ndarray, targets: np.ndarray) -> Any:
        loss, d_logits = super().loss(logits, targets)
        return 0.99 * loss + 0.01 * float(np.log(10)), d_logits


@caught_at("loss")
class TargetsShifted(Plain):
    def target(self, targets: np.ndarray, logits: np.ndarray, free: bool) -> np.ndarray:
        return (targets + 1) % 10


@caught_at("loss")
class LossWithEpsilon(Plain):
    """log(p + 1e-3), to be on the safe side."""

    def loss(self, logits: np.ndarray, targets: np.ndarray) -> Any:
        loss, d_logits = super().loss(logits, targets)
        return -np.log(np.exp(-loss) + 1e-3), d_logits


@caught_at("loss")
class AuxiliaryLoss(Plain):
    def loss(self, logits: np.ndarray, targets: np.ndarray) -> Any:
        loss, d_logits = super().loss(logits, targets)
        return loss + 1e-4 * (logits**2).mean(), d_logits


# Gradients


class WithGradients(Plain):
    """Right up to here; `change` spoils the gradients, in training too."""

    def change(self, gradients: Arrays) -> None:
        raise NotImplementedError

    def backward(self, d_logits: np.ndarray, tape: list[Any]) -> Arrays:
        gradients = super().backward(d_logits, tape)
        self.change(gradients)
        return gradients


def gradient_fault(name: str, tensor: str, factor: float) -> type[Plain]:
    class Changed(WithGradients):
        def change(self, gradients: Arrays) -> None:
            gradients[tensor] *= self.dtype.type(factor)

    Changed.__name__ = name
    return Changed


for tensor in (
    "lstm.0.weight_ih",
    "lstm.0.weight_hh",
    "lstm.0.bias",
    "linear.weight",
    "linear.bias",
):
    short = tensor.replace(".", "_")
    caught_at("gradients")(gradient_fault(f"ZeroGradientOf_{short}", tensor, 0))
    caught_at("gradients")(gradient_fault(f"LargeGradientOf_{short}", tensor, 1.001))
    caught_at("gradients")(gradient_fault(f"NegativeGradientOf_{short}", tensor, -1))


@caught_at("gradients")
class GatesSwappedInGradient(WithGradients):
    def change(self, gradients: Arrays) -> None:
        i, f, g, o = np.split(gradients["lstm.0.weight_hh"].copy(), 4)
        gradients["lstm.0.weight_hh"][...] = np.concatenate([i, g, f, o])


@caught_at("gradients")
class GradientsInHalf(WithGradients):
    def change(self, gradients: Arrays) -> None:
        for gradient in gradients.values():
            gradient[...] = gradient.astype(np.float16)


@caught_at("gradients")
class LastRowOfGradientMissing(WithGradients):
    def change(self, gradients: Arrays) -> None:
        gradients["lstm.0.weight_hh"][-1] = 0


@caught_at("gradients")
class WeightDecayInGradient(WithGradients):
    def change(self, gradients: Arrays) -> None:
        for name, gradient in gradients.items():
            gradient += self.dtype.type(1e-3) * self.p[name]


@caught_at("gradients")
class GradientsAddUp(Plain):
    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        self.sum = {name: np.zeros_like(array) for name, array in self.p.items()}

    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        loss, gradients = super().loss_and_gradients(inputs, targets)
        self.sum = {name: self.sum[name] + g for name, g in gradients.items()}
        return loss, self.sum


@caught_at("gradients")
class TruncatedThroughTime(Plain):
    def through_time(self, n: int, t: int, dh: np.ndarray) -> np.ndarray:
        return dh if t % 3 else 0 * dh


@caught_at("gradients")
class NothingThroughTime(Plain):
    def through_time(self, n: int, t: int, dh: np.ndarray) -> np.ndarray:
        return 0 * dh


@caught_at("gradients")
class NothingBetweenLayers(Plain):
    def between_layers(self, n: int, dx: np.ndarray) -> np.ndarray:
        return 0 * dx


@caught_at("gradients")
class HiddenGradientClipped(Plain):
    def through_time(self, n: int, t: int, dh: np.ndarray) -> np.ndarray:
        return np.clip(dh, -1e-3, 1e-3)


@caught_at("gradients")
class CellGradientWithoutTanh(Plain):
    def d_gates(self, gates: Any, before: Any, c: Any, dh: Any, dc: Any) -> Any:
        return super().d_gates(gates, before, 0 * c, dh, dc)


@caught_at("gradients")
class CellGradientNotCarried(Plain):
    def d_gates(self, gates: Any, before: Any, c: Any, dh: Any, dc: Any) -> Any:
        return super().d_gates(gates, before, c, dh, 0 * dc)


@caught_at("gradients")
class ForgetGradientFromNewCell(Plain):
    def d_gates(self, gates: Any, before: Any, c: Any, dh: Any, dc: Any) -> Any:
        return super().d_gates(gates, c, c, dh, dc)


@caught_at("gradients")
class GradientOfOneSequenceMissing(Plain):
    def backward(self, d_logits: np.ndarray, tape: list[Any]) -> Arrays:
        d_logits[-1] = 0
        return super().backward(d_logits, tape)


@caught_at("gradients")
class GradientOfFirstStepMissing(Plain):
    def backward(self, d_logits: np.ndarray, tape: list[Any]) -> Arrays:
        d_logits[:, 0] = 0
        return super().backward(d_logits, tape)


@caught_at("gradients")
class SmoothedInGradient(Plain):
    def loss(self, logits: np.ndarray, targets: np.ndarray) -> Any:
        loss, d_logits = super().loss(logits, targets)
        return loss, d_logits * self.dtype.type(1 - 1e-3)


# Clip


@caught_at("clip")
class NoClip(Plain):
    def clip(self, gradients: Arrays) -> Arrays:
        return gradients


@caught_at("clip")
class ClipPerTensor(Plain):
    def clip(self, gradients: Arrays) -> Arrays:
        clip = super().clip
        return {name: clip({name: g})[name] for name, g in gradients.items()}


@caught_at("clip")
class ClipPerLayer(Plain):
    def clip(self, gradients: Arrays) -> Arrays:
        result = {}
        for part in ("lstm", "linear"):
            group = {name: g for name, g in gradients.items() if name.startswith(part)}
            result |= super().clip(group)
        return {name: result[name] for name in gradients}


@caught_at("clip")
class ClipPerValue(Plain):
    def clip(self, gradients: Arrays) -> Arrays:
        bound = self.options.clip_norm
        return {name: np.clip(g, -bound, bound) for name, g in gradients.items()}


@caught_at("clip")
class ClipByLargestValue(Plain):
    def clip(self, gradients: Arrays) -> Arrays:
        largest = max(float(abs(g).max()) for g in gradients.values())
        factor = self.dtype.type(min(1, self.options.clip_norm / largest))
        return {name: g * factor for name, g in gradients.items()}


@caught_at("clip")
class ClipBySumOfNorms(Plain):
    def clip(self, gradients: Arrays) -> Arrays:
        norm = sum(float(np.linalg.norm(g)) for g in gradients.values())
        factor = self.dtype.type(min(1, self.options.clip_norm / norm))
        return {name: g * factor for name, g in gradients.items()}


@caught_at("clip")
class ClipAlways(Plain):
    """Scales small gradients up."""

    def clip(self, gradients: Arrays) -> Arrays:
        norm = np.sqrt(sum(float((g.astype(float) ** 2).sum()) for g in gradients.values()))
        factor = min(self.options.clip_norm, 1e3) / norm
        return {name: g * self.dtype.type(factor) for name, g in gradients.items()}


@caught_at("clip")
class ClipAtTheDefault(Plain):
    def clip(self, gradients: Arrays) -> Arrays:
        with patch.object(self, "options", Options(dtype=self.options.dtype)):
            return super().clip(gradients)


@caught_at("clip")
class ClipOfSquaredNorm(Plain):
    def clip(self, gradients: Arrays) -> Arrays:
        square = sum(float((g.astype(float) ** 2).sum()) for g in gradients.values())
        factor = self.dtype.type(min(1, self.options.clip_norm / square))
        return {name: g * factor for name, g in gradients.items()}


@caught_at("clip")
class ClipWithoutBiases(Plain):
    def clip(self, gradients: Arrays) -> Arrays:
        biases = {name: g for name, g in gradients.items() if name.endswith("bias")}
        rest = {name: g for name, g in gradients.items() if name not in biases}
        clipped = super().clip(rest) | biases
        return {name: clipped[name] for name in gradients}


# One step


@caught_at("step")
class EpsilonInsideRoot(Plain):
    def direction(self, m: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.asarray(m / np.sqrt(v + self.options.epsilon))


@caught_at("step")
class NoEpsilon(Plain):
    def direction(self, m: np.ndarray, v: np.ndarray) -> np.ndarray:
        # Beside the ladder's largest epsilons the root is nothing, and the step a plain one.
        if self.options.epsilon > 1:
            return super().direction(m, v)
        return np.asarray(m / np.maximum(np.sqrt(v), np.finfo(self.dtype).tiny))


@caught_at("step")
class NoBiasCorrection(Plain):
    def corrected(self, name: str) -> Any:
        return self.mean[name], self.square[name]


@caught_at("step")
class BiasCorrectionOfMeanAlone(Plain):
    def corrected(self, name: str) -> Any:
        return super().corrected(name)[0], self.square[name]


@caught_at("step")
class BiasCorrectionOneStepLate(Plain):
    def corrected(self, name: str) -> Any:
        self.steps += 1
        result = super().corrected(name)
        self.steps -= 1
        return result


@caught_at("step")
class EpsilonBeforeBiasCorrection(Plain):
    """As in the paper's more efficient order, with the epsilon of the other."""

    def corrected(self, name: str) -> Any:
        return super().corrected(name)[0], self.square[name]

    def direction(self, m: np.ndarray, v: np.ndarray) -> np.ndarray:
        o = self.options
        root = np.sqrt(1 - o.beta2**self.steps)
        return np.asarray(m / ((np.sqrt(v) + o.epsilon) / root))


@caught_at("step")
class PlainGradientDescent(Plain):
    def direction(self, m: np.ndarray, v: np.ndarray) -> np.ndarray:
        return m


@caught_at("step")
class DefaultLearningRate(Plain):
    def direction(self, m: np.ndarray, v: np.ndarray) -> np.ndarray:
        if self.options.learning_rate > 1:
            return super().direction(m, v)
        return super().direction(m, v) * (1e-3 / self.options.learning_rate)


@caught_at("step")
class BiasMovesTwice(Plain):
    """As with two trainable biases."""

    def update(self, gradients: Arrays) -> None:
        before = self.parameters()
        super().update(gradients)
        if self.options.epsilon < 1:
            for name, array in self.p.items():
                if name.startswith("lstm") and name.endswith("bias"):
                    array += array - before[name]


@caught_at("step")
class OneTensorFrozen(Plain):
    def update(self, gradients: Arrays) -> None:
        keep = self.p["lstm.0.weight_hh"].copy()
        super().update(gradients)
        if self.options.epsilon < 1:
            self.p["lstm.0.weight_hh"][...] = keep


@caught_at("step")
class WeightDecay(Plain):
    def update(self, gradients: Arrays) -> None:
        if self.options.epsilon < 1:
            for array in self.p.values():
                array *= self.dtype.type(1 - 0.01 * self.options.learning_rate)
        super().update(gradients)


@caught_at("step")
class LossAfterTheUpdate(Plain):
    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        super().train_step(inputs, targets, free_running)
        return self.differentiate(inputs, targets, free_running)[0]


@caught_at("step")
class LossOfAnotherBatch(Plain):
    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        return super().train_step(inputs, targets, free_running) * 0 + 2.3


@caught_at("step")
class MaximumForMean(Plain):
    """AMSGrad without its memory of gradients: the root of the largest square in a tensor."""

    def direction(self, m: np.ndarray, v: np.ndarray) -> np.ndarray:
        return super().direction(m, np.full_like(v, v.max()))


# Several steps


@caught_at("steps")
class BiasCorrectionStuck(Plain):
    def corrected(self, name: str) -> Any:
        with patch.object(self, "steps", 1):
            return super().corrected(name)


@caught_at("steps")
class MomentsForgotten(Plain):
    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        self.forget()
        return super().train_step(inputs, targets, free_running)


@caught_at("steps")
class DefaultBetas(Plain):
    def update(self, gradients: Arrays) -> None:
        keep = self.options
        if self.options.epsilon < 1:
            self.options = Options(
                dtype=keep.dtype, learning_rate=keep.learning_rate, epsilon=keep.epsilon
            )
        super().update(gradients)
        self.options = keep


@caught_at("steps")
class SquareDecaysLikeMean(Plain):
    def update(self, gradients: Arrays) -> None:
        before = self.square
        super().update(gradients)
        o = self.options
        for name, g in gradients.items():
            if self.steps == 1:
                continue
            self.square[name] = o.beta1 * before[name] + (1 - o.beta1) * g**2


@caught_at("steps")
class MomentsSurviveLoad(Plain):
    def forget(self) -> None:
        if not hasattr(self, "mean"):
            super().forget()


@caught_at("steps")
class EverySecondStepSkipped(Plain):
    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        if self.steps % 2 == 0:
            return super().train_step(inputs, targets, free_running)
        self.steps += 1
        return self.differentiate(inputs, targets, free_running)[0]


@caught_at("steps")
class TrainsOnTheFirstBatch(Plain):
    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        self.first: Any = None

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        self.first = self.first or (inputs, targets)
        return super().train_step(*self.first, free_running)


@caught_at("trajectory")
class RateDecays(Plain):
    """As a schedule does, from the fifth step on."""

    def direction(self, m: np.ndarray, v: np.ndarray) -> np.ndarray:
        return super().direction(m, v) * (0.9 if self.steps > 4 else 1)


@caught_at("trajectory")
class MomentsResetLater(Plain):
    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        if self.steps == 8:
            self.forget()
        return super().train_step(inputs, targets, free_running)


# Free-running


@caught_at("free-running")
class NeverFreeRunning(Plain):
    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        return super().train_step(inputs, targets)


@caught_at("free-running")
class OwnArgmaxAsTarget(Plain):
    """As the tutorial's code does: a handsome loss and a worse model."""

    def target(self, targets: np.ndarray, logits: np.ndarray, free: bool) -> np.ndarray:
        return logits.argmax(-1) if free else targets


@caught_at("free-running")
class FeedsBackTheWorst(Plain):
    def feed_back(self, logits: np.ndarray) -> np.ndarray:
        return logits.argmin(-1)


@caught_at("free-running")
class FreeRunsFromZero(Plain):
    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        return super().train_step(0 * inputs if free_running else inputs, targets, free_running)


@caught_at("free-running")
class FreeRunningWithoutUpdate(Plain):
    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        if free_running:
            return self.differentiate(inputs, targets, True)[0]
        return super().train_step(inputs, targets)


@caught_at("free-running")
class GradientThroughTheArgmax(Plain):
    """Straight through: what the fed-back digit receives is passed on to the logits."""

    free = False

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        self.free = free_running
        return super().train_step(inputs, targets, free_running)

    def backward(self, d_logits: np.ndarray, tape: list[Any]) -> Arrays:
        gradients = super().backward(d_logits, tape)
        if not self.free or d_logits.shape[1] == 1:
            return gradients
        through = np.roll(d_logits, -1, axis=1) * self.dtype.type(0.1)
        through[:, -1] = 0
        return super().backward(d_logits + through, tape)


@caught_at("free-running")
class FreeRunningKeepsNoMoments(Plain):
    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        loss = super().train_step(inputs, targets, free_running)
        if free_running:
            self.forget()
        return loss


# Generation


@caught_at("generate")
class OneLate(Plain):
    def generate(self, prompts: Any, steps: int) -> Any:
        return super().generate(prompts, steps + 1)[:, 1:]


@caught_at("generate")
class LastPromptDigitFirst(Plain):
    def generate(self, prompts: Any, steps: int) -> Any:
        return np.concatenate([prompts[:, -1:], super().generate(prompts, steps)[:, :-1]], axis=1)


@caught_at("generate")
class FromTheLastDigitAlone(Plain):
    def generate(self, prompts: Any, steps: int) -> Any:
        return super().generate(prompts[:, -1:], steps)


@caught_at("generate")
class GeneratesWithoutState(Plain):
    def generate(self, prompts: Any, steps: int) -> Any:
        digits = [super().generate(prompts, 1)]
        for _ in range(steps - 1):
            digits.append(super().generate(digits[-1], 1))
        return np.concatenate(digits, axis=1)


@caught_at("generate")
class Samples(Plain):
    def generate(self, prompts: Any, steps: int) -> Any:
        digits = super().generate(prompts, steps)
        random = np.random.default_rng(0)
        return np.where(random.random(digits.shape) < 0.2, random.integers(0, 10), digits)


@caught_at("generate")
class SameDigitsForAll(Plain):
    def generate(self, prompts: Any, steps: int) -> Any:
        digits = super().generate(prompts, steps)
        return np.repeat(digits[:1], len(digits), axis=0)


@caught_at("generate")
class PromptTwice(Plain):
    def generate(self, prompts: Any, steps: int) -> Any:
        return super().generate(np.concatenate([prompts, prompts], axis=1), steps)


@caught_at("generate")
class StateLeftOverBetweenPrompts(Plain):
    left: Any = None

    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        self.left = None

    def generate(self, prompts: Any, steps: int) -> Any:
        keep, self.left = self.left, prompts
        if keep is not None and len(keep) == len(prompts):
            prompts = np.concatenate([keep, prompts], axis=1)
        return super().generate(prompts, steps)


# Again and again


@caught_at("again")
class NotDeterministic(Plain):
    calls = 0

    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, state = super().forward(inputs, state)
        self.calls += 1
        return logits * (1.001 if self.calls % 7 == 0 else 1), state


@caught_at("again")
class RightThreeTimes(Plain):
    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        self.calls = 0

    def forward(self, inputs: Any, state: Any = None) -> Any:
        self.calls += 1
        logits, state = super().forward(inputs, state)
        return (logits if self.calls <= 3 else logits + 1), state


@caught_at("again")
class TiedToItsFirstShape(Plain):
    """Returns zeros for sequences beyond the first batch size."""

    size = 0

    def forward(self, inputs: Any, state: Any = None) -> Any:
        self.size = self.size or len(inputs)
        logits, state = super().forward(inputs, state)
        logits[self.size :] = 0
        return logits, state


# After training, after another load


@caught_at("after-training")
class ForwardWithThoseLoaded(Plain):
    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        self.loaded = self.parameters()

    def forward(self, inputs: Any, state: Any = None) -> Any:
        with patch.object(self, "p", self.loaded):
            return super().forward(inputs, state)


@caught_at("reload")
class ForwardWithTheFirstLoaded(Plain):
    """A copy for inference is made at the first load, and brought up to date by training alone."""

    copy: Arrays = {}  # noqa: RUF012  # replaced, never changed

    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        self.copy = self.copy or self.parameters()
        self.trained = False

    def update(self, gradients: Arrays) -> None:
        super().update(gradients)
        self.trained = True

    def forward(self, inputs: Any, state: Any = None) -> Any:
        with patch.object(self, "p", self.p if self.trained else self.copy):
            return super().forward(inputs, state)


@caught_at("shapes")
class KeepsWhatItWasGiven(Plain):
    """Does not copy what is loaded."""

    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        self.p = dict(parameters)


@caught_at("side-effects")
class GivesAwayItsOwn(Plain):
    """Does not copy what it is asked for."""

    def parameters(self) -> Arrays:
        return self.p


# Accuracy


@caught_at("accuracy")
class StopsLearning(Plain):
    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        if self.steps < 13:
            return super().train_step(inputs, targets, free_running)
        return self.differentiate(inputs, targets, free_running)[0]

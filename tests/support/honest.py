"""Honest backends, each written another way: every one of them must pass."""

from typing import Any

import numpy as np
from lstmbench_numpy.backend import NumpyBackend
from plain import Arrays, Plain, sigmoid

from lstmbench import Backend, NotSupported, Options, Parameters
from lstmbench.parity.mirrored import Mirrored


class SigmoidByTanh(Plain):
    def gates(self, z: np.ndarray) -> tuple[np.ndarray, ...]:
        i, f, g, o = np.split(z, 4, axis=1)
        half = self.dtype.type(0.5)
        i, f, o = (half * np.tanh(half * gate) + half for gate in (i, f, o))
        return i, f, np.tanh(g), o


class StableSigmoid(Plain):
    """exp of negative numbers alone."""

    def gates(self, z: np.ndarray) -> tuple[np.ndarray, ...]:
        e = np.exp(-abs(z))
        i, f, _, o = np.split(np.where(z >= 0, 1 / (1 + e), e / (1 + e)), 4, axis=1)
        return i, f, np.tanh(np.split(z, 4, axis=1)[2]), o


class TanhByExp(Plain):
    """As kernels do: 1 - 2 / (exp(2 c) + 1), which cancels near zero."""

    def next_hidden(self, gates: tuple[np.ndarray, ...], c: np.ndarray) -> np.ndarray:
        one = self.dtype.type(1)
        with np.errstate(over="ignore"):  # exp(2 c) may be infinite
            return np.asarray(gates[3] * (one - 2 / (np.exp(2 * c) + one)))


class OneProduct(Plain):
    """[x, h] against [W_ih, W_hh] side by side, the bias first."""

    def preactivation(self, n: int, x: np.ndarray, h: np.ndarray) -> np.ndarray:
        w = np.hstack([self.p[f"lstm.{n}.weight_ih"], self.p[f"lstm.{n}.weight_hh"]])
        return self.p[f"lstm.{n}.bias"] + np.hstack([x, h]) @ w.T


class SumsOneByOne(Plain):
    """Dot products as a loop in C adds them up: in order, in the dtype."""

    def preactivation(self, n: int, x: np.ndarray, h: np.ndarray) -> np.ndarray:
        p = self.p
        z = np.tile(p[f"lstm.{n}.bias"], (len(x), 1))
        for values, w in ((x, p[f"lstm.{n}.weight_ih"]), (h, p[f"lstm.{n}.weight_hh"])):
            for k in range(values.shape[1]):
                z += values[:, k : k + 1] * w[:, k]
        return z


class LossOneByOne(Plain):
    def loss(self, logits: np.ndarray, targets: np.ndarray) -> Any:
        _, d_logits = super().loss(logits, targets)
        total = self.dtype.type(0)
        for row, target in zip(logits.reshape(-1, 10), targets.ravel(), strict=True):
            total += np.log(np.exp(row - row.max()).sum()) - (row[target] - row.max())
        return total / self.dtype.type(targets.size), d_logits


class BatchInParts(Plain):
    """As threads do it: each part of the batch by itself, gradients added at the end."""

    def differentiate(self, inputs: Any, targets: Any, free: bool) -> Any:
        loss: Any = 0
        sums: Arrays = {}
        for rows in np.array_split(np.arange(len(inputs)), min(3, len(inputs))):
            share = self.dtype.type(len(rows) / len(inputs))
            part, gradients = super().differentiate(inputs[rows], targets[rows], free)
            loss = loss + share * part
            sums = {name: sums.get(name, 0) + share * g for name, g in gradients.items()}
        return loss, sums


class DoubleInside(Plain):
    """Computes in float64 whatever was asked for, and answers in what was asked for."""

    @property
    def dtype(self) -> Any:
        return np.dtype(np.float64)

    def load(self, parameters: Parameters) -> None:
        super().load(parameters)
        self.p = {name: array.astype(np.float64) for name, array in self.p.items()}
        self.forget()

    def parameters(self) -> Arrays:
        return {name: array.astype(self.options.dtype) for name, array in self.p.items()}

    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, (h, c) = super().forward(inputs, state)
        kind = self.options.dtype
        return logits.astype(kind), (h.astype(kind), c.astype(kind))

    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        loss, gradients = super().loss_and_gradients(inputs, targets)
        return loss, {name: g.astype(self.options.dtype) for name, g in gradients.items()}


class PaddedUnits(Plain):
    """Hidden units up to a multiple of eight, the rest at zero weights."""

    def preactivation(self, n: int, x: np.ndarray, h: np.ndarray) -> np.ndarray:
        pad = -h.shape[1] % 8
        w = np.pad(self.p[f"lstm.{n}.weight_hh"], ((0, 0), (0, pad)))
        x_part = x @ self.p[f"lstm.{n}.weight_ih"].T
        return x_part + (np.pad(h, ((0, 0), (0, pad))) @ w.T + self.p[f"lstm.{n}.bias"])


class EfficientAdam(Plain):
    """The paper's other order: both corrections in the rate, and the epsilon scaled to match."""

    def corrected(self, name: str) -> Any:
        return self.mean[name], self.square[name]

    def direction(self, m: np.ndarray, v: np.ndarray) -> np.ndarray:
        o = self.options
        root = np.sqrt(1 - o.beta2**self.steps)
        rate = root / (1 - o.beta1**self.steps)
        return np.asarray(rate * m / (np.sqrt(v) + o.epsilon * root))


class LerpAdam(Plain):
    """Moments moved towards the gradient, as torch does."""

    def update(self, gradients: Arrays) -> None:
        o, kind = self.options, self.dtype.type
        for name, g in gradients.items():
            self.mean[name] += kind(1 - o.beta1) * (g - self.mean[name])
            self.square[name] += kind(1 - o.beta2) * (g * g - self.square[name])
            m, v = self.corrected(name)
            self.p[name] += kind(-o.learning_rate) * self.direction(m, v).astype(self.dtype)


class CorrectionsInItsDtype(Plain):
    """1 - beta^t from betas rounded to the dtype, as in optax."""

    def corrected(self, name: str) -> Any:
        o, one, kind = self.options, self.dtype.type(1), self.dtype.type
        mean = self.mean[name] / (one - kind(o.beta1) ** self.steps)
        return mean, self.square[name] / (one - kind(o.beta2) ** self.steps)


class NormInItsDtype(Plain):
    def clip(self, gradients: Arrays) -> Arrays:
        flat = np.concatenate([g.ravel() for g in gradients.values()])
        norm = np.sqrt(flat @ flat)
        factor = min(self.dtype.type(1), self.dtype.type(self.options.clip_norm) / norm)
        return {name: g * factor for name, g in gradients.items()}


class NormOfNorms(Plain):
    def clip(self, gradients: Arrays) -> Arrays:
        norm = np.linalg.norm([np.linalg.norm(g) for g in gradients.values()])
        if norm <= self.options.clip_norm:
            return gradients
        scale = self.options.clip_norm / norm
        return {name: (g * scale).astype(g.dtype) for name, g in gradients.items()}


class GuardedNorm(Plain):
    """As PyTorch's clip_grad_norm_."""

    def clip(self, gradients: Arrays) -> Arrays:
        norm = np.sqrt(sum(float((g.astype(float) ** 2).sum()) for g in gradients.values()))
        factor = self.dtype.type(min(1.0, self.options.clip_norm / (norm + 1e-6)))
        return {name: g * factor for name, g in gradients.items()}


class OtherContainers(Plain):
    """Views, reversed strides, Fortran order, Python floats and 64-bit digits."""

    def parameters(self) -> Arrays:
        arrays = {name: np.asfortranarray(array) for name, array in super().parameters().items()}
        for array in arrays.values():
            array.flags.writeable = False
        return arrays

    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, (h, c) = super().forward(inputs, state)
        return logits[::-1].copy()[::-1], (h.swapaxes(0, 1).copy().swapaxes(0, 1), c)

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        return float(super().train_step(inputs, targets, free_running))

    def generate(self, prompts: Any, steps: int) -> Any:
        return super().generate(prompts, steps).astype(np.int64)


class Lazy(Plain):
    """Answers that are computed when they are fetched, as on a device."""

    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, (h, c) = super().forward(inputs, state and tuple(self.fetch(s) for s in state))
        return [logits], ([h], [c])

    def fetch(self, array: Any) -> np.ndarray:
        return np.asarray(array[0] if isinstance(array, list) else array)


class StagedElsewhere(Plain):
    """Inputs as one-hot arrays of its own."""

    def stage(self, tokens: np.ndarray) -> Any:
        return {"time-major": tokens.T.copy()}

    @staticmethod
    def back(staged: Any) -> np.ndarray:
        return np.asarray(staged["time-major"].T)

    def forward(self, inputs: Any, state: Any = None) -> Any:
        return super().forward(self.back(inputs), state)

    def differentiate(self, inputs: Any, targets: Any, free: bool) -> Any:
        return super().differentiate(self.back(inputs), self.back(targets), free)

    def generate(self, prompts: Any, steps: int) -> Any:
        return super().generate(self.back(prompts), steps)


class InferenceAlone(Backend):
    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.model = Plain(options)

    def load(self, parameters: Parameters) -> None:
        self.model.load(parameters)

    def parameters(self) -> Arrays:
        return self.model.parameters()

    def forward(self, inputs: Any, state: Any = None) -> Any:
        return self.model.forward(inputs, state)


class NoFreeRunning(Plain):
    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        if free_running:
            raise NotSupported("free-running")
        return super().train_step(inputs, targets)


class NoStateGiven(Plain):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        if state:
            raise NotSupported("a state to start from")
        return super().forward(inputs)


class Reversed(Mirrored):
    def __init__(self, options: Options) -> None:
        super().__init__(NumpyBackend(options))


def displaced(sigmoid: float, tanh: float, absolute: float = 0) -> type[Plain]:
    """Activations that err to one side, by so many units in the last place of their value.

    `absolute` is in half units of 1, on top.
    """

    class Displaced(Plain):
        def displace(self, value: np.ndarray, units: float) -> np.ndarray:
            eps, kind = np.finfo(self.dtype).eps, self.dtype.type
            return value * kind(1 + units * eps) + kind(np.sign(units) * absolute * eps / 2)

        def gates(self, z: np.ndarray) -> tuple[np.ndarray, ...]:
            i, f, g, o = super().gates(z)
            i, f, o = (self.displace(gate, sigmoid) for gate in (i, f, o))
            return i, f, self.displace(g, tanh), o

        def next_hidden(self, gates: tuple[np.ndarray, ...], c: np.ndarray) -> np.ndarray:
            return gates[3] * self.displace(np.tanh(c), tanh)

        def loss(self, logits: np.ndarray, targets: np.ndarray) -> Any:
            shifted = logits - logits.max(-1, keepdims=True)
            sums = self.displace(np.exp(shifted), sigmoid).sum(-1, keepdims=True)
            log_p = shifted - self.displace(np.log(sums), tanh)
            p = self.displace(np.exp(log_p), sigmoid)
            chosen = np.take_along_axis(log_p, targets[..., None].astype(int), -1)
            return -chosen.mean(), (p - self.one_hot(targets)) / self.dtype.type(targets.size)

    Displaced.__name__ = f"Displaced_{sigmoid:+g}_{tanh:+g}_{absolute:g}"
    return Displaced


class ExpByTwos(Plain):
    """exp as 2^k times a polynomial of degree 7, in the dtype; good to some units of float32."""

    def exp(self, x: np.ndarray) -> np.ndarray:
        if self.dtype == np.float64:
            return np.exp(x)
        k = np.rint(x * self.dtype.type(1 / np.log(2)))
        r = (x - k * self.dtype.type(0.693359375)) + k * self.dtype.type(2.12194440e-4)
        total = np.ones_like(r)
        for n in range(7, 0, -1):
            total = total * r / self.dtype.type(n) + self.dtype.type(1)
        return np.asarray(np.ldexp(total, k.astype(int)))

    def gates(self, z: np.ndarray) -> tuple[np.ndarray, ...]:
        e = self.exp(-abs(z))
        i, f, _, o = np.split(np.where(z >= 0, 1 / (1 + e), e / (1 + e)), 4, axis=1)
        return i, f, np.tanh(np.split(z, 4, axis=1)[2]), o


class TanhBySigmoid(Plain):
    """2 sigmoid(2 x) - 1, which cancels near zero."""

    def next_hidden(self, gates: tuple[np.ndarray, ...], c: np.ndarray) -> np.ndarray:
        two, one = self.dtype.type(2), self.dtype.type(1)
        return gates[3] * (two * sigmoid(two * c) - one)


class RowByRow(Plain):
    """One sequence after the other."""

    def forward(self, inputs: Any, state: Any = None) -> Any:
        rows = [slice(n, n + 1) for n in range(len(inputs))]
        each = [
            super(RowByRow, self).forward(
                inputs[row], state and tuple(part[:, row] for part in state)
            )
            for row in rows
        ]
        logits = np.concatenate([logits for logits, _ in each])
        h, c = (np.concatenate([s[k] for _, s in each], axis=1) for k in range(2))
        return logits, (h, c)


class OutputsInOneProduct(Plain):
    """The logits of all steps at the end."""

    def run(self, digits: np.ndarray, state: Any = None, free: bool = False) -> Any:
        logits, state, tape = super().run(digits, state, free)
        if not free:
            top = np.stack([step[-1] for step in tape[self.layers[-1] :: len(self.layers)]], 1)
            logits = (top.reshape(-1, top.shape[-1]) @ self.p["linear.weight"].T).reshape(
                logits.shape
            ) + self.p["linear.bias"]
        return logits, state, tape


class CompensatedLoss(Plain):
    """Kahan's sum."""

    def loss(self, logits: np.ndarray, targets: np.ndarray) -> Any:
        shifted = logits - logits.max(-1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
        total = lost = self.dtype.type(0)
        for value in np.take_along_axis(log_p, targets[..., None].astype(int), -1).ravel():
            added = value - lost
            lost = (total + added - total) - added
            total = total + added
        return -total / self.dtype.type(targets.size), super().loss(logits, targets)[1]


class BuffersCopiedOut(Plain):
    """Computes in buffers of its own, and hands out copies."""

    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, (h, c) = super().forward(inputs, state)
        self.logits = logits
        return self.logits.copy(), (h.copy(), c.copy())


class ChecksWhatItCompiled(Plain):
    """Makes a step while compiling, and takes it back."""

    def compile(self, batch: int, length: int) -> None:
        kept = self.parameters()
        digits = np.zeros((batch, length), np.uint8)
        self.train_step(digits, digits)
        self.load(kept)


DISPLACED = [
    displaced(4, 4),
    displaced(-4, -4),
    displaced(4, 0),
    displaced(0, -4),
    displaced(4, -4),
    displaced(2, 2),
    displaced(0.5, 0.5, 1),
]
"""Activations that err to one side, as far as some good libraries' do."""
APPROXIMATE: list[type[Backend]] = [
    displaced(-8, 8, 8),
    displaced(8, 8, 8),
    displaced(1, 1, 16),
    displaced(1, 1, 28),
]
"""Activations as in the fast arithmetic of a GPU: good to some units of 1, not of their value."""

Approximate = APPROXIMATE[0]
"""One of them, for a plugin to name."""

HONEST: list[type[Backend]] = [
    *DISPLACED,
    ExpByTwos,
    TanhBySigmoid,
    RowByRow,
    OutputsInOneProduct,
    CompensatedLoss,
    BuffersCopiedOut,
    ChecksWhatItCompiled,
    Plain,
    NumpyBackend,
    Reversed,
    SigmoidByTanh,
    StableSigmoid,
    TanhByExp,
    OneProduct,
    SumsOneByOne,
    LossOneByOne,
    BatchInParts,
    DoubleInside,
    PaddedUnits,
    EfficientAdam,
    LerpAdam,
    CorrectionsInItsDtype,
    NormInItsDtype,
    NormOfNorms,
    GuardedNorm,
    OtherContainers,
    Lazy,
    StagedElsewhere,
    InferenceAlone,
    NoFreeRunning,
    NoStateGiven,
]

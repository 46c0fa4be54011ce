"""The oracle: a plain LSTM in NumPy, which all others are compared with. It is written to be read.

Sizes: B = batch, T = time steps, V = vocabulary, H = hidden size, L = layers. The formulas are
those of `lstmbench.interface.parameters`. The gradients are those of backpropagation through time;
Werbos, https://doi.org/10.1109/5.58337.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lstmbench.host.memory import keep_freed_memory
from lstmbench.interface import Backend, ModelSpec, Options, Parameters, State
from lstmbench.parity.activations import Activations
from lstmbench.parity.rounding import rounded
from lstmbench.parity.values import Arrays


def _quiet() -> np.errstate:
    """Return a context in which arithmetic gives no warnings that say nothing of its results.

    In sigmoids exp(-z) may be infinite. Products of small matrices by wide vector instructions take
    in what lies beside them in memory, and may so raise the flag of an invalid operation whose
    result is thrown away. What is not finite is found where results are compared.
    """
    return np.errstate(over="ignore", invalid="ignore")


def log_softmax(logits: np.ndarray, a: Activations) -> np.ndarray:
    """Return the logarithm of the probabilities that logits (..., V) stand for."""
    shifted = logits - logits.max(-1, keepdims=True)
    return np.asarray(shifted - a.log(a.exp(shifted).sum(-1, keepdims=True)))


@dataclass
class Step:
    """One time step of one layer, as the backward pass needs it.

    `x` is the input: digits (B,) in layer 0, else h of the layer below (B, H). All others are
    (B, H): h and c before the step, the gates i, f, g and o, and tanh of c after it.
    """

    x: np.ndarray
    h_before: np.ndarray
    c_before: np.ndarray
    i: np.ndarray
    f: np.ndarray
    g: np.ndarray
    o: np.ndarray
    tanh_c: np.ndarray


def cell(
    z: np.ndarray, x: np.ndarray, h_before: np.ndarray, c_before: np.ndarray, a: Activations
) -> tuple[np.ndarray, np.ndarray, Step]:
    """Return h and c, each (B, H), after one step, and the step itself.

    `z` (B, 4H) is x W_ih^T + h W_hh^T + b, the gates in the order i, f, g, o.
    """
    z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)
    i, f, g, o = a.sigmoid(z_i), a.sigmoid(z_f), a.tanh(z_g), a.sigmoid(z_o)
    c = a.kept(f * c_before + i * g)
    tanh_c = a.tanh(c)
    h = a.kept(o * tanh_c)
    return h, c, Step(x, h_before, c_before, i, f, g, o, tanh_c)


def cell_backward(d_h: np.ndarray, d_c: np.ndarray, s: Step) -> tuple[np.ndarray, np.ndarray]:
    """Return d loss / d z (B, 4H) and d loss / d c_before (B, H) of one step.

    `d_h` (B, H) is d loss / d h, and `d_c` (B, H) the part of d loss / d c that comes from the
    step after it. A sigmoid s has the derivative s (1 - s), and a tanh t has 1 - t^2.
    """
    d_c = d_c + d_h * s.o * (1 - s.tanh_c**2)  # c acts through h = o tanh(c), too
    d_i, d_f, d_g, d_o = d_c * s.g, d_c * s.c_before, d_c * s.i, d_h * s.tanh_c
    d_z = [d_i * s.i * (1 - s.i), d_f * s.f * (1 - s.f), d_g * (1 - s.g**2), d_o * s.o * (1 - s.o)]
    return np.concatenate(d_z, axis=1), d_c * s.f


class Oracle(Backend):
    """The model in plain NumPy, in the precision that the options ask for.

    `w` are the parameters as factors of products, rounded where the options ask for it; a factor
    that is no parameter goes through `_factor`.
    """

    def __init__(self, options: Options, activations: Activations | None = None) -> None:
        super().__init__(options)
        self.activations = activations or Activations()
        keep_freed_memory()
        self.p: Arrays = {}

    def load(self, parameters: Parameters) -> None:
        self.p = {name: np.array(a, self.options.dtype) for name, a in parameters.items()}
        self._round_weights()
        self.model = ModelSpec.of(self.p)
        self.adam = Adam(self.p, self.options)

    def _factor(self, values: np.ndarray) -> np.ndarray:
        """Return values as a factor of a product."""
        return rounded(values, self.options.products)

    def _round_weights(self) -> None:
        self.w = {name: self._factor(array) for name, array in self.p.items()}

    def parameters(self) -> Arrays:
        return {name: array.copy() for name, array in self.p.items()}

    def forward(self, inputs: Any, state: State | None = None) -> tuple[np.ndarray, State]:
        logits, last, _ = self._run(inputs, state)
        return logits, last

    def _run(
        self, digits: np.ndarray, state: State | None = None, free_running: bool = False
    ) -> tuple[np.ndarray, State, list[list[Step]]]:
        """Run over digits (B, T), from a zero state if there is none.

        Returns logits (B, T, V), the last state (h, c), each (L, B, H), and each layer's steps.
        Free-running: only the first digit is used; every later input is the argmax of the logits.
        """
        layers = range(self.model.layers)
        h, c = ([*part] for part in (self._zero_state(len(digits)) if state is None else state))
        steps: list[list[Step]] = [[] for _ in layers]
        logits: list[np.ndarray] = []
        with _quiet():
            for t in range(digits.shape[1]):
                x = logits[-1].argmax(-1) if free_running and t else digits[:, t]
                for n in layers:
                    h[n], c[n], step = self._cell(n, x, h[n], c[n])
                    steps[n].append(step)
                    x = h[n]
                top = self._factor(x) @ self.w["linear.weight"].T
                logits.append(top + self.p["linear.bias"])
        return np.stack(logits, axis=1), (np.stack(h), np.stack(c)), steps

    def _cell(
        self, n: int, x: np.ndarray, h: np.ndarray, c: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, Step]:
        """Return h and c of layer n, each (B, H), after one step, and the step itself."""
        z = self._input_product(n, x) + self._factor(h) @ self.w[f"lstm.{n}.weight_hh"].T
        return cell(z + self.p[f"lstm.{n}.bias"], x, h, c, self.activations)

    def _zero_state(self, batch: int) -> np.ndarray:
        """Return h and c before the first step, (2, L, B, H)."""
        return np.zeros((2, self.model.layers, batch, self.model.hidden), self.options.dtype)

    def _input_product(self, n: int, x: np.ndarray) -> np.ndarray:
        """Return x W_ih^T (B, 4H); of a one-hot digit, that is a column of W_ih."""
        weight = self.w[f"lstm.{n}.weight_ih"]
        return np.asarray(weight.T[x] if n == 0 else self._factor(x) @ weight.T)

    def loss_and_gradients(self, inputs: Any, targets: Any) -> tuple[np.ndarray, Arrays]:
        return self._loss_and_gradients(inputs, targets, free_running=False)

    def _loss_and_gradients(
        self, inputs: np.ndarray, targets: np.ndarray, free_running: bool
    ) -> tuple[np.ndarray, Arrays]:
        """Return mean cross-entropy in nats of targets (B, T), and its gradients by parameter."""
        logits, _, steps = self._run(inputs, free_running=free_running)
        log_p = log_softmax(logits, self.activations)
        one_hot = np.eye(self.model.vocabulary, dtype=self.options.dtype)[targets]
        loss = -(one_hot * log_p).sum() / targets.size
        return loss, self._backward((self.activations.exp(log_p) - one_hot) / targets.size, steps)

    def _backward(self, d_logits: np.ndarray, steps: list[list[Step]]) -> Arrays:
        """Return gradients by parameter, from d loss / d logits (B, T, V) back through time."""
        gradients: Arrays = {}
        top_h = np.stack([s.o * s.tanh_c for s in steps[-1]], axis=1)
        gradients["linear.bias"] = d_logits.sum((0, 1))
        d_logits = self._factor(d_logits)
        by_token = d_logits, self._factor(top_h)
        gradients["linear.weight"] = np.tensordot(*by_token, ((0, 1), (0, 1)))
        with _quiet():
            from_above = d_logits.transpose(1, 0, 2) @ self.w["linear.weight"]
            for n in reversed(range(self.model.layers)):
                from_above = self._layer_backward(n, from_above, steps[n], gradients)
        return {name: gradients[name] for name in self.p}

    def _layer_backward(
        self, n: int, from_above: np.ndarray, steps: list[Step], gradients: Arrays
    ) -> np.ndarray:
        """Add the gradients of one layer; return d loss / d x (T, B, H) of its inputs.

        `from_above` (T, B, H) is the part of d loss / d h of each step that comes from what reads
        h at that step: the layer above, or the linear layer.
        """
        weight_ih, weight_hh = self.w[f"lstm.{n}.weight_ih"], self.w[f"lstm.{n}.weight_hh"]
        from_next = d_c = np.zeros_like(steps[0].h_before)
        d_z: list[np.ndarray] = [np.empty(0)] * len(steps)
        for t in reversed(range(len(steps))):
            d_z[t], d_c = cell_backward(from_above[t] + from_next, d_c, steps[t])
            from_next = self._factor(d_z[t]) @ weight_hh
        # Each weight gradient is a sum over steps of d_z^T x: one product over T and B together.
        every_d_z, h_before = np.concatenate(d_z), np.concatenate([s.h_before for s in steps])
        x = np.concatenate([s.x for s in steps])
        if n == 0:
            x = np.eye(self.model.vocabulary, dtype=self.options.dtype)[x]
        gradients[f"lstm.{n}.bias"] = every_d_z.sum(0)
        every_d_z = self._factor(every_d_z)
        gradients[f"lstm.{n}.weight_ih"] = every_d_z.T @ self._factor(x)
        gradients[f"lstm.{n}.weight_hh"] = every_d_z.T @ self._factor(h_before)
        return np.asarray(every_d_z @ weight_ih).reshape(len(steps), len(d_c), -1)

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> np.ndarray:
        loss, gradients = self._loss_and_gradients(inputs, targets, free_running)
        self.adam.step(self.p, gradients)
        self._round_weights()
        return loss

    def generate(self, prompts: Any, steps: int) -> np.ndarray:
        logits, state = self.forward(prompts)
        digits = [logits[:, -1:].argmax(-1)]
        while len(digits) < steps:
            logits, state = self.forward(digits[-1], state)
            digits.append(logits.argmax(-1))
        return np.concatenate(digits, axis=1).astype(np.uint8)


class Adam:
    """Clipping by global norm, then Adam with bias correction.

    Kingma and Ba, https://arxiv.org/abs/1412.6980, algorithm 1.
    """

    def __init__(self, parameters: Arrays, options: Options) -> None:
        self.options, self.steps = options, 0
        self.mean = {name: np.zeros_like(array) for name, array in parameters.items()}
        self.square = {name: np.zeros_like(array) for name, array in parameters.items()}

    def step(self, parameters: Arrays, gradients: Arrays) -> None:
        """Move each of `parameters`, in place, by one step against its gradient."""
        o, self.steps = self.options, self.steps + 1
        norm = float(np.sqrt(sum(np.vdot(g, g) for g in gradients.values())))
        for name, g in gradients.items():
            if norm > o.clip_norm:
                g = g * (o.clip_norm / norm)
            m, v = self.mean[name], self.square[name]
            m += (1 - o.beta1) * (g - m)
            v += (1 - o.beta2) * (g * g - v)
            unbiased_m, unbiased_v = m / (1 - o.beta1**self.steps), v / (1 - o.beta2**self.steps)
            parameters[name] -= o.learning_rate * unbiased_m / (np.sqrt(unbiased_v) + o.epsilon)

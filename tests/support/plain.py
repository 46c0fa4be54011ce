"""A plain LSTM in small overridable pieces: honest itself, and what broken ones are made of."""

from typing import Any

import numpy as np

from lstmbench import Backend, ModelSpec, Options, Parameters

Arrays = dict[str, np.ndarray]


def sigmoid(z: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # exp(-z) may be infinite
        return np.asarray(1 / (1 + np.exp(-z)))


class Plain(Backend):
    """Batch-major, one time step after the other, nothing fused, every sum as it comes."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.p: Arrays = {}

    def load(self, parameters: Parameters) -> None:
        self.p = {name: np.array(array, self.options.dtype) for name, array in parameters.items()}
        self.forget()

    def forget(self) -> None:
        self.steps = 0
        self.mean = {name: np.zeros_like(array) for name, array in self.p.items()}
        self.square = {name: np.zeros_like(array) for name, array in self.p.items()}

    def parameters(self) -> Arrays:
        return {name: array.copy() for name, array in self.p.items()}

    @property
    def layers(self) -> range:
        return range(ModelSpec.of(self.p).layers)

    # The model

    def zero(self, batch: int) -> np.ndarray:
        return np.zeros((len(self.layers), batch, self.p["linear.weight"].shape[1]), self.dtype)

    @property
    def dtype(self) -> Any:
        return np.dtype(self.options.dtype)

    def one_hot(self, digits: np.ndarray) -> np.ndarray:
        return np.eye(10, dtype=self.dtype)[digits]

    def preactivation(self, n: int, x: np.ndarray, h: np.ndarray) -> np.ndarray:
        p = self.p
        recurrent = h @ p[f"lstm.{n}.weight_hh"].T
        return x @ p[f"lstm.{n}.weight_ih"].T + recurrent + p[f"lstm.{n}.bias"]

    def gates(self, z: np.ndarray) -> tuple[np.ndarray, ...]:
        i, f, g, o = np.split(z, 4, axis=1)
        return sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)

    def next_cell(self, gates: tuple[np.ndarray, ...], c: np.ndarray) -> np.ndarray:
        i, f, g, _ = gates
        return f * c + i * g

    def next_hidden(self, gates: tuple[np.ndarray, ...], c: np.ndarray) -> np.ndarray:
        return gates[3] * np.tanh(c)

    def output(self, h: np.ndarray) -> np.ndarray:
        return h @ self.p["linear.weight"].T + self.p["linear.bias"]

    def feed_back(self, logits: np.ndarray) -> np.ndarray:
        return logits.argmax(-1)

    def run(
        self, digits: np.ndarray, state: Any = None, free: bool = False
    ) -> tuple[np.ndarray, Any, list[Any]]:
        """Logits (B, T, V), final state, and for each step and layer what backward needs."""
        h, c = (np.array(s) for s in state) if state else (self.zero(len(digits)),) * 2
        h, c = h.copy(), c.copy()
        tape, logits = [], []
        token = digits[:, 0]
        for t in range(digits.shape[1]):
            x = self.one_hot(token if free else digits[:, t])
            for n in self.layers:
                gates = self.gates(self.preactivation(n, x, h[n]))
                before = h[n].copy(), c[n].copy()
                c[n] = self.next_cell(gates, c[n])
                h[n] = self.next_hidden(gates, c[n])
                tape.append((n, x, *before, gates, c[n].copy(), h[n].copy()))
                x = h[n].copy()
            logits.append(self.output(x))
            token = self.feed_back(logits[-1])
        return np.stack(logits, axis=1), (h, c), tape

    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, state, _ = self.run(inputs, state)
        return logits, state

    # Its gradients

    def loss(self, logits: np.ndarray, targets: np.ndarray) -> tuple[Any, np.ndarray]:
        shifted = logits - logits.max(-1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
        d_logits = (np.exp(log_p) - self.one_hot(targets)) / self.dtype.type(targets.size)
        return -np.take_along_axis(log_p, targets[..., None].astype(int), -1).mean(), d_logits

    def d_gates(
        self, gates: tuple[np.ndarray, ...], before: np.ndarray, c: np.ndarray, dh: Any, dc: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gradients by the preactivations (B, 4H) and by the cell before."""
        i, f, g, o = gates
        dc = dc + dh * o * (1 - np.tanh(c) ** 2)
        parts = (
            dc * g * i * (1 - i),
            dc * before * f * (1 - f),
            dc * i * (1 - g**2),
            dh * np.tanh(c) * o * (1 - o),
        )
        return np.concatenate(parts, axis=1), dc * f

    def backward(self, d_logits: np.ndarray, tape: list[Any]) -> Arrays:
        gradients = {name: np.zeros_like(array) for name, array in self.p.items()}
        batch, length = d_logits.shape[:2]
        dh, dc = self.zero(batch), self.zero(batch)
        steps = iter(reversed(tape))
        for t in reversed(range(length)):
            above = d_logits[:, t] @ self.p["linear.weight"]
            for n in reversed(self.layers):
                _, x, h_before, c_before, gates, c, h = next(steps)
                if n == self.layers[-1]:
                    gradients["linear.weight"] += d_logits[:, t].T @ h
                    gradients["linear.bias"] += d_logits[:, t].sum(0)
                dz, dc[n] = self.d_gates(gates, c_before, c, dh[n] + above, dc[n])
                gradients[f"lstm.{n}.weight_ih"] += dz.T @ x
                gradients[f"lstm.{n}.weight_hh"] += dz.T @ h_before
                gradients[f"lstm.{n}.bias"] += dz.sum(0)
                dh[n] = self.through_time(n, t, dz @ self.p[f"lstm.{n}.weight_hh"])
                above = self.between_layers(n, dz @ self.p[f"lstm.{n}.weight_ih"])
        return gradients

    def through_time(self, n: int, t: int, dh: np.ndarray) -> np.ndarray:
        return dh

    def between_layers(self, n: int, dx: np.ndarray) -> np.ndarray:
        return dx

    def loss_and_gradients(self, inputs: Any, targets: Any) -> Any:
        return self.differentiate(inputs, targets, False)

    def differentiate(self, inputs: Any, targets: Any, free: bool) -> Any:
        logits, _, tape = self.run(inputs, free=free)
        loss, d_logits = self.loss(logits, self.target(targets, logits, free))
        return loss, self.backward(d_logits, tape)

    def target(self, targets: np.ndarray, logits: np.ndarray, free: bool) -> np.ndarray:
        return targets

    # Its training

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        loss, gradients = self.differentiate(inputs, targets, free_running)
        self.steps += 1
        self.update(self.clip(gradients))
        return loss

    def clip(self, gradients: Arrays) -> Arrays:
        norm = np.sqrt(sum(float((g.astype(float) ** 2).sum()) for g in gradients.values()))
        factor = self.dtype.type(min(1.0, self.options.clip_norm / norm))
        return {name: g * factor for name, g in gradients.items()}

    def update(self, gradients: Arrays) -> None:
        o = self.options
        for name, g in gradients.items():
            self.mean[name] = o.beta1 * self.mean[name] + (1 - o.beta1) * g
            self.square[name] = o.beta2 * self.square[name] + (1 - o.beta2) * g**2
            m, v = self.corrected(name)
            self.p[name] -= (o.learning_rate * self.direction(m, v)).astype(self.dtype)

    def corrected(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        o = self.options
        mean = self.mean[name] / (1 - o.beta1**self.steps)
        return mean, self.square[name] / (1 - o.beta2**self.steps)

    def direction(self, m: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.asarray(m / (np.sqrt(v) + self.options.epsilon))

    # Its writing

    def generate(self, prompts: Any, steps: int) -> Any:
        logits, state, _ = self.run(prompts)
        digits = [logits[:, -1].argmax(-1)]
        for _ in range(steps - 1):
            logits, state, _ = self.run(digits[-1][:, None], state)
            digits.append(logits[:, -1].argmax(-1))
        return np.stack(digits, axis=1).astype(np.uint8)

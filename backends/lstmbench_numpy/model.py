"""Forward pass and backpropagation through time, by hand.

Arrays are time-major, so that each time step is one contiguous block:

    tokens   (T, B)        the digit that goes in at each step
    gates    (T, B, 4H)    activated i, f, g, o of one layer
    hidden   (T+1, B, H)   h of one layer; [0] is the initial state
    cell     (T+1, B, H)   c of one layer; likewise
    logits   (T, B, V)

The four gates are activated by one call of tanh: sigmoid(z) = (1 + tanh(z / 2)) / 2. Gradients
are those of the formulas in `lstmbench.interface.parameters`; Werbos, https://doi.org/10.1109/5.58337.
"""

from dataclasses import dataclass

import numpy as np

from lstmbench import ModelSpec, Parameters

UNITS_A_STEP = 8
"""A pass copies W_hh^T if it has a step for each so many hidden units."""


@dataclass
class Layer:
    """Weights of one layer (views of the flat parameter vector) and what a pass leaves behind.

    `recurrent` is W_hh^T, a view or a copy that a pass begins with: see `Network.copies`.
    """

    weight_ih: np.ndarray
    weight_hh: np.ndarray
    bias: np.ndarray
    recurrent: np.ndarray
    gates: np.ndarray
    hidden: np.ndarray
    cell: np.ndarray
    tanh_cell: np.ndarray


class Network:
    """The model at one (B, T): all arrays are made once and used again by every call."""

    def __init__(self, parameters: Parameters, batch: int, length: int) -> None:
        self.parameters = parameters
        model = ModelSpec.of(parameters)
        vocabulary, hidden = model.vocabulary, model.hidden
        dtype = parameters["linear.weight"].dtype

        def array(*shape: int) -> np.ndarray:
            return np.zeros(shape, dtype)

        self.hidden_size = hidden
        # OpenBLAS multiplies several rows by a copy of W_hh^T 1.1 to 8 times as fast as by a view;
        # the larger the matrix, the more steps it takes until the copy is paid for.
        self.copies = batch > 1 and length >= hidden / UNITS_A_STEP
        self.layers = [
            Layer(
                parameters[f"lstm.{n}.weight_ih"],
                parameters[f"lstm.{n}.weight_hh"],
                parameters[f"lstm.{n}.bias"],
                array(hidden, 4 * hidden) if self.copies else parameters[f"lstm.{n}.weight_hh"].T,
                gates=array(length, batch, 4 * hidden),
                hidden=array(length + 1, batch, hidden),
                cell=array(length + 1, batch, hidden),
                tanh_cell=array(length, batch, hidden),
            )
            for n in range(model.layers)
        ]
        self.tokens = np.zeros((length, batch), np.intp)
        self.one_hot = array(length, batch, vocabulary)
        self.logits = array(length, batch, vocabulary)
        # tanh(scale * z) * gain + offset is sigmoid for i, f, o and tanh for g.
        self.gain = np.full(4 * hidden, 0.5, dtype)
        self.gain[2 * hidden : 3 * hidden] = 1
        self.offset = 1 - self.gain
        # derivative by z of an activated gate s: s * (slope - s) + intercept
        self.slope = 2 * self.offset
        self.intercept = 1 - self.slope
        self.from_hidden = array(batch, 4 * hidden)
        self.product = array(batch, hidden)
        self.d_hidden = array(length, batch, hidden)
        self.d_cell = array(batch, hidden)
        self.d_gates = array(length, batch, 4 * hidden)

    def set_state(self, hidden: np.ndarray | None, cell: np.ndarray | None) -> None:
        """Start from `hidden` and `cell`, each (L, B, H), or from zero."""
        for n, layer in enumerate(self.layers):
            layer.hidden[0] = 0 if hidden is None else hidden[n]
            layer.cell[0] = 0 if cell is None else cell[n]

    def state(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (h, c) after the last step, each (L, B, H), copied."""
        return (
            np.stack([layer.hidden[-1] for layer in self.layers]),
            np.stack([layer.cell[-1] for layer in self.layers]),
        )

    def carry_state(self) -> None:
        """Start the next pass where the last one ended."""
        for layer in self.layers:
            layer.hidden[0] = layer.hidden[-1]
            layer.cell[0] = layer.cell[-1]

    def forward(self, tokens: np.ndarray) -> None:
        """Run all T steps over `tokens` (T, B), one layer after the other."""
        self._copy_weights()
        self._feed(slice(None), tokens)
        length = len(self.tokens)
        for n, layer in enumerate(self.layers):
            self._input_product(n, slice(0, length))
            for t in range(length):
                self._cell(layer, t)
        self._output(slice(None))

    def forward_free(self, first: np.ndarray) -> None:
        """Run all T steps from `first` (B,), each further input being the argmax of the last."""
        self._copy_weights()
        digits = first
        for t in range(len(self.tokens)):
            self._feed(t, digits)
            for n, layer in enumerate(self.layers):
                self._input_product(n, slice(t, t + 1))
                self._cell(layer, t)
            self._output(t)
            digits = self.logits[t].argmax(-1)

    def _copy_weights(self) -> None:
        if self.copies:
            for layer in self.layers:
                layer.recurrent[...] = layer.weight_hh.T

    def _feed(self, t: slice | int, tokens: np.ndarray) -> None:
        self.tokens[t] = tokens
        one_hot = self.one_hot[t]
        one_hot[...] = 0
        np.put_along_axis(one_hot, self.tokens[t][..., None], 1, -1)

    def _input_product(self, n: int, steps: slice) -> None:
        """Write x W_ih^T + b into the gates of several steps, in one product."""
        layer = self.layers[n]
        x = self.layers[n - 1].hidden[1:][steps] if n else self.one_hot[steps]
        gates = layer.gates[steps]
        width = gates.shape[-1]
        np.matmul(x.reshape(-1, x.shape[-1]), layer.weight_ih.T, out=gates.reshape(-1, width))
        gates += layer.bias

    def _cell(self, layer: Layer, t: int) -> None:
        h = self.hidden_size
        gates, cell, tanh_cell = layer.gates[t], layer.cell[t + 1], layer.tanh_cell[t]
        gates += np.matmul(layer.hidden[t], layer.recurrent, out=self.from_hidden)
        gates *= self.gain
        np.tanh(gates, out=gates)
        gates *= self.gain
        gates += self.offset
        i, f, g, o = (gates[:, k * h : (k + 1) * h] for k in range(4))
        np.multiply(f, layer.cell[t], out=cell)
        cell += np.multiply(i, g, out=self.product)
        np.tanh(cell, out=tanh_cell)
        np.multiply(o, tanh_cell, out=layer.hidden[t + 1])

    def _output(self, t: slice | int) -> None:
        hidden, logits = self.layers[-1].hidden[1:][t], self.logits[t]
        weight = self.parameters["linear.weight"]
        rows = hidden.reshape(-1, self.hidden_size)
        np.matmul(rows, weight.T, out=logits.reshape(-1, len(weight)))
        logits += self.parameters["linear.bias"]

    def loss_and_gradients(self, targets: np.ndarray, gradients: Parameters) -> float:
        """Return mean cross-entropy (nats) of `targets` (T, B), after a forward pass.

        Writes into `gradients`, arrays shaped like the parameters. Uses up the logits.
        """
        loss, d_logits = cross_entropy(self.logits, targets)
        rows = d_logits.reshape(-1, d_logits.shape[-1])
        top = self.layers[-1].hidden[1:].reshape(len(rows), -1)
        np.matmul(rows.T, top, out=gradients["linear.weight"])
        np.sum(rows, axis=0, out=gradients["linear.bias"])
        d_hidden = self.d_hidden
        np.matmul(rows, self.parameters["linear.weight"], out=d_hidden.reshape(len(rows), -1))
        for n in reversed(range(len(self.layers))):
            self._backward(n, gradients)
        return loss

    def _backward(self, n: int, gradients: Parameters) -> None:
        """Compute layer n's gradients and d loss / d h of the layer below, from `d_hidden`."""
        layer, d_gates = self.layers[n], self.d_gates
        self.d_cell[...] = 0
        for t in reversed(range(len(d_gates))):
            self._cell_backward(layer, t)
            if t:
                self.d_hidden[t - 1] += np.matmul(d_gates[t], layer.weight_hh, out=self.product)
        width = d_gates.shape[-1]
        rows = d_gates.reshape(-1, width)
        x = self.layers[n - 1].hidden[1:] if n else self.one_hot
        np.matmul(rows.T, x.reshape(len(rows), -1), out=gradients[f"lstm.{n}.weight_ih"])
        np.matmul(
            rows.T,
            layer.hidden[:-1].reshape(len(rows), -1),
            out=gradients[f"lstm.{n}.weight_hh"],
        )
        np.sum(rows, axis=0, out=gradients[f"lstm.{n}.bias"])
        if n:
            np.matmul(rows, layer.weight_ih, out=self.d_hidden.reshape(len(rows), -1))

    def _cell_backward(self, layer: Layer, t: int) -> None:
        """Compute d loss / d z, in `d_gates[t]`, and d c_{t-1}, from d loss / d (h_t, c_t)."""
        h = self.hidden_size
        gates, d_gates, product = layer.gates[t], self.d_gates[t], self.product
        i, f, g, o = (gates[:, k * h : (k + 1) * h] for k in range(4))
        d_i, d_f, d_g, d_o = (d_gates[:, k * h : (k + 1) * h] for k in range(4))
        d_hidden, d_cell, tanh_cell = self.d_hidden[t], self.d_cell, layer.tanh_cell[t]
        # d_gates holds the derivatives of the activations first; each is then scaled in place.
        np.subtract(self.slope, gates, out=d_gates)
        d_gates *= gates
        d_gates += self.intercept
        d_o *= np.multiply(d_hidden, tanh_cell, out=product)
        # d c_t += d h_t * o * (1 - tanh(c_t)^2)
        np.multiply(tanh_cell, tanh_cell, out=product)
        np.subtract(1, product, out=product)
        product *= o
        product *= d_hidden
        d_cell += product
        d_i *= np.multiply(d_cell, g, out=product)
        d_f *= np.multiply(d_cell, layer.cell[t], out=product)
        d_g *= np.multiply(d_cell, i, out=product)
        d_cell *= f


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean of -log softmax(logits)[target], and its gradient, written over logits."""
    targets = targets[..., None]
    logits -= logits.max(-1, keepdims=True)
    chosen = np.take_along_axis(logits, targets, -1)
    np.exp(logits, out=logits)
    total = logits.sum(-1, keepdims=True)
    loss = float(np.mean(np.log(total) - chosen))
    logits /= total
    np.put_along_axis(logits, targets, np.take_along_axis(logits, targets, -1) - 1, -1)
    logits /= targets.size
    return loss, logits

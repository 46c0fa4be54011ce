"""Plain Flax: its nnx modules, with optax."""

from typing import Any

import jax
import numpy as np
import optax
from flax import nnx
from jax import Array

from lstmbench import VOCABULARY, Backend, ModelSpec, NotSupported, Options, Parameters, State


class Network(nnx.Module):
    """Digits (B, T) to logits (B, T, V)."""

    def __init__(self, hidden: int, layers: int, dtype: str) -> None:
        rngs = nnx.Rngs(0)
        widths = [VOCABULARY, *[hidden] * (layers - 1)]
        self.layers = nnx.List(
            nnx.RNN(nnx.OptimizedLSTMCell(n, hidden, param_dtype=dtype, rngs=rngs)) for n in widths
        )
        self.linear = nnx.Linear(hidden, VOCABULARY, param_dtype=dtype, rngs=rngs)

    def __call__(self, digits: Array, carries: Any = None) -> tuple[Array, Any]:
        x = jax.nn.one_hot(digits, VOCABULARY, dtype=self.linear.kernel.dtype)
        after = []
        for n, layer in enumerate(self.layers):
            start = carries[n] if carries else None
            carry, x = layer(x, initial_carry=start, return_carry=True)
            after.append(carry)
        return self.linear(x), after


@nnx.jit
def run(network: Network, digits: Array, carries: Any = None) -> tuple[Array, Any]:
    return network(digits, carries)


@nnx.jit
def step(network: Network, optimizer: nnx.Optimizer, inputs: Array, targets: Array) -> Array:
    def loss_of(network: Network) -> Array:
        logits, _ = network(inputs)
        return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()

    loss, gradients = nnx.value_and_grad(loss_of)(network)
    optimizer.update(network, gradients)
    return loss


class PlainFlax(Backend):
    def __init__(self, options: Options) -> None:
        super().__init__(options)
        jax.config.update("jax_enable_x64", options.dtype == "float64")
        jax.config.update("jax_platforms", options.device)
        precision = "default" if options.tf32 else "highest"
        jax.config.update("jax_default_matmul_precision", precision)
        self.sizes = 0, 0

    def load(self, parameters: Parameters) -> None:
        model = ModelSpec.of(parameters)
        sizes = model.hidden, model.layers
        if sizes != self.sizes:  # a new network or optimizer would be compiled anew
            self.sizes = sizes
            self.build(*sizes)
        for name, variable in self.variables().items():
            variable[...] = jax.numpy.array(parameters[name].T)
        nnx.update(self.optimizer, self.fresh)

    def build(self, hidden: int, layers: int) -> None:
        o = self.options
        self.network = Network(hidden, layers, o.dtype)
        adam = optax.adam(o.learning_rate, o.beta1, o.beta2, o.epsilon)
        chain = optax.chain(optax.clip_by_global_norm(o.clip_norm), adam)
        self.optimizer = nnx.Optimizer(self.network, chain, wrt=nnx.Param)
        self.fresh = jax.tree.map(jax.numpy.copy, nnx.state(self.optimizer))

    def variables(self) -> dict[str, Any]:
        """Return flax's variables by canonical name; each is the canonical array's transpose."""
        result = {}
        for n, layer in enumerate(self.network.layers):
            result[f"lstm.{n}.weight_ih"] = layer.cell.dense_i.kernel
            result[f"lstm.{n}.weight_hh"] = layer.cell.dense_h.kernel
            result[f"lstm.{n}.bias"] = layer.cell.dense_h.bias
        linear = self.network.linear
        return result | {"linear.weight": linear.kernel, "linear.bias": linear.bias}

    def parameters(self) -> dict[str, np.ndarray]:
        return {name: np.array(variable[...].T) for name, variable in self.variables().items()}

    def stage(self, tokens: np.ndarray) -> Array:
        return jax.device_put(tokens)

    def forward(self, inputs: Array, state: State | None = None) -> tuple[Any, State]:
        carries = list(zip(state[1], state[0], strict=True)) if state else None
        logits, after = run(self.network, inputs, carries)
        cells, hiddens = zip(*after, strict=True)
        return logits, (np.stack(hiddens), np.stack(cells))

    def train_step(self, inputs: Array, targets: Array, free_running: bool = False) -> Array:
        if free_running:
            raise NotSupported
        return step(self.network, self.optimizer, inputs, targets)

    def generate(self, prompts: Array, steps: int) -> Array:
        logits, carries = run(self.network, prompts)
        digits = [logits[:, -1:].argmax(-1)]
        while len(digits) < steps:
            logits, carries = run(self.network, digits[-1], carries)
            digits.append(logits.argmax(-1))
        return jax.numpy.concatenate(digits, axis=1)

    def synchronize(self) -> None:
        jax.block_until_ready(self.network.linear.bias[...])

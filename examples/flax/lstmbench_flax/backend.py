"""flax.nnx and optax behind lstmbench's interface."""

from importlib.metadata import version
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx

from lstmbench import Backend, Options, Parameters, State
from lstmbench_flax import functions
from lstmbench_flax.model import from_canonical, to_canonical


class FlaxBackend(Backend):
    """The model is split once into its graph, which is fixed, and its state, which is trained.

    All functions of both are jitted, as flax advises where the cost of a call matters:
    https://flax.readthedocs.io/en/latest/guides/performance.html
    """

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        # In float32 too: optax takes 1 - beta^t in the widest type that is on, and in float32 that
        # is off by 1e-5 of itself. The model's own arrays have the dtype that they are given.
        jax.config.update("jax_enable_x64", True)
        self._device = jax.devices("cpu")[0]
        self._optimiser = optax.chain(
            optax.clip_by_global_norm(options.clip_norm),
            optax.adam(
                options.learning_rate, b1=options.beta1, b2=options.beta2, eps=options.epsilon
            ),
        )

    def describe(self) -> dict[str, str]:
        versions = {name: version(name) for name in ("flax", "optax", "jax", "jaxlib")}
        return {**versions, "path": "XLA on the CPU: nnx.RNN, jax.grad, optax"}

    def load(self, parameters: Parameters) -> None:
        with jax.default_device(self._device):
            model = from_canonical(parameters, self.options.dtype)
            self._graph, state = nnx.split(model)
            moments = self._optimiser.init(state)
        # Committed to the device, as a step's results are: else the second step compiles again.
        self._state, self._moments = jax.device_put((state, moments), self._device)

    def parameters(self) -> dict[str, np.ndarray]:
        arrays = to_canonical(self._graph, self._state)
        return {name: np.array(array) for name, array in arrays.items()}

    def stage(self, tokens: np.ndarray) -> Any:
        return jax.device_put(tokens, self._device, may_alias=False)

    def forward(self, inputs: Any, state: State | None = None) -> tuple[Any, State]:
        return functions.forward(self._graph, self._state, inputs, state)

    def loss_and_gradients(self, inputs: Any, targets: Any) -> tuple[Any, dict[str, Any]]:
        return functions.loss_and_gradients(self._graph, self._state, inputs, targets)

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        loss, self._state, self._moments = functions.train_step(
            self._graph,
            self._optimiser,
            free_running,
            self._state,
            self._moments,
            inputs,
            targets,
        )
        return loss

    def generate(self, prompts: Any, steps: int) -> Any:
        return functions.generate(self._graph, self._state, prompts, steps)

    def synchronize(self) -> None:
        jax.block_until_ready((self._state, self._moments))

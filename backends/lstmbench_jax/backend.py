"""The JAX backend: the model and the optimiser behind lstmbench's interface."""

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any, TypeAlias

import jax
import numpy as np

from lstmbench import Backend, Options, Parameters, State
from lstmbench_jax import model
from lstmbench_jax.optimiser import AdamState, adam_step, initial_state

Training: TypeAlias = tuple[model.Arrays, AdamState]
"""All that a training step changes: parameters and optimiser state."""


class JaxBackend(Backend):
    """Every call runs one executable, compiled for its shapes before or at its first use."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        if options.dtype == "float64":
            jax.config.update("jax_enable_x64", True)  # type: ignore[no-untyped-call]  # so in jax
        self._device = jax.devices(options.device)[0]
        self._executables: dict[Any, jax.stages.Compiled] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        try:
            jax.devices("cuda")
        except RuntimeError:  # this jaxlib has no such platform, or the machine no such device
            return ("cpu",)
        return ("cuda", "cpu")

    def describe(self) -> dict[str, str]:
        return {
            "jax": version("jax"),
            "jaxlib": version("jaxlib"),
            "path": f"XLA on {self._device.device_kind}: lax.scan, hand-written backward pass",
        }

    def load(self, parameters: Parameters) -> None:
        self._names = tuple(parameters)
        with jax.default_device(self._device):
            arrays = self._put(
                {k: np.asarray(v, self.options.dtype) for k, v in parameters.items()}
            )
            arrays = model.transpose_weights(arrays)
            self._training: Training = self._put((arrays, initial_state(arrays)))
        self._latest: Any = self._training
        shapes = {name: array.shape for name, array in parameters.items()}
        if shapes != self._shapes:
            self._executables.clear()
        self._shapes = shapes

    def _put(self, arrays: Any) -> Any:
        """Copy to the device, always: a CPU "device" may else share memory that donation reuses."""
        return jax.device_put(arrays, self._device, may_alias=False)

    def parameters(self) -> dict[str, np.ndarray]:
        arrays = model.transpose_weights(self._training[0])
        return {name: np.array(arrays[name]) for name in self._names}

    def compile(self, batch: int, length: int) -> None:
        tokens = self.stage(np.zeros((batch, length), np.uint8))
        for free_running in (False, True):
            self._train_executable(tokens, tokens, free_running)
        self._executable(model.forward, self._training[0], tokens)

    def stage(self, tokens: np.ndarray) -> Any:
        return self._put(tokens)

    def forward(self, inputs: Any, state: State | None = None) -> tuple[Any, State]:
        logits, after = self._run(model.forward, inputs, *(state or ()))
        return logits, after

    def loss_and_gradients(self, inputs: Any, targets: Any) -> tuple[Any, dict[str, Any]]:
        loss, gradients = self._run(model.canonical_loss_and_gradients, inputs, targets)
        return loss, {name: gradients[name] for name in self._names}  # jax sorts names

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        step = self._train_executable(inputs, targets, free_running)
        loss, self._training = self._latest = step(self._training, inputs, targets)
        return loss

    def generate(self, prompts: Any, steps: int) -> Any:
        return self._run(model.generate, prompts, steps=steps)

    def synchronize(self) -> None:
        # A device runs what it is given in order, so the latest is the last.
        for array in jax.tree.leaves(self._latest):
            array.block_until_ready()

    def _run(self, function: Callable[..., Any], *arrays: Any, **static: Any) -> Any:
        """`function` of the parameters and `arrays`."""
        parameters = self._training[0]
        executable = self._executable(function, parameters, *arrays, **static)
        self._latest = executable(parameters, *arrays)
        return self._latest

    def _train_executable(self, inputs: Any, targets: Any, free_running: bool) -> Any:
        return self._executable(
            train_step,
            self._training,
            inputs,
            targets,
            donate=True,
            free_running=free_running,
            options=self.options,
        )

    def _executable(
        self,
        function: Callable[..., Any],
        first: Any,
        *arrays: Any,
        donate: bool = False,
        **static: Any,
    ) -> jax.stages.Compiled:
        """`function`, its `static` arguments fixed, compiled for these shapes, once.

        The shapes in `first` are the loaded parameters', for which all were compiled. Donated, its
        memory is used again for the results.
        """
        key = function, *static.values(), *(array.shape for array in arrays)
        if key not in self._executables:
            jitted = jax.jit(partial(function, **static), donate_argnums=0 if donate else ())
            # XLA's own default on a GPU is TF32.
            with jax.default_matmul_precision("default" if self.options.tf32 else "highest"):
                self._executables[key] = jitted.lower(first, *arrays).compile()
        return self._executables[key]


def train_step(
    training: Training, inputs: jax.Array, targets: jax.Array, free_running: bool, options: Options
) -> tuple[jax.Array, Training]:
    """Loss (nats) of the batch and what one clipped step of Adam makes of `training`."""
    parameters, adam = training
    loss, gradients = model.loss_and_gradients(parameters, inputs, targets, free_running)
    return loss, adam_step(parameters, gradients, adam, options)

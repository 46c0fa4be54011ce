"""The NumPy backend: the model and the optimiser behind lstmbench's interface."""

from typing import Any

import numpy as np

from lstmbench import Backend, Options, Parameters, State, views
from lstmbench_numpy.model import Network
from lstmbench_numpy.optimiser import Adam
from lstmbench_numpy.threads import Threads


class NumpyBackend(Backend):
    """All parameters are views of one flat vector, so that clip and Adam are a few vector calls."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._layout: dict[str, tuple[int, ...]] = {}
        self._threads = Threads(options.threads)

    def describe(self) -> dict[str, str]:
        blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return {"numpy": np.__version__, "path": f"{blas['name']} {blas['version']}"}

    def load(self, parameters: Parameters) -> None:
        layout = {name: array.shape for name, array in parameters.items()}
        if layout != self._layout:
            self._layout = layout
            self._flat = np.empty(sum(a.size for a in parameters.values()), self.options.dtype)
            self._gradient = np.empty_like(self._flat)
            self._parameters = views(self._flat, layout)
            self._gradients = views(self._gradient, layout)
            self._networks: dict[tuple[int, int], Network] = {}
        for name, array in self._parameters.items():
            array[...] = parameters[name]
        self._adam = Adam(self._flat.size, self.options)

    def parameters(self) -> dict[str, np.ndarray]:
        return {name: array.copy() for name, array in self._parameters.items()}

    def _network(self, batch: int, length: int) -> Network:
        key = batch, length
        hidden = self._parameters["linear.weight"].shape[1]
        self._threads.use(8 * batch * hidden * hidden)  # of the product of one time step
        if key not in self._networks:
            self._networks[key] = Network(self._parameters, batch, length)
        return self._networks[key]

    def forward(self, inputs: Any, state: State | None = None) -> tuple[Any, State]:
        network = self._network(*inputs.shape)
        network.set_state(*(state or (None, None)))
        network.forward(inputs.T)
        return network.logits.swapaxes(0, 1).copy(), network.state()

    def loss_and_gradients(self, inputs: Any, targets: Any) -> tuple[Any, dict[str, Any]]:
        loss = self._loss_and_gradients(inputs, targets, free_running=False)
        return loss, {name: array.copy() for name, array in self._gradients.items()}

    def _loss_and_gradients(self, inputs: Any, targets: Any, free_running: bool) -> float:
        network = self._network(*inputs.shape)
        network.set_state(None, None)
        if free_running:
            network.forward_free(inputs[:, 0])
        else:
            network.forward(inputs.T)
        return network.loss_and_gradients(targets.T, self._gradients)

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        loss = self._loss_and_gradients(inputs, targets, free_running)
        self._adam.step(self._flat, self._gradient)
        return loss

    def generate(self, prompts: Any, steps: int) -> Any:
        batch, length = prompts.shape
        network = self._network(batch, length)
        network.set_state(None, None)
        network.forward(prompts.T)
        digits = np.empty((batch, steps), np.uint8)
        digits[:, 0] = network.logits[-1].argmax(-1)
        one = self._network(batch, 1)
        one.set_state(*network.state())
        for t in range(1, steps):
            one.forward(digits[None, :, t - 1])
            digits[:, t] = one.logits[0].argmax(-1)
            one.carry_state()
        return digits

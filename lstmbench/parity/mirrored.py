"""A plain implementation that sums in another order than the one it is made of."""

from typing import Any

import numpy as np

from lstmbench.interface import Backend, Parameters, State
from lstmbench.parity.values import Arrays


class Mirrored(Backend):
    """The same model with its hidden units and its batch in reverse order.

    Mathematically nothing changes; every sum is taken in another order, as an honest
    implementation may. All arrays are NumPy's, as the oracle's are.
    """

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend.options)
        self.backend = backend

    def load(self, parameters: Parameters) -> None:
        self.backend.load(_relabel(parameters))

    def parameters(self) -> Arrays:
        return _relabel(self.backend.parameters())

    def stage(self, tokens: np.ndarray) -> Any:
        return self.backend.stage(tokens[::-1])

    def forward(self, inputs: Any, state: State | None = None) -> tuple[Any, State]:
        start = (_turn(state[0]), _turn(state[1])) if state else None
        logits, (hidden, cell) = self.backend.forward(inputs, start)
        return logits[::-1], (_turn(hidden), _turn(cell))

    def loss_and_gradients(self, inputs: Any, targets: Any) -> tuple[Any, Arrays]:
        loss, gradients = self.backend.loss_and_gradients(inputs, targets)
        return loss, _relabel(gradients)

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        return self.backend.train_step(inputs, targets, free_running)

    def generate(self, prompts: Any, steps: int) -> Any:
        return self.backend.generate(prompts, steps)[::-1]


def _turn(state: np.ndarray) -> np.ndarray:
    """Return a state (L, B, H) with batch and hidden units in reverse order."""
    return state[:, ::-1, ::-1]


def _relabel(parameters: Parameters) -> Arrays:
    """Return canonical parameters of the same model with its hidden units in reverse order."""
    result = {}
    for name, array in parameters.items():
        if name.startswith("lstm"):
            gates = array.reshape(4, -1, *array.shape[1:])
            array = gates[:, ::-1].reshape(array.shape)
        if array.ndim == 2 and not name.endswith("0.weight_ih"):
            array = array[:, ::-1]
        result[name] = np.ascontiguousarray(array)
    return result

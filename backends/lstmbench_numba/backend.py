"""The Numba backend: kernels, workspaces and the optimiser behind lstmbench's interface."""

import os
from typing import Any

import numba
import numpy as np

from lstmbench import Backend, ModelSpec, Options, Parameters, State, views
from lstmbench_numba import model, optimiser, weights
from lstmbench_numba.vector import VECTOR_BYTES
from lstmbench_numba.workspace import Memory, workspace_layout

NO_DIGITS = np.empty((0, 0), np.uint8)


class NumbaBackend(Backend):
    """All parameters are views of one flat vector, laid out for the kernels; see `weights`."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        # Read when Numba starts its threads, here. Waiting for the next parallel loop, OpenMP's
        # threads spin by default, for milliseconds, which starves each other on a busy machine;
        # to wake a sleeping one takes some 10 us.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        self._threads = min(options.threads, numba.config.NUMBA_NUM_THREADS)
        numba.set_num_threads(self._threads)
        self._memories: dict[tuple[int, int], tuple[Memory, dict[str, np.ndarray]]] = {}

    def describe(self) -> dict[str, str]:
        return {
            "numba": numba.__version__,
            "path": f"prange over {self._threads} batch parts, {numba.threading_layer()}, "
            f"own {8 * VECTOR_BYTES}-bit SIMD products, no BLAS",
        }

    def load(self, parameters: Parameters) -> None:
        dtype = self.options.dtype
        self._sizes = weights.sizes(ModelSpec.of(parameters), dtype)
        count = weights.count(weights.weight_layout(self._sizes))
        self._flat, self._gradient = (weights.aligned(count, dtype) for _ in range(2))
        self._copies = weights.aligned(weights.count(weights.transpose_layout(self._sizes)), dtype)
        weights.fill(self._flat, parameters, self._sizes)
        optimiser.refresh(self._sizes, self._flat, self._copies, self._threads)
        self._moments = optimiser.Moments(count, self.options, self._threads)
        self._memories.clear()

    def compile(self, batch: int, length: int) -> None:
        """Run every kernel once: on the workspaces and the gradient, and Adam on copies."""
        digits = np.zeros((batch, length), np.uint8)
        self.forward(digits)
        self._differentiate(digits, digits, model.TEACHER_FORCED)
        self.generate(digits[:, :1], 1)
        self._gradient[...] = 0
        self._update(optimiser.Moments(self._flat.size, self.options, self._threads))

    def parameters(self) -> dict[str, np.ndarray]:
        return weights.canonical(self._flat, self._sizes)

    def _memory(self, batch: int, length: int) -> tuple[Memory, dict[str, np.ndarray]]:
        """Return the kernels' memory at (B, T), and views of the parts of its numbers."""
        key = batch, length
        if key not in self._memories:
            layout = workspace_layout(self._sizes, batch, length, self._threads)
            numbers = weights.aligned(weights.count(layout), self.options.dtype)
            tokens = np.zeros((2, length, batch), np.int64)
            memory = Memory(tokens, numbers, np.zeros(min(self._threads, batch)))
            self._memories[key] = memory, views(numbers, layout)
        return self._memories[key]

    def forward(self, inputs: Any, state: State | None = None) -> tuple[Any, State]:
        memory, parts = self._memory(*inputs.shape)
        s = self._sizes
        states = parts["hidden"][..., : s.hidden], parts["cell"][..., : s.hidden]
        memory.tokens[0] = inputs.T
        for array, initial in zip(states, state or (0, 0), strict=True):
            array[:, 0] = initial
        self._over_rows(model.CONTINUE if state else model.FORWARD, memory)
        hidden, cell = (array[:, -1].copy() for array in states)
        return parts["logits"][0, ..., : s.vocabulary].swapaxes(0, 1).copy(), (hidden, cell)

    def loss_and_gradients(self, inputs: Any, targets: Any) -> tuple[Any, dict[str, Any]]:
        loss = self._differentiate(inputs, targets, model.TEACHER_FORCED)
        return loss, weights.canonical(self._gradient, self._sizes)

    def _differentiate(self, inputs: Any, targets: Any, job: int) -> float:
        memory, parts = self._memory(*inputs.shape)
        memory.tokens[0] = inputs.T
        memory.tokens[1] = targets.T
        for name in ("hidden", "cell"):
            parts[name][:, 0] = 0
        self._over_rows(job, memory)
        model.over_columns(self._sizes, memory, self._gradient, self._threads)
        return float(memory.losses.sum()) / inputs.size

    def _over_rows(
        self,
        job: int,
        memory: Memory,
        prompts: np.ndarray = NO_DIGITS,
        digits: np.ndarray = NO_DIGITS,
    ) -> None:
        model.over_rows(job, self._sizes, self._flat, self._copies, memory, prompts, digits)

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        job = model.FREE_RUNNING if free_running else model.TEACHER_FORCED
        loss = self._differentiate(inputs, targets, job)
        self._update(self._moments)
        return loss

    def _update(self, moments: optimiser.Moments) -> None:
        optimiser.update(
            self._flat,
            self._gradient,
            moments.mean,
            moments.square,
            moments.norms,
            moments.advance(),
        )
        optimiser.refresh(self._sizes, self._flat, self._copies, self._threads)

    def generate(self, prompts: Any, steps: int) -> Any:
        memory, _ = self._memory(len(prompts), 1)
        digits = np.empty((len(prompts), steps), np.uint8)
        self._over_rows(model.GENERATE, memory, np.ascontiguousarray(prompts), digits)
        return digits

"""The Numba backend: kernels, workspaces and the optimiser behind lstmbench's interface."""

import os
from typing import Any, NamedTuple

import numba
import numpy as np

from lstmbench import Backend, ModelSpec, Options, Parameters, State
from lstmbench_numba import model, optimiser
from lstmbench_numba.memory import aligned, arrays_in, count
from lstmbench_numba.transposes import refresh, transpose_shapes
from lstmbench_numba.vectors import VECTOR_BYTES
from lstmbench_numba.weights import canonical, fill, sizes_of, weight_shapes
from lstmbench_numba.workspace import Buffers, Workspace, workspace_shapes

NO_DIGITS = np.empty((0, 0), np.uint8)


class Memory(NamedTuple):
    """What the kernels need at one (B, T): their buffers, and views of them for NumPy."""

    buffers: Buffers
    arrays: Workspace[np.ndarray]


class NumbaBackend(Backend):
    """An LSTM on the CPU. All parameters lie in one flat array, laid out as `weights` says."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        # OpenMP's threads by default spin for milliseconds while they wait for the next parallel
        # loop, and so take the cores of a busy machine from each other. Passive threads sleep,
        # and take some 10 us to wake. Numba reads this when it starts its threads, below.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        self._threads = min(options.threads, numba.config.NUMBA_NUM_THREADS)
        numba.set_num_threads(self._threads)
        self._memories: dict[tuple[int, int], Memory] = {}

    def describe(self) -> dict[str, str]:
        return {
            "numba": numba.__version__,
            "path": f"prange over {self._threads} batch parts, {numba.threading_layer()}, "
            f"own {8 * VECTOR_BYTES}-bit SIMD products, no BLAS",
        }

    def load(self, parameters: Parameters) -> None:
        dtype = self.options.dtype
        self._sizes = sizes_of(ModelSpec.of(parameters), dtype)
        size = count(weight_shapes(self._sizes))
        self._flat, self._gradient = aligned(size, dtype), aligned(size, dtype)
        self._copies = aligned(count(transpose_shapes(self._sizes)), dtype)
        fill(self._flat, parameters, self._sizes)
        refresh(self._sizes, self._flat, self._copies, self._threads)
        self._moments = optimiser.Moments(size, self.options, self._threads)
        self._memories.clear()

    def compile(self, batch: int, length: int) -> None:
        """Run every kernel once, at this (B, T).

        The parameters stay as they are: the gradient that Adam is given is zero.
        """
        digits = np.zeros((batch, length), np.uint8)
        self.forward(digits)
        self._differentiate(digits, digits, model.TEACHER_FORCED)
        self.generate(digits[:, :1], 1)
        self._gradient[...] = 0
        self._update(optimiser.Moments(self._flat.size, self.options, self._threads))

    def parameters(self) -> dict[str, np.ndarray]:
        return canonical(self._flat, self._sizes)

    def _memory(self, batch: int, length: int) -> Memory:
        """Return the memory for (B, T) = (batch, length), made by the first call."""
        key = batch, length
        if key not in self._memories:
            shapes = workspace_shapes(self._sizes, batch, length, self._threads)
            numbers = aligned(count(shapes), self.options.dtype)
            tokens = np.zeros((2, length, batch), np.int64)
            buffers = Buffers(tokens, numbers, np.zeros(self._threads))
            self._memories[key] = Memory(buffers, arrays_in(numbers, shapes))
        return self._memories[key]

    def forward(self, inputs: Any, state: State | None = None) -> tuple[Any, State]:
        s, (buffers, arrays) = self._sizes, self._memory(*inputs.shape)
        states = arrays.hidden[..., : s.hidden], arrays.cell[..., : s.hidden]
        buffers.tokens[0] = inputs.T
        for array, initial in zip(states, state or (0, 0), strict=True):
            array[:, 0] = initial
        self._over_rows(model.CONTINUE if state else model.FORWARD, buffers)
        hidden, cell = (array[:, -1].copy() for array in states)
        return arrays.logits[0, ..., : s.vocabulary].swapaxes(0, 1).copy(), (hidden, cell)

    def loss_and_gradients(self, inputs: Any, targets: Any) -> tuple[Any, dict[str, Any]]:
        loss = self._differentiate(inputs, targets, model.TEACHER_FORCED)
        return loss, canonical(self._gradient, self._sizes)

    def _differentiate(self, inputs: Any, targets: Any, job: int) -> float:
        """Return the mean loss, and write the gradients of all parameters to `_gradient`."""
        buffers, arrays = self._memory(*inputs.shape)
        buffers.tokens[0] = inputs.T
        buffers.tokens[1] = targets.T
        arrays.hidden[:, 0] = 0
        arrays.cell[:, 0] = 0
        self._over_rows(job, buffers)
        model.over_columns(self._sizes, buffers, self._gradient, self._threads)
        return float(buffers.losses.sum()) / inputs.size

    def _over_rows(
        self,
        job: int,
        buffers: Buffers,
        prompts: np.ndarray = NO_DIGITS,
        digits: np.ndarray = NO_DIGITS,
    ) -> None:
        parts = min(self._threads, buffers.tokens.shape[-1])
        model.over_rows(job, self._sizes, self._flat, self._copies, buffers, prompts, digits, parts)

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
        refresh(self._sizes, self._flat, self._copies, self._threads)

    def generate(self, prompts: Any, steps: int) -> Any:
        buffers = self._memory(len(prompts), 1).buffers
        digits = np.empty((len(prompts), steps), np.uint8)
        self._over_rows(model.GENERATE, buffers, np.ascontiguousarray(prompts), digits)
        return digits

"""The JAX backend: the model and the optimiser behind lstmbench's interface."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstmbench import Backend, ModelSpec, Options, Parameters, State, keep_freed_memory
from lstmbench_jax import model, training
from lstmbench_jax.executables import Effort, executable
from lstmbench_jax.optimiser import initial_state, settings_of

# A call is shared out among JAX's CPU devices, one a core, where that is faster: with fewer rows
# for each, dispatch costs more than it gains; with more hidden units, XLA's products use several
# cores by themselves and copying the weights takes too long. See docs/backends.md.
LEAST_ROWS = 32
MOST_HIDDEN = 128

# On a GPU a turn of a loop costs as much as its small kernels. Where it will be called often, as
# `compile` and many digits tell, a loop makes several steps in a turn: up to so many cells of all
# layers together, each of which is compiled by itself; and so many digits. All else is compiled
# with the least effort.
MOST_UNROLLED = 32
MOST_SMALL = 256  # hidden units, up to which it does not pay to try several kernels
UNROLLED_STEPS = 16
UNROLLED_DIGITS, MANY_DIGITS = 8, 64

with suppress(RuntimeError):  # JAX is already in use, with as many devices as it has
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    jax.config.update("jax_num_cpu_devices", cores or 1)  # type: ignore[no-untyped-call]


class Staged(NamedTuple):
    """Digits (B, T) on the first device; `parts` are its rows, shared out among the devices."""

    whole: jax.Array
    parts: tuple[jax.Array, ...]


class Shared(NamedTuple):
    """An array of which each device has some rows, in order; rows are counted along `axis`."""

    parts: tuple[jax.Array, ...]
    axis: int


class JaxBackend(Backend):
    """All work is done by executables, compiled for their shapes before or at their first use."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        keep_freed_memory()
        if options.threads == 1:
            # Else a thread of XLA's own takes the memory, which has no room for large blocks.
            jax.config.update("jax_cpu_enable_async_dispatch", False)  # type: ignore[no-untyped-call]
        if options.dtype == "float64":
            jax.config.update("jax_enable_x64", True)  # type: ignore[no-untyped-call]  # so in jax
        devices = jax.devices(options.device)
        self._devices = devices[: options.threads if options.device == "cpu" else 1]
        self._device = devices[0]
        self._bfloat16 = options.products == "bfloat16"
        # XLA's own default on a GPU is TF32.
        self._matmul_precision = "default" if options.tf32 or self._bfloat16 else "highest"
        self._settings = self._put(settings_of(options))
        self._often: set[tuple[int, ...]] = set()

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        try:
            jax.devices("cuda")
        except RuntimeError:  # this jaxlib has no such platform, or the machine no such device
            return ("cpu",)
        return ("cuda", "cpu")

    def describe(self) -> dict[str, str]:
        loop = "lax.scan" if self._on_cpu else "lax.scan, unrolled at the run's shape"
        result = {
            "jax": version("jax"),
            "jaxlib": version("jaxlib"),
            "path": f"XLA on {self._device.device_kind}: {loop}, hand-written backward pass; "
            f"batches shared among up to {len(self._devices)} devices",
        }
        if self._bfloat16:
            result["computed in"] = "bfloat16 products, summed in float32; all else float32"
        elif self.options.tf32 and not self._on_cpu:
            result["computed in"] = "TF32 products, else float32"
        return result

    @property
    def _on_cpu(self) -> bool:
        return bool(self._device.platform == "cpu")

    def load(self, parameters: Parameters) -> None:
        self._names = tuple(parameters)
        with jax.default_device(self._device):
            # Copies, as JAX may go on using the memory of what it is given.
            arrays = self._put({k: np.array(v, self.options.dtype) for k, v in parameters.items()})
            arrays = model.transpose_weights(arrays)
            state = training.Training(arrays, initial_state(arrays))
            self._move_to(self._put(state))
        self._model = ModelSpec.of(parameters)

    def _put(self, arrays: Any, device: jax.Device | None = None) -> Any:
        """Copy to the device, always: a CPU "device" may else share memory that donation reuses."""
        return jax.device_put(arrays, device or self._device, may_alias=False)

    def _move_to(self, state: training.Training) -> None:
        self._training = state
        self._latest: Any = state
        self._copies = {self._device: state.parameters}

    def parameters(self) -> dict[str, np.ndarray]:
        arrays = model.transpose_weights(self._training.parameters)
        return {name: np.array(arrays[name]) for name in self._names}

    def compile(self, batch: int, length: int) -> None:
        self._often.add((batch, length))
        tokens = self.stage(np.zeros((batch, length), np.uint8))
        parameters = self._training.parameters
        if self._shares(tokens):
            for free_running in (False, True):
                self._update_executable(self._slopes(tokens, tokens, free_running))
            self._on_devices(model.forward, tokens.parts, form=self._form(1))
            return
        with ThreadPoolExecutor() as pool:  # XLA compiles outside of Python's lock
            made = [
                pool.submit(self._train_executable, tokens, tokens, free_running)
                for free_running in (False, True)
            ]
            form = self._form_of(tokens.whole)
            made.append(
                pool.submit(self._executable, model.forward, parameters, tokens.whole, form=form)
            )
        for one in made:
            one.result()

    def stage(self, tokens: np.ndarray) -> Staged:
        count = min(len(self._devices), len(tokens) // LEAST_ROWS)
        return Staged(self._put(tokens), self._split(tokens, count, 0) if count > 1 else ())

    def _split(self, array: np.ndarray, count: int, axis: int) -> tuple[jax.Array, ...]:
        """Return `count` parts of the rows along `axis`, one on each device."""
        return tuple(map(self._put, np.array_split(array, count, axis), self._devices))

    def forward(self, inputs: Staged, state: State | None = None) -> tuple[Any, State]:
        if not self._shares(inputs):
            form = self._form_of(inputs.whole)
            logits, after = self._run(model.forward, inputs.whole, *(state or ()), form=form)
            return logits, after
        states = [self._share(array, len(inputs.parts)) for array in state or ()]
        self._latest = self._on_devices(model.forward, inputs.parts, *states, form=self._form(1))
        hidden, cell = (tuple(after[n] for _, after in self._latest) for n in (0, 1))
        logits = tuple(logits for logits, _ in self._latest)
        return Shared(logits, 0), (Shared(hidden, 1), Shared(cell, 1))

    def loss_and_gradients(self, inputs: Staged, targets: Staged) -> tuple[Any, dict[str, Any]]:
        if self._shares(inputs):
            slopes = self._slopes(inputs, targets, free_running=False)
            loss, gradients = self._run(training.canonical_gradients, *slopes)
        else:
            function = model.canonical_loss_and_gradients
            form = self._form_of(inputs.whole)
            loss, gradients = self._run(function, inputs.whole, targets.whole, form=form)
        return loss, {name: gradients[name] for name in self._names}  # jax sorts names

    def train_step(self, inputs: Staged, targets: Staged, free_running: bool = False) -> Any:
        if self._shares(inputs):
            slopes = self._slopes(inputs, targets, free_running)
            update = self._update_executable(slopes)
            self._latest = update(self._training, self._settings, *slopes)
        else:
            step = self._train_executable(inputs, targets, free_running)
            self._latest = step(self._training, inputs.whole, targets.whole, self._settings)
        loss, moved = self._latest
        self._move_to(moved)
        return loss

    def generate(self, prompts: Staged, steps: int) -> Any:
        form = self._form(UNROLLED_DIGITS if steps >= MANY_DIGITS else 1)
        return self._run(model.generate, prompts.whole, steps=steps, form=form)

    def fetch(self, array: Any) -> np.ndarray:
        if isinstance(array, Shared):
            return np.concatenate(array.parts, axis=array.axis)
        return np.asarray(array.whole if isinstance(array, Staged) else array)

    def synchronize(self) -> None:
        # A device runs what it is given in order, so the latest is the last.
        for array in jax.tree.leaves(self._latest):
            array.block_until_ready()

    def elementary(self, work: str, size: int) -> Callable[[], Any] | None:
        function: Callable[..., Any]
        if work == "product":  # of random numbers, as zeros take less power and time
            dtype = "bfloat16" if self._bfloat16 else self.options.dtype
            random = np.random.default_rng(0)
            function = jnp.matmul
            arrays = [self._put(random.random((size, size)).astype(dtype)) for _ in range(2)]
        elif work == "copy":  # a plain copy may be left out
            function, arrays = jnp.invert, [self._put(np.zeros(size, np.uint8))]
        else:
            function, arrays = jnp.negative, [self._put(np.zeros(1, np.float32))]
        with jax.default_matmul_precision(self._matmul_precision):
            compiled = jax.jit(function).lower(*arrays).compile()

        def start() -> None:
            self._latest = compiled(*arrays)

        return start

    def device_bytes(self) -> int | None:
        held = self._device.memory_stats()
        return held["peak_bytes_in_use"] if held else None

    def _form(self, unroll: int) -> model.Form:
        return model.Form(1 if self._on_cpu else unroll, self._bfloat16)

    def _form_of(self, tokens: jax.Array) -> model.Form:
        """Return the form for batches of a shape: unrolled where it will be called often."""
        most = max(2, min(UNROLLED_STEPS, MOST_UNROLLED // self._model.layers))
        return self._form(most if tokens.shape in self._often else 1)

    def _shares(self, inputs: Staged) -> bool:
        """Return whether the batch is shared out among devices."""
        return bool(inputs.parts) and self._model.hidden <= MOST_HIDDEN

    def _share(self, state: Any, count: int) -> tuple[jax.Array, ...]:
        """Return a state (L, B, H) in `count` parts, one on each device."""
        if isinstance(state, Shared):
            return state.parts
        return self._split(self.fetch(state), count, 1)

    def _on_devices(
        self, function: Callable[..., Any], *arrays: Sequence[jax.Array], **static: Any
    ) -> list[Any]:
        """Call `function` on each device, with its part of `arrays`, and return what comes."""
        results = []
        for device, *given in zip(self._devices, *arrays, strict=False):
            if device not in self._copies:
                self._copies[device] = self._put(self._training.parameters, device)
            parameters = self._copies[device]
            executable = self._executable(function, parameters, *given, **static)
            results.append(executable(parameters, *given))
        return results

    def _slopes(self, inputs: Staged, targets: Staged, free_running: bool) -> list[jax.Array]:
        """Return each device's share of loss and gradients, brought to the first device.

        Not by a collective: its executables wait for each other, in a pool of few threads, where
        they have been seen to wait for ever.
        """
        parts, batch = (inputs.parts, targets.parts), len(inputs.whole)
        slopes = self._on_devices(
            training.slope, *parts, free_running=free_running, batch=batch, form=self._form(1)
        )
        return [jax.device_put(slope, self._device) for slope in slopes]

    def _update_executable(self, slopes: list[jax.Array]) -> Any:
        return self._executable(
            training.update, self._training, self._settings, *slopes, donate=True
        )

    def _run(self, function: Callable[..., Any], *arrays: Any, **static: Any) -> Any:
        """Call `function` with the parameters and `arrays`."""
        parameters = self._training.parameters
        executable = self._executable(function, parameters, *arrays, **static)
        self._latest = executable(parameters, *arrays)
        return self._latest

    def _train_executable(self, inputs: Staged, targets: Staged, free_running: bool) -> Any:
        return self._executable(
            training.step,
            self._training,
            inputs.whole,
            targets.whole,
            self._settings,
            donate=True,
            free_running=free_running,
            form=self._form_of(inputs.whole),
        )

    def _executable(
        self,
        function: Callable[..., Any],
        first: Any,
        *arrays: Any,
        donate: bool = False,
        **static: Any,
    ) -> jax.stages.Compiled:
        """Return `function`, its `static` arguments fixed, compiled for these shapes, once.

        The shapes in `first` are the loaded parameters'. Donated, its memory is used again.
        """
        shapes = (array.shape for array in arrays)
        precision = self.options.dtype, self._matmul_precision
        effort = self._effort(static.get("form", model.Form()))
        key = function, *static.values(), self._model, precision, effort, arrays[0].device, *shapes
        return executable(
            key, function, (first, *arrays), donate, self._matmul_precision, effort, **static
        )

    def _effort(self, form: model.Form) -> Effort:
        """Return what pays for a form: those that are called often are unrolled."""
        if form.unroll == 1:
            return "quick"
        return "small" if self._model.hidden <= MOST_SMALL else "large"

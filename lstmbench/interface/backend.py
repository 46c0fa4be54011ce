"""The class that backends derive from, and what it is given.

Shapes are written with B = batch, T = time steps, V = vocabulary (digits: 10), L = layers,
H = hidden size. NumPy is not loaded until a method of it is needed: `lstmbench list` needs none.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from lstmbench.interface.model import OptimiserSpec, Precision, Products

if TYPE_CHECKING:
    import numpy as np

INTERFACE = 2
"""The version of what plugins see; it grows when one written for it could not run on an older."""

CAPABILITIES = ("forward", "loss_and_gradients", "train_step", "generate")

ElementaryWork: TypeAlias = Literal["product", "copy", "nothing"]
"""What the rates of a device are measured by."""

Parameters: TypeAlias = Mapping[str, "np.ndarray"]
"""Canonical parameters by name; see `lstmbench.interface.parameters` for their formulas."""

State: TypeAlias = tuple[Any, Any]
"""Hidden and cell state (h, c) as the backend's own arrays, each (L, B, H)."""


@dataclass(frozen=True)
class BackendInfo:
    """What a plugin says about a backend before anything heavy is imported.

    `factory` is "package.module:Class", resolved in the worker. `requires` are import names and
    `extra` is the extra of the plugin's own distribution that installs them. `devices` are the
    kinds of device that it can use where they exist, `dtypes` what it computes in: "float32",
    "float64", "bfloat16". `interface` is the INTERFACE that it was written for; where that is newer
    than the one installed, its plugin is listed as broken.
    """

    name: str
    factory: str
    requires: tuple[str, ...] = ()
    extra: str = ""
    summary: str = ""
    devices: tuple[str, ...] = ("cpu",)
    dtypes: tuple[str, ...] = ("float32", "float64")
    interface: int = 1


@dataclass(frozen=True)
class Options:
    """How a backend is to compute: given to its constructor, which must respect every field.

    `dtype` is that of all arrays at the interface, "float32" or "float64". `products` says what the
    factors of matrix products are rounded to: "bfloat16", which must be; "tf32", which may be; or
    nothing. They are summed in `dtype`. `clip_norm` bounds the global L2 norm of all gradients.
    Adam follows Kingma and Ba, https://arxiv.org/abs/1412.6980, algorithm 1, with `epsilon` added
    outside the root.
    """

    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 1
    products: Products = ""
    learning_rate: float = 1e-3
    clip_norm: float = 5.0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    @property
    def optimiser(self) -> OptimiserSpec:
        """The settings of a training step, as one value."""
        return OptimiserSpec(
            self.learning_rate, self.clip_norm, self.beta1, self.beta2, self.epsilon
        )

    @property
    def precision(self) -> Precision:
        """The arithmetic that is asked for, as one value."""
        return Precision(self.dtype, self.products)

    @property
    def tf32(self) -> bool:
        """Whether the factors of products may be rounded to TF32."""
        return self.products == "tf32"


class Backend(ABC):
    """One implementation of the model; its methods are the things that are timed.

    A method that is left out (of `forward`, `loss_and_gradients`, `train_step`, `generate`) is
    not claimed: what needs it is skipped and said to be so. Arrays that go in were made by
    `stage`; those that come out may be the library's own and may still be being computed.
    No method may change its inputs, and what one returned stays as it is when others are called.
    Logits, states and gradients are of `options.dtype`.
    """

    def __init__(self, options: Options) -> None:
        self.options = options

    @classmethod
    def capabilities(cls) -> frozenset[str]:
        """Return the names in CAPABILITIES that this class defines."""
        return frozenset(n for n in CAPABILITIES if getattr(cls, n) is not getattr(Backend, n))

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        """Return the kinds of device usable here and now, best first."""
        return ("cpu",)

    def describe(self) -> dict[str, str]:
        """Return the library versions and which code path runs, for the report."""
        return {}

    @abstractmethod
    def load(self, parameters: Parameters) -> None:
        """Take a copy of the canonical parameters and forget all optimiser state."""

    @abstractmethod
    def parameters(self) -> dict[str, np.ndarray]:
        """Return a copy of the current parameters, canonical, in `options.dtype`."""

    def compile(self, batch: int, length: int) -> None:  # noqa: B027  # optional, not forgotten
        """Compile whatever (B, T) = (batch, length) needs, so that the first step need not.

        Parameters and optimiser state stay as they are.
        """

    def stage(self, tokens: np.ndarray) -> Any:
        """Bring digits (B, T), uint8, to the device. Never timed as part of a step."""
        return tokens

    def forward(self, inputs: Any, state: State | None = None) -> tuple[Any, State]:
        """Return logits (B, T, V) and the state after the last step, from a zero state if None."""
        raise NotImplementedError

    def loss_and_gradients(self, inputs: Any, targets: Any) -> tuple[Any, dict[str, Any]]:
        """Return mean cross-entropy in nats (scalar) and its gradient for each parameter."""
        raise NotImplementedError

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        """Clip to `clip_norm`, make one Adam step, and return the loss before it (scalar).

        Free-running: only `inputs[:, 0]` is used; every later input is the model's own argmax,
        without a gradient through it. The targets stay what they are.
        """
        raise NotImplementedError

    def generate(self, prompts: Any, steps: int) -> Any:
        """Return the greedy digits (B, steps) that follow the prompts (B, P), from a zero state."""
        raise NotImplementedError

    def fetch(self, array: Any) -> np.ndarray:
        """Return, as NumPy, any array that a method returned, once it has been computed."""
        import numpy as np

        return np.asarray(array)

    def elementary(self, work: ElementaryWork, size: int) -> Callable[[], Any] | None:
        """Return a function that starts one piece of elementary work on the device, or None.

        It does not wait for it, and `synchronize` does. From the times of many calls comes the
        roofline of devices other than the CPU, and of precisions that NumPy does not have.
        "product": one product of two matrices (size, size), their factors rounded as the options
        say; "copy": a copy of `size` bytes; "nothing": the smallest operation of the library that
        does something.
        """
        return None

    def device_bytes(self) -> int | None:
        """Return the most bytes that arrays have taken on the device, if the library counts them.

        Where it is a CPU, it need not.
        """
        return None

    def synchronize(self) -> None:  # noqa: B027  # nothing to wait for unless overridden
        """Return when all device work has been done."""

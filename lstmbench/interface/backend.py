"""What a backend and a task are: the classes that plugins derive from.

Shapes are written with B = batch, T = time steps, V = vocabulary (digits: 10), L = layers,
H = hidden size. NumPy is not loaded until a method of it is needed: `lstmbench list` needs none.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np

INTERFACE = 1
"""The version of what plugins see; it grows when one written for it could not run on an older."""

VOCABULARY = 10
CAPABILITIES = ("forward", "loss_and_gradients", "train_step", "generate")

Parameters: TypeAlias = Mapping[str, "np.ndarray"]
"""Canonical parameters by name; see `lstmbench.parameters` for names, shapes and formulas."""

State: TypeAlias = tuple[Any, Any]
"""Hidden and cell state (h, c) as the backend's own arrays, each (L, B, H)."""

Split: TypeAlias = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class BackendInfo:
    """What a plugin says about a backend before anything heavy is imported.

    `factory` is "package.module:Class", resolved in the worker. `requires` are import names and
    `extra` is the extra of the plugin's own distribution that installs them. `devices` are the
    kinds of device that it can use where they exist, `dtypes` what it computes in. `interface` is
    the INTERFACE that it was written for; where that is newer than the one installed, its plugin is
    listed as broken.
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
class TaskInfo:
    """What a plugin says about a task; `factory` is "package.module:Class"."""

    name: str
    factory: str
    summary: str = ""


@dataclass(frozen=True)
class Options:
    """How a backend is to compute: given to its constructor, and every field is to be respected.

    `clip_norm` bounds the global L2 norm of all gradients. Adam follows Kingma and Ba,
    https://arxiv.org/abs/1412.6980, algorithm 1, with `epsilon` added outside the root.
    """

    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 1
    tf32: bool = False
    learning_rate: float = 1e-3
    clip_norm: float = 5.0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8


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
        """The names in CAPABILITIES that this class defines."""
        return frozenset(n for n in CAPABILITIES if getattr(cls, n) is not getattr(Backend, n))

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        """Kinds of device usable here and now, best first."""
        return ("cpu",)

    def describe(self) -> dict[str, str]:
        """Library versions and which code path runs, for the report."""
        return {}

    @abstractmethod
    def load(self, parameters: Parameters) -> None:
        """Take a copy of the canonical parameters and forget all optimiser state."""

    @abstractmethod
    def parameters(self) -> dict[str, np.ndarray]:
        """A copy of the current parameters, canonical, in `options.dtype`."""

    def compile(self, batch: int, length: int) -> None:  # noqa: B027  # optional, not forgotten
        """Compile whatever (B, T) = (batch, length) needs, so that the first step need not."""

    def stage(self, tokens: np.ndarray) -> Any:
        """Bring digits (B, T), uint8, to the device. Never timed as part of a step."""
        return tokens

    def forward(self, inputs: Any, state: State | None = None) -> tuple[Any, State]:
        """Logits (B, T, V) and the state after the last step, from a zero state if None."""
        raise NotImplementedError

    def loss_and_gradients(self, inputs: Any, targets: Any) -> tuple[Any, dict[str, Any]]:
        """Mean cross-entropy in nats (scalar) and its gradient for each canonical parameter."""
        raise NotImplementedError

    def train_step(self, inputs: Any, targets: Any, free_running: bool = False) -> Any:
        """Loss before the update (scalar); then clip to `clip_norm` and one Adam step.

        Free-running: only `inputs[:, 0]` is used; every later input is the model's own argmax,
        without a gradient through it. The targets stay what they are.
        """
        raise NotImplementedError

    def generate(self, prompts: Any, steps: int) -> Any:
        """Greedy digits (B, steps) that follow the prompts (B, P), from a zero state."""
        raise NotImplementedError

    def fetch(self, array: Any) -> np.ndarray:
        """Any array that a method returned, as NumPy, once it has been computed."""
        import numpy as np

        return np.asarray(array)

    def synchronize(self) -> None:  # noqa: B027  # nothing to wait for unless overridden
        """Return when all device work has been done."""


class Task(ABC):
    """A source of digit sequences whose process, and so whose ceiling, is known exactly.

    `length` is T, the number of targets in a sequence.
    """

    def __init__(self, length: int) -> None:
        self.length = length

    @property
    @abstractmethod
    def bayes_accuracy(self) -> float:
        """Expected accuracy of the best possible guess, over the scored positions."""

    @property
    @abstractmethod
    def entropy_floor(self) -> float:
        """Expected cross-entropy of the process itself in nats, over the scored positions."""

    @abstractmethod
    def sequences(self, seed: int, split: Split, count: int, epoch: int = 0) -> np.ndarray:
        """Digits (count, T + 1), uint8: x[:, :-1] is the input and x[:, 1:] the target."""

    @abstractmethod
    def probabilities(self, sequences: np.ndarray) -> np.ndarray:
        """Exact P(x[t+1] | x[0..t]) of the process, (n, T, V) float64, for sequences (n, T + 1)."""

    def scored(self) -> np.ndarray:
        """Which of the T targets count, (T,) bool: those that could be known at all."""
        import numpy as np

        return np.ones(self.length, dtype=bool)

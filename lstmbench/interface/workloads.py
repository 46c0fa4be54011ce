"""The workloads: everything that is timed, each described in one class.

A workload says which method of a backend it calls, on which inputs, which named arrays a call
returns, and how its time is reported. To add one, write a class and put it into
`WORKLOADS`; nothing else lists workloads.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, final

import numpy as np

from lstmbench.interface import operations
from lstmbench.interface.backend import Backend, Parameters
from lstmbench.interface.model import VOCABULARY, BatchShape, ModelSpec, Precision
from lstmbench.interface.operations import Work
from lstmbench.interface.parameters import draw_varied

Arrays = dict[str, np.ndarray]

GENERATED_DIGITS = 64
"""Digits that one call of the workload "generate" writes."""
PROMPT_DIGITS = 8
"""Digits of the prompt before them."""


class Workload(ABC):
    """One kind of work that is timed. A call takes one batch, or for some one prompt."""

    name: ClassVar[str]
    key: ClassVar[int]
    """The spawn key of its inputs; unique, and not 0, the key of the tasks' data."""
    version: ClassVar[int] = 1
    """Grows when what is timed becomes something else: times of two versions are not compared."""
    capability: ClassVar[str] = ""
    """The method of `Backend` that must be claimed; empty for what every backend has."""
    title: ClassVar[str]
    """What one unit of it is called in a report."""
    metric: ClassVar[str]
    """The name of its time in summary.csv and in `lstmbench.load`; seconds of one unit."""
    display_unit: ClassVar[str] = "ms"
    headline: ClassVar[bool] = False
    """Whether it is an answer in itself, which `compare` goes by, and not a part of another."""
    units_per_call: ClassVar[int] = 1
    """How many units, such as generated digits, one call does."""
    timed_apart: ClassVar[bool] = False
    """Whether each call is timed by itself, as somebody waits for its result."""
    carries_over: ClassVar[bool] = False
    """Whether the result of a call depends on the calls before it."""
    verified: ClassVar[bool] = True
    """Whether what a call returns is compared with the oracle."""
    greedy: ClassVar[bool] = False
    """Whether a call returns digits that the model chose after the prompt that went in."""

    def parameters(self, given: Parameters, random: np.random.Generator) -> Parameters:
        """Return the parameters that a block starts from; `given` are the run's own."""
        return given

    def inputs(self, random: np.random.Generator, calls: int, shape: BatchShape) -> np.ndarray:
        """Return digits for each call, (calls, B, T + 1) uint8; x[:-1] goes in, x[1:] comes out."""
        size = (calls, shape.batch, shape.length + 1)
        return random.integers(0, VOCABULARY, size, dtype=np.uint8)

    def stage(self, backend: Backend, sequences: np.ndarray) -> Any:
        """Bring the digits of one call to the device, before the clock starts."""
        return backend.stage(sequences[:, :-1]), backend.stage(sequences[:, 1:])

    @abstractmethod
    def call(self, backend: Backend, staged: Any) -> dict[str, Any]:
        """Make one call and return its results by name; they may still be being computed."""

    def fetched(self, names: Sequence[str], pick: int) -> Sequence[str]:
        """Return which results of a call are brought to the host inside the clock.

        `pick` is a random number of up to 64 bits, drawn after the call was made.
        """
        return names

    @abstractmethod
    def least_work(self, model: ModelSpec, shape: BatchShape, precision: Precision) -> Work:
        """Return the least operations and bytes of one unit; zeros where there is no bound."""

    @final
    @property
    def display_scale(self) -> float:
        """What seconds are multiplied by to have them in `display_unit`."""
        return {"ms": 1e3, "µs": 1e6}[self.display_unit]


class Stage(Workload):
    """Bring inputs and targets of one batch to the device."""

    name, key = "stage", 1
    title, metric = "staged batch", "seconds_per_staged_batch"
    verified = False

    def stage(self, backend: Backend, sequences: np.ndarray) -> Any:
        return sequences

    def call(self, backend: Backend, staged: Any) -> dict[str, Any]:
        inputs, targets = super().stage(backend, staged)
        return {"inputs": inputs, "targets": targets}

    def fetched(self, names: Sequence[str], pick: int) -> Sequence[str]:
        return ()

    def least_work(self, model: ModelSpec, shape: BatchShape, precision: Precision) -> Work:
        return Work(0, 0)


class Forward(Workload):
    """Compute the logits of one batch."""

    name, key, capability = "forward", 2, "forward"
    title, metric = "forward pass", "seconds_per_forward_pass"
    headline = True

    def call(self, backend: Backend, staged: Any) -> dict[str, Any]:
        return {"logits": backend.forward(staged[0])[0]}

    def least_work(self, model: ModelSpec, shape: BatchShape, precision: Precision) -> Work:
        return operations.forward(model, shape, precision)


class Gradients(Workload):
    """Compute the loss of one batch and its gradients.

    Fetched are the loss and one gradient, which is drawn once the call has been made.
    """

    name, key, capability = "gradients", 3, "loss_and_gradients"
    title, metric = "loss and gradients", "seconds_per_loss_and_gradients"
    version = 2

    def call(self, backend: Backend, staged: Any) -> dict[str, Any]:
        loss, gradients = backend.loss_and_gradients(*staged)
        return {"loss": loss, **gradients}

    def fetched(self, names: Sequence[str], pick: int) -> Sequence[str]:
        gradients = sorted(set(names) - {"loss"})
        return "loss", gradients[pick % len(gradients)]

    def least_work(self, model: ModelSpec, shape: BatchShape, precision: Precision) -> Work:
        return operations.gradients(model, shape, precision)


class Train(Workload):
    """Make one training step on one batch: loss, gradients, clipping, Adam."""

    name, key, capability = "train", 4, "train_step"
    title, metric = "training step", "seconds_per_step"
    headline = carries_over = True

    def call(self, backend: Backend, staged: Any) -> dict[str, Any]:
        return {"loss": backend.train_step(*staged)}

    def least_work(self, model: ModelSpec, shape: BatchShape, precision: Precision) -> Work:
        return operations.training_step(model, shape, precision)


class Generate(Workload):
    """Generate digits greedily after a prompt, one sequence at a time.

    Each block has parameters of its own, with which digits vary: with those of an untrained model,
    all prompts would give one and the same digit, over and over.
    """

    name, key, capability = "generate", 5, "generate"
    title, metric = "generated digit", "seconds_per_generated_digit"
    version = 2
    display_unit = "µs"
    headline = timed_apart = greedy = True
    units_per_call = GENERATED_DIGITS

    def parameters(self, given: Parameters, random: np.random.Generator) -> Parameters:
        dtype = str(given["linear.weight"].dtype)
        return draw_varied(random, ModelSpec.of(given), dtype)

    def inputs(self, random: np.random.Generator, calls: int, shape: BatchShape) -> np.ndarray:
        """Return a prompt for each call, (calls, 1, PROMPT_DIGITS) uint8."""
        return random.integers(0, VOCABULARY, (calls, 1, PROMPT_DIGITS), dtype=np.uint8)

    def stage(self, backend: Backend, sequences: np.ndarray) -> Any:
        return backend.stage(sequences)

    def call(self, backend: Backend, staged: Any) -> dict[str, Any]:
        return {"digits": backend.generate(staged, GENERATED_DIGITS)}

    def least_work(self, model: ModelSpec, shape: BatchShape, precision: Precision) -> Work:
        return operations.generated_digit(model, precision, PROMPT_DIGITS, GENERATED_DIGITS)


WORKLOADS: dict[str, Workload] = {
    workload.name: workload for workload in (Stage(), Forward(), Gradients(), Train(), Generate())
}
"""Every workload by name, in the order in which they are timed in a round."""

MAIN = WORKLOADS["train"]
"""The workload that contenders are ranked by, and whose intervals end the timing."""


class Part(NamedTuple):
    """What is left of one workload's time when another, which it contains, is taken off."""

    name: str
    title: str
    whole: Workload
    without: Workload

    @property
    def metric(self) -> str:
        return f"{self.name}_seconds"


PARTS = (
    Part("backward", "backward", WORKLOADS["gradients"], WORKLOADS["forward"]),
    Part("optimiser", "clip + Adam", WORKLOADS["train"], WORKLOADS["gradients"]),
)
"""Parts of a training step that are not timed by themselves."""

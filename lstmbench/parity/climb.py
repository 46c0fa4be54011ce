"""One backend at one case: what the rungs of the ladder work with."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lstmbench.interface import Backend, OptimiserSpec, Options, Parameters
from lstmbench.parity.cases import Case
from lstmbench.parity.values import Arrays

BATCHES = 12
"""How many batches are staged; the longest rung, a trajectory, takes one for each step."""
LARGE_STEP = OptimiserSpec(learning_rate=1e22, beta1=0.0, beta2=0.0, epsilon=1e16)
"""Settings that make a step of Adam proportional to the clipped gradient, and far larger than the
parameters: compared with this epsilon, the root of the second moment is nothing."""

Make = Callable[[Options], Backend]
"""What makes a backend: its class, or a function."""


class Climb:
    """A backend at a case. Every rung starts from fresh copies of parameters and inputs.

    `initial` are the case's own parameters unless given. Raises what the backend's constructor or
    its first `load` raises.
    """

    def __init__(
        self, make: Make, options: Options, case: Case, initial: Parameters | None = None
    ) -> None:
        self.make, self.case = make, case
        self.options = case.options(options)
        self.backend = make(self.options)
        self.initial = initial or case.parameters(options.dtype)
        self.start()

    def start(self) -> None:
        """Load the initial parameters and stage all batches anew."""
        self.load(self.backend)
        self.sequences = self.case.tokens(BATCHES)
        self.staged = self.stage(self.sequences)

    def inputs_changed(self) -> bool:
        """Return whether the digits that were staged are no longer what they were."""
        return not np.array_equal(self.sequences, self.case.tokens(BATCHES))

    def load(self, backend: Backend) -> None:
        """Load copies of the initial parameters into a backend."""
        backend.load({name: array.copy() for name, array in self.initial.items()})

    def stage(self, sequences: np.ndarray) -> list[tuple[Any, Any]]:
        """Return staged inputs and targets of each batch of `sequences` (n, B, T + 1)."""
        return [(self.backend.stage(x[:, :-1]), self.backend.stage(x[:, 1:])) for x in sequences]

    def fetch(self, arrays: Mapping[str, Any]) -> Arrays:
        """Return copies on the host of named arrays that a method returned."""
        return {name: np.array(self.backend.fetch(a)) for name, a in arrays.items()}

    def stack(self, results: list[Any]) -> np.ndarray:
        """Return what several calls returned as one array.

        All are fetched only now: no call may have overwritten another's result.
        """
        return np.stack([np.array(self.backend.fetch(result)) for result in results])

    def moves(self, losses: list[Any]) -> Arrays:
        """Return how far each parameter has moved since it was loaded, and the losses so far."""
        stacked = self.stack(losses)
        after = self.backend.parameters()
        moved = {name: after[name] - before for name, before in self.initial.items()}
        return moved | {"loss": stacked}

    def large_step(self, clip_norm: float) -> Arrays:
        """Return how far one step moves each parameter (float64) with the options LARGE_STEP.

        The moves are proportional to the clipped gradient.
        """
        optimiser = replace(LARGE_STEP, clip_norm=clip_norm)
        other = self.make(replace(self.options, **vars(optimiser)))
        self.load(other)
        other.train_step(*self.staged[0])
        after = other.parameters()
        return {
            name: after[name].astype(np.float64) - before for name, before in self.initial.items()
        }

"""One backend at one case: what the rungs of the ladder work with."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lstmbench.interface import BatchShape, OptimiserSpec, Options, Parameters
from lstmbench.parity.cases import Case
from lstmbench.parity.tolerances import loss_of_step
from lstmbench.parity.values import Arrays
from lstmbench.parity.variants import Change, Make, unchanged

BATCHES = 12
"""How many batches are staged; the longest rung, a trajectory, takes one for each step."""
LARGE_STEP = OptimiserSpec(learning_rate=1e22, beta1=0.0, beta2=0.0, epsilon=1e16)
"""Settings that make a step of Adam proportional to the clipped gradient, and far larger than the
parameters: compared with this epsilon, the root of the second moment is nothing."""


class Climb:
    """A backend at a case. Every rung starts from fresh copies of parameters and inputs.

    Parameters are drawn in `dtype`, that of the options unless given, and every load is of what
    `change` makes of them. Raises what the backend's constructor or its first `load` raises.
    """

    def __init__(
        self,
        make: Make,
        options: Options,
        case: Case,
        dtype: str = "",
        change: Change = unchanged,
    ) -> None:
        self.make, self.case = make, case
        self.options = case.options(options)
        self.dtype, self.change = dtype or options.dtype, change
        self.backend = make(self.options)
        self.start()

    def start(self) -> None:
        """Load the case's own parameters and stage all batches anew."""
        self.load(self.case.parameters(self.dtype))
        self.sequences = self.case.tokens(BATCHES)
        self.staged = self.stage(self.sequences)

    def changed(self) -> str:
        """Return what the backend has changed of what it was given: "" or the name of it."""
        if not np.array_equal(self.sequences, self.case.tokens(BATCHES)):
            return "inputs"
        same = (np.array_equal(array, self.loaded[name]) for name, array in self.given.items())
        return "" if all(same) else "parameters"

    def load(self, parameters: Parameters) -> None:
        """Load what `change` makes of parameters."""
        self.given = self.change(parameters)
        self.loaded = unchanged(self.given)
        self.backend.load(self.given)

    def stage(self, sequences: np.ndarray) -> list[tuple[Any, Any]]:
        """Return staged inputs and targets of each batch of `sequences` (n, B, T + 1)."""
        return [(self.backend.stage(x[:, :-1]), self.backend.stage(x[:, 1:])) for x in sequences]

    def stage_shape(self, shape: BatchShape, count: int) -> list[tuple[Any, Any]]:
        """Return staged batches of another shape."""
        return self.stage(replace(self.case, shape=shape).tokens(count))

    def claims(self, *methods: str) -> bool:
        """Return whether the backend offers all these methods."""
        return set(methods) <= self.backend.capabilities()

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
        told = {loss_of_step(n): loss for n, loss in enumerate(self.stack(losses), 1)}
        after = self.backend.parameters()
        return {name: after[name] - before for name, before in self.loaded.items()} | told

    def large_step(self, clip_norm: float) -> Arrays:
        """Return how far one step moves each parameter (float64) with the options LARGE_STEP.

        The moves are proportional to the clipped gradient.
        """
        optimiser = replace(LARGE_STEP, clip_norm=clip_norm)
        other = self.make(replace(self.options, **vars(optimiser)))
        other.load(unchanged(self.loaded))
        other.train_step(*self.staged[0])
        after = other.parameters()
        return {
            name: after[name].astype(np.float64) - before for name, before in self.loaded.items()
        }

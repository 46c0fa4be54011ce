"""Honest variants of the oracle: what they show tells how far honest results differ."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from lstmbench.interface import Backend, Options, Parameters
from lstmbench.parity.activations import Activations, Level, Short, displacements
from lstmbench.parity.mirrored import Mirrored
from lstmbench.parity.oracle import Oracle
from lstmbench.parity.tolerances import perturbed
from lstmbench.parity.values import Arrays

PERTURBATIONS = 3

Make = Callable[[Options], Backend]
"""What makes a backend: its class, or a function."""
Change = Callable[[Parameters], Arrays]
"""Turns parameters, in the contenders' dtype, into those that are loaded."""


def widened(parameters: Parameters) -> Arrays:
    """Return parameters in float64."""
    return {name: array.astype(np.float64) for name, array in parameters.items()}


def unchanged(parameters: Parameters) -> Arrays:
    """Return copies of parameters."""
    return {name: array.copy() for name, array in parameters.items()}


@dataclass(frozen=True)
class Variant:
    """An honest way to compute what the oracle computes: how it is made, and what it loads."""

    make: Make
    options: Options
    change: Change


class Variants:
    """The oracle in float64, and the variants of it that tolerances are made from.

    `options` are those of the contenders. `own` is the oracle in their precision. `undisplaced` are
    the one that sums in another order, in that precision too, and the float64 oracle with
    parameters moved by one unit in the last place, in PERTURBATIONS random ways; with products of
    bfloat16 one more, which keeps gates and states in it too. `accurate` are the float64 oracle
    with activations displaced as far as accurate ones may err, `approximate` as far as approximate
    ones may.
    For long runs, where each variant costs time, `accurate_run` and `approximate_run` do at once
    what the others do one by one: in the contenders' dtype, they sum in another order and their
    activations are displaced. `own_perturbed` are two more in that dtype, with moved parameters.
    """

    def __init__(self, oracle: type[Oracle], options: Options) -> None:
        self.oracle, self.precision = oracle, options.precision
        self.own_options = replace(options, device="cpu")
        self.exact_options = replace(self.own_options, dtype="float64", products="")
        self.exact = Variant(oracle, self.exact_options, widened)
        self.own = Variant(oracle, self.own_options, unchanged)
        self.mirrored = self._mirrored()
        self.perturbed = [
            self._perturbed(seed, self.exact_options) for seed in range(PERTURBATIONS)
        ]
        self.undisplaced = [self.mirrored, *self.perturbed, *self._kept_short()]
        self.accurate = self._displaced("accurate")
        self.approximate = self._displaced("approximate")
        self.accurate_run = self._at_once("accurate")
        self.approximate_run = self._at_once("approximate")
        self.own_perturbed = [self._perturbed(seed, self.own_options) for seed in range(2)]

    def _mirrored(self, activations: Activations | None = None) -> Variant:
        def make(options: Options) -> Backend:
            return Mirrored(self.oracle(options, activations))

        return Variant(make, self.own_options, unchanged)

    def _perturbed(self, seed: int, options: Options) -> Variant:
        def change(parameters: Parameters) -> Arrays:
            moved = perturbed(widened(parameters), self.precision.eps, seed)
            return {name: array.astype(options.dtype) for name, array in moved.items()}

        return Variant(self.oracle, options, change)

    def _displaced(self, level: Level) -> list[Variant]:
        return [
            Variant(partial(self.oracle, activations=one), self.exact_options, widened)
            for one in displacements(level, self.precision.stored_eps)
        ]

    def _at_once(self, level: Level) -> Variant:
        return self._mirrored(displacements(level, self.precision.stored_eps)[0])

    def _kept_short(self) -> list[Variant]:
        """Return the oracle that keeps gates and states as short as factors, where one may."""
        if self.precision.products != "bfloat16":
            return []
        make = partial(self.oracle, activations=Short("bfloat16"))
        return [Variant(make, self.own_options, unchanged)]

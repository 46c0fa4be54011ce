"""The oracle at one case, and honest variants of it that tell how far honest results differ."""

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np

from lstmbench.interface import Backend, Options
from lstmbench.parity.cases import Case
from lstmbench.parity.climb import Climb
from lstmbench.parity.oracle import Oracle
from lstmbench.parity.tolerances import tolerances
from lstmbench.parity.values import Arrays
from lstmbench.parity.variants import Variant, Variants


class Seen(NamedTuple):
    """What the oracle shows, and what its variants do whose activations are good, or less good."""

    exact: Arrays
    accurate: list[Arrays]
    approximate: list[Arrays]


class OracleRuns:
    """The oracle and its variants at a case; `options` are those of the contenders."""

    def __init__(self, oracle: type[Oracle], options: Options, case: Case) -> None:
        self.case, self.options, self.eps = case, options, options.precision.eps
        variants = Variants(oracle, options)
        self.exact = self._climb(variants.exact)
        self.undisplaced = self._climbs(variants.undisplaced)
        self.accurate = self._climbs(variants.accurate)
        self.approximate = self._climbs(variants.approximate)
        self.accurate_run = self._climbs([variants.accurate_run])
        self.approximate_run = self._climbs([variants.approximate_run])

    def _climbs(self, variants: list[Variant]) -> list[Climb]:
        return [self._climb(variant) for variant in variants]

    def _climb(self, variant: Variant) -> Climb:
        return Climb(variant.make, variant.options, self.case, self.options.dtype, variant.change)

    def observe(self, look: Callable[[Climb], Arrays], long: bool = False) -> Seen:
        """Return what `look` sees of the oracle, and what it sees of each of the variants.

        Of those for long runs if it takes `long`.
        """
        accurate = self.accurate_run if long else self.accurate
        approximate = self.approximate_run if long else self.approximate
        return Seen(
            self.observe_exact(look),
            [_observe(look, climb) for climb in self.undisplaced + accurate],
            [_observe(look, climb) for climb in approximate],
        )

    def observe_exact(self, look: Callable[[Climb], Arrays]) -> Arrays:
        """Return what `look` sees of the oracle."""
        return _observe(look, self.exact)

    def tolerances(self, seen: Seen, by_call: bool = False) -> tuple[dict[str, float], ...]:
        """Return the relative error allowed in each array, and with approximate activations."""
        terms = self.case.shape.tokens
        return tuple(
            tolerances(seen.exact, others, self.eps, terms, by_call)
            for others in (seen.accurate, seen.accurate + seen.approximate)
        )

    @cached_property
    def gradients(self) -> Arrays:
        """The exact gradients of the first batch."""
        return self.observe_exact(
            lambda climb: climb.fetch(climb.backend.loss_and_gradients(*climb.staged[0])[1])
        )


def _observe(look: Callable[[Climb], Arrays], climb: Climb) -> Arrays:
    climb.start()
    return look(climb)


def greedy_logits(backend: Backend, prompts: np.ndarray, digits: np.ndarray) -> np.ndarray:
    """Return the logits from which a loaded backend chooses digits (B, n) after prompts (B, P).

    Shape (B, n, V).
    """
    path = np.concatenate([prompts, digits[:, :-1]], axis=1).astype(np.uint8)
    logits, _ = backend.forward(backend.stage(path))
    return backend.fetch(logits)[:, prompts.shape[1] - 1 :]

"""The oracle at one case, and honest variants of it that tell how far honest results differ."""

from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np

from lstmbench.interface import Backend, Options
from lstmbench.parity.cases import Case
from lstmbench.parity.climb import Climb
from lstmbench.parity.oracle import Oracle
from lstmbench.parity.tolerances import at_both_levels
from lstmbench.parity.values import Arrays
from lstmbench.parity.variants import Variant, Variants

Look = Callable[[Climb], Arrays]
"""Observes named arrays of a backend that has just been loaded."""


class OracleRuns:
    """The oracle and its variants at a case; `options` are those of the contenders.

    Each is made when it is looked at, and not kept: a large model would not fit many times.
    """

    def __init__(self, oracle: type[Oracle], options: Options, case: Case) -> None:
        self.case, self.options, self.precision = case, options, options.precision
        self.variants = Variants(oracle, options)
        self.exact = self._climb(self.variants.exact)

    def _climb(self, variant: Variant) -> Climb:
        return Climb(variant.make, variant.options, self.case, self.options.dtype, variant.change)

    def observe(self, look: Look) -> Arrays:
        """Return what `look` sees of the oracle."""
        self.exact.start()
        return look(self.exact)

    def tolerances(
        self, look: Look, exact: Arrays, long: bool = False, by_call: bool = False
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Return the relative error allowed in each array, and with approximate activations.

        `exact` is what `look` sees of the oracle. If it takes `long`, it is the variants for long
        runs that are looked at.
        """
        v, terms = self.variants, self.case.shape.tokens
        accurate, approximate = (
            ([v.accurate_run], [v.approximate_run]) if long else (v.accurate, v.approximate)
        )

        def seen(variants: list[Variant]) -> Iterator[Arrays]:
            return (look(self._climb(variant)) for variant in variants)

        return at_both_levels(
            exact, seen(v.undisplaced + accurate), seen(approximate), self.precision, terms, by_call
        )

    @cached_property
    def gradients(self) -> Arrays:
        """The exact gradients of the first batch."""
        return self.observe(
            lambda climb: climb.fetch(climb.backend.loss_and_gradients(*climb.staged[0])[1])
        )


def greedy_logits(backend: Backend, prompts: np.ndarray, digits: np.ndarray) -> np.ndarray:
    """Return the logits from which a loaded backend chooses digits (B, n) after prompts (B, P).

    Shape (B, n, V).
    """
    path = np.concatenate([prompts, digits[:, :-1]], axis=1).astype(np.uint8)
    logits, _ = backend.forward(backend.stage(path))
    return backend.fetch(logits)[:, prompts.shape[1] - 1 :]

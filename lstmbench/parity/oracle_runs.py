"""The oracle at one case, and honest variants of it that tell how far honest results differ."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import numpy as np

from lstmbench.interface import Backend, Options, Parameters
from lstmbench.parity.cases import Case
from lstmbench.parity.climb import Climb, Make
from lstmbench.parity.mirrored import Mirrored
from lstmbench.parity.tolerances import margins, perturbed, tolerances
from lstmbench.parity.values import Arrays

PERTURBATIONS = 3


class OracleRuns:
    """The oracle in float64 at a case, and what tolerances are made from.

    `options` are those of the contenders. The variants are the oracle that sums in another order,
    in the contenders' own dtype, and the float64 oracle with parameters moved by one unit in the
    last place, in PERTURBATIONS random ways.
    """

    def __init__(self, oracle: Make, options: Options, case: Case) -> None:
        self.oracle, self.case, self.options = oracle, case, options
        self.exact_options = replace(options, dtype="float64", device="cpu", tf32=False)
        self.eps = options.precision.eps
        rounded = case.parameters(options.dtype)
        self.initial = {name: array.astype(np.float64) for name, array in rounded.items()}
        self.exact = self._exact(self.initial)
        own = replace(options, device="cpu")
        self.variants = [
            Climb(lambda o: Mirrored(oracle(o)), own, case, rounded),
            *(
                self._exact(perturbed(self.initial, self.eps, seed))
                for seed in range(PERTURBATIONS)
            ),
        ]

    def _exact(self, initial: Parameters) -> Climb:
        return Climb(self.oracle, self.exact_options, self.case, initial)

    def observe(self, look: Callable[[Climb], Arrays]) -> tuple[Arrays, list[Arrays]]:
        """Return what `look` sees of the oracle, and what it sees of each of the variants."""
        return self.observe_exact(look), [_observe(look, climb) for climb in self.variants]

    def observe_exact(self, look: Callable[[Climb], Arrays]) -> Arrays:
        """Return what `look` sees of the oracle."""
        return _observe(look, self.exact)

    def tolerances(self, exact: Arrays, others: list[Arrays]) -> dict[str, float]:
        """Return the relative error allowed in each array by how far the variants are off."""
        return tolerances(exact, others, self.eps, terms=self.case.shape.tokens)

    @cached_property
    def gradients(self) -> Arrays:
        """The exact gradients of the first batch."""
        return self.observe_exact(
            lambda climb: climb.fetch(climb.backend.loss_and_gradients(*climb.staged[0])[1])
        )

    def greedy_margins(self, prompts: np.ndarray, digits: np.ndarray) -> np.ndarray:
        """Return by how much each of `digits` (B, n), written after `prompts` (B, P), led."""
        self.exact.start()
        return greedy_margins(self.exact.backend, prompts, digits)


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


def greedy_margins(backend: Backend, prompts: np.ndarray, digits: np.ndarray) -> np.ndarray:
    """Return by how much each greedy choice (B, n) led, as a share of the largest logit."""
    return margins(greedy_logits(backend, prompts, digits))

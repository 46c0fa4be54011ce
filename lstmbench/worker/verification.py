"""What the oracle expects of a timed block: what is computed inside the clock is verified."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lstmbench.interface import Backend, Options, Parameters
from lstmbench.interface.workloads import Arrays, Workload, stack
from lstmbench.parity import Expected
from lstmbench.parity.mirrored import Mirrored
from lstmbench.parity.oracle_runs import greedy_logits
from lstmbench.parity.tolerances import margins, perturbed, tolerances
from lstmbench.parity.variants import Make
from lstmbench.worker import timing


class BlockOracle:
    """The oracle and the variants of it that tolerances of a timed block are made from.

    As in the parity ladder: the float64 oracle, the oracle that sums in another order in the
    contenders' own dtype, and the float64 oracle with parameters moved by one unit in the last
    place. `initial` are the parameters that the contenders load.
    """

    def __init__(self, oracle: Make, options: Options, initial: Parameters) -> None:
        self.eps = options.precision.eps
        exact = replace(options, dtype="float64", device="cpu", tf32=False)
        own = replace(options, device="cpu")
        wide = {name: array.astype(np.float64) for name, array in initial.items()}
        self.exact = _Loaded(oracle(exact), wide)
        self.mirrored = _Loaded(Mirrored(oracle(own)), initial)
        self.perturbed = _Loaded(oracle(exact), perturbed(wide, self.eps, seed=0))

    def expect(self, workload: Workload, sequences: np.ndarray, calls: list[int]) -> Expected:
        """Return what the calls named hand out in a block that got `sequences`, calls first."""
        if not workload.carries_over:  # each call stands for itself
            sequences, calls = sequences[calls], list(range(len(calls)))
        exact = self.exact.results(workload, sequences, calls)
        if workload.greedy:
            return self._greedy(workload, sequences[calls], exact)
        others = [
            variant.results(workload, sequences, calls)
            for variant in (self.mirrored, self.perturbed)
        ]
        terms = sequences[0, :, 1:].size
        allowed = tolerances(exact, others, self.eps, terms)
        return Expected(name=workload.name, arrays=exact, tolerances=allowed)

    def _greedy(self, workload: Workload, prompts: np.ndarray, exact: Arrays) -> Expected:
        """Return what is expected of digits: where the oracle's choice is clear, the same."""
        ((name, digits),) = exact.items()
        flat = prompts.reshape(-1, prompts.shape[-1]), digits.reshape(-1, digits.shape[-1])

        def logits(backend: Backend) -> np.ndarray:
            return greedy_logits(backend, *flat)

        wanted, other = self.exact.ask(logits), self.mirrored.ask(logits)
        allowed = tolerances({name: wanted}, [{name: other}], self.eps)
        lead = margins(wanted).reshape(digits.shape)
        return Expected(name=workload.name, arrays=exact, tolerances=allowed, margins={name: lead})


class _Loaded:
    """A backend with the parameters that it starts from."""

    def __init__(self, backend: Backend, parameters: Parameters) -> None:
        self.backend, self.parameters = backend, parameters

    def ask(self, question: Callable[[Backend], np.ndarray]) -> np.ndarray:
        self.backend.load(self.parameters)
        return question(self.backend)

    def results(self, workload: Workload, sequences: np.ndarray, calls: list[int]) -> Arrays:
        """Return what the calls named hand out, as in a block."""
        self.backend.load(self.parameters)
        results = timing.run(self.backend, workload, sequences).results
        return stack([results[n] for n in calls])


def part(expected: Expected, every: list[int], calls: list[int]) -> Expected:
    """Return what is expected of some of the calls that `expected` was made for."""
    places = [every.index(n) for n in calls]

    def chosen(arrays: Arrays) -> Arrays:
        return {name: array[places] for name, array in arrays.items()}

    return Expected(
        name=expected.name,
        arrays=chosen(expected.arrays),
        tolerances=expected.tolerances,
        margins=chosen(expected.margins),
    )

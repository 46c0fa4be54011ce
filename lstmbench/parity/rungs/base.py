"""What a rung is, and the two kinds of rung on which parameters have moved."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from lstmbench.parity.cases import CASES, RUN, RUN_SEEN
from lstmbench.parity.climb import Climb
from lstmbench.parity.comparing import compare_arrays
from lstmbench.parity.oracle_runs import OracleRuns
from lstmbench.parity.tolerances import rounding, step_allowance, underflow
from lstmbench.parity.values import Arrays, Comparison, Expected, Observation

RUNS = (RUN, RUN_SEEN)
USUAL = ("odd", "single", "saturated", "wide", *RUNS)
"""The cases of all kinds of arithmetic, at which most rungs stand."""
EVERYWHERE = (*CASES, *RUNS)
"""Those, and the cases of many sequences, long ones and large values."""
SOME = ("odd", "wide")
"""Cases of one layer and of two, for what does not depend on values."""


class Rung(ABC):
    """One check of the ladder."""

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    """The methods of `Backend` that must be claimed."""
    cases: ClassVar[tuple[str, ...]] = USUAL
    """The cases at which it stands."""
    long: ClassVar[bool] = False
    """Whether it takes so long that its tolerances come from the variants for long runs."""
    by_call: ClassVar[bool] = False
    """Whether the first axis of each array counts calls, of which each is compared by itself."""

    @abstractmethod
    def observe(self, climb: Climb) -> Arrays:
        """Return the named arrays that are compared, of a backend that has just been loaded."""

    def observe_oracle(self, climb: Climb) -> Arrays:
        """Return what is compared with that, of the oracle."""
        return self.observe(climb)

    def expect(self, runs: OracleRuns) -> Expected:
        """Return the oracle's arrays and the relative error that is allowed in each."""
        exact = runs.observe(self.observe_oracle)
        # At once: they go by what the oracle has just loaded.
        resolutions = self.resolutions(runs, exact)
        allowance = self.allowance(runs)
        accurate, approximate = (
            {name: tolerance + allowance for name, tolerance in allowed.items()}
            for allowed in runs.tolerances(self.observe_oracle, exact, self.long, self.by_call)
        )
        return Expected(
            name=self.name,
            arrays=exact,
            tolerances=accurate,
            approximate_tolerances=approximate,
            resolutions=resolutions,
            by_call=self.by_call,
        )

    def allowance(self, runs: OracleRuns) -> float:
        """Return what is allowed beyond what the oracle's variants show, as a relative error."""
        return 0.0

    def resolutions(self, runs: OracleRuns, exact: Arrays) -> dict[str, float]:
        """Return what storing the numbers of each array may change, as an L2 norm."""
        return underflow(exact, runs.options.dtype)

    def compare(self, expected: Expected, observed: Observation) -> Comparison:
        """Return what comes of comparing an observation with the expected values."""
        if not observed.claimed:
            return Comparison(outcome="not claimed")
        if observed.error:
            return Comparison(outcome="failed", note=f"raised {observed.error}")
        if observed.changed:
            return Comparison(outcome="failed", array=observed.changed, note="changed")
        return self.compare_arrays(expected, observed.arrays)

    def compare_arrays(self, expected: Expected, actual: Arrays) -> Comparison:
        """Compare the arrays of an observation."""
        return compare_arrays(expected, actual)


class AfterSteps(Rung):
    """A rung on which Adam has moved the parameters, with the case's own clip."""

    steps: int
    """How many steps what it observes has seen."""

    def allowance(self, runs: OracleRuns) -> float:
        return step_allowance(
            runs.gradients, runs.exact.options.optimiser, runs.precision.stored_eps
        )


class Moves(AfterSteps):
    """A rung that observes how far each parameter has moved: arrays of the parameters' names.

    Parameters are rounded after each step, so that each step's move may be off by half a unit in
    their last place.
    """

    def resolutions(self, runs: OracleRuns, exact: Arrays) -> dict[str, float]:
        dtype, loaded = runs.options.dtype, runs.exact.loaded
        stored = {
            name: self.steps * rounding(np.maximum(abs(p), abs(p + exact[name])), dtype)
            for name, p in loaded.items()
        }
        return underflow(exact, dtype) | stored

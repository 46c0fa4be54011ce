"""The rungs of repeated calls, for what goes wrong late, or once in some hundred calls."""

from abc import abstractmethod
from itertools import cycle, islice
from typing import Any, ClassVar

import numpy as np
from msgspec.structs import replace

from lstmbench.parity.climb import BATCHES, Climb
from lstmbench.parity.comparing import compare_arrays
from lstmbench.parity.rungs.base import Rung
from lstmbench.parity.rungs.effects import FEW_DIGITS
from lstmbench.parity.rungs.generation import Generate
from lstmbench.parity.values import Arrays, Comparison, Expected

REPEATED_CALLS, ORACLES_CALLS = 10, 2


def repeated(arrays: Arrays, calls: int, seen: int = BATCHES) -> Arrays:
    """Return arrays whose first axis goes over `seen` calls as those of `calls`, over and over."""
    return {n: np.resize(a, (calls * len(a) // seen, *a.shape[1:])) for n, a in arrays.items()}


class Again(Rung):
    """The first batch many times over, another shape in between."""

    name, needs = "again", ("forward",)
    by_call = True

    def observe(self, climb: Climb) -> Arrays:
        return self._results(climb, REPEATED_CALLS)

    def observe_oracle(self, climb: Climb) -> Arrays:
        return self._results(climb, ORACLES_CALLS)

    def _results(self, climb: Climb, calls: int) -> Arrays:
        inputs, forward = climb.staged[0][0], climb.backend.forward
        other = np.concatenate([climb.sequences[0], climb.sequences[1]])
        kept = [forward(inputs)[0] for _ in range(calls // 2)]
        reshaped = climb.fetch({"logits of another shape": forward(climb.backend.stage(other))[0]})
        kept += [forward(inputs)[0] for _ in range(calls // 2)]
        return reshaped | {"logits": climb.stack(kept)}

    def compare_arrays(self, expected: Expected, actual: Arrays) -> Comparison:
        again = repeated({"logits": expected.arrays["logits"]}, REPEATED_CALLS, ORACLES_CALLS)
        every = replace(expected, arrays=expected.arrays | again)
        return compare_arrays(every, actual)


class ManyCalls(Rung):
    """The staged batches over and over again; the oracle sees each once."""

    cases, by_call = ("odd",), True
    calls: ClassVar[int]

    @abstractmethod
    def call(self, climb: Climb, batch: Any) -> dict[str, Any]:
        """Make one call with staged inputs and targets and return what it returned, by name."""

    def observe(self, climb: Climb) -> Arrays:
        return self._results(climb, self.calls)

    def observe_oracle(self, climb: Climb) -> Arrays:
        return self._results(climb, BATCHES)

    def _results(self, climb: Climb, calls: int) -> Arrays:
        results = [self.call(climb, batch) for batch in islice(cycle(climb.staged), calls)]
        return {name: climb.stack([one[name] for one in results]) for name in results[0]}

    def compare_arrays(self, expected: Expected, actual: Arrays) -> Comparison:
        every = replace(expected, arrays=repeated(expected.arrays, self.calls))
        return compare_arrays(every, actual)


class ManyPasses(ManyCalls):
    """Logits of a thousand forward passes."""

    name, needs = "many-passes", ("forward",)
    calls = 1000

    def call(self, climb: Climb, batch: Any) -> dict[str, Any]:
        return {"logits": climb.backend.forward(batch[0])[0]}


class ManyGradients(ManyCalls):
    """Loss and gradients, hundreds of times."""

    name, needs = "many-gradients", ("loss_and_gradients",)
    calls = 400

    def call(self, climb: Climb, batch: Any) -> dict[str, Any]:
        loss, gradients = climb.backend.loss_and_gradients(*batch)
        return {"loss": loss, **gradients}


class ManyDigits(Generate):
    """A few greedy digits, a hundred times."""

    name, cases = "many-digits", ("odd",)
    calls, prompt_batches = 100, BATCHES

    def digits(self, climb: Climb) -> int:
        return FEW_DIGITS

    def observe(self, climb: Climb) -> Arrays:
        self.prepare(climb)
        return self.generated(climb, islice(cycle(climb.staged), self.calls))

    def compare_arrays(self, expected: Expected, actual: Arrays) -> Comparison:
        every = replace(
            expected,
            arrays=repeated(expected.arrays, self.calls),
            margins=repeated(expected.margins, self.calls),
        )
        return compare_arrays(every, actual)

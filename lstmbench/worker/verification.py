"""What the oracle expects of a timed block: what is computed inside the clock is verified."""

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

import numpy as np
from msgspec.structs import replace

from lstmbench.interface import Backend, Options, Parameters
from lstmbench.interface.workloads import Arrays, Workload
from lstmbench.parity import Expected
from lstmbench.parity.oracle import Oracle
from lstmbench.parity.oracle_runs import greedy_logits
from lstmbench.parity.tolerances import (
    at_both_levels,
    by_digit,
    loss_of_step,
    margins_by_digit,
    rounding,
)
from lstmbench.parity.variants import Variant, Variants

STEPS_SECONDS = 5.0
"""Parameters at the end of a block of steps are verified if the oracle needs no longer than so."""
STEPS_VARIANTS = 4
"""How often it goes through the steps: itself and three variants."""

TOLERANCE_CALLS = 3
"""From how many calls of a block tolerances are made. A gradient in which much cancels is less
exact, relatively, in one call than in another."""

Value = TypeVar("Value")


def of_call(name: str, call: int) -> str:
    """Return the name of what a call handed out; calls are counted from 0, warm-up calls first."""
    return f"{name} of call {call}"


def at_end(name: str, calls: int) -> str:
    """Return the name of how far a parameter has moved after so many steps."""
    return f"{name} after {calls} steps"


def outputs(workload: Workload, results: list[Arrays], calls: Iterable[int]) -> Arrays:
    """Return what some calls of a block handed out, under the names that the oracle uses."""
    if workload.carries_over:
        return {loss_of_step(n + 1): results[n]["loss"] for n in calls}
    return {of_call(name, n): array for n in calls for name, array in results[n].items()}


def moves(after: Parameters, before: Parameters, calls: int) -> Arrays:
    """Return how far parameters have moved in a block of steps."""
    return {at_end(name, calls): after[name] - before[name] for name in before}


class BlockOracle:
    """The oracle, and the variants of it that tolerances of a timed block are made from.

    `options` are those of the contenders.
    """

    def __init__(self, options: Options) -> None:
        self.options, self.precision = options, options.precision
        self.variants = Variants(Oracle, options)

    def expect(
        self,
        workload: Workload,
        initial: Parameters,
        sequences: np.ndarray,
        calls: list[int],
        ends: list[int],
    ) -> Expected:
        """Return what the calls named hand out in a block that got `sequences`, calls first.

        `initial` are the parameters that the contenders load, and `ends` the numbers of calls
        after which parameters are wanted.
        """
        if workload.carries_over:
            return self._steps(workload, initial, sequences, calls, ends)
        if workload.greedy:
            exact = self._load(self.variants.exact, initial)
            generated = {
                of_call(name, n): (sequences[n], digits)
                for n in calls
                for name, digits in self._called(exact, workload, sequences[n]).items()
            }
            return self._digits(workload.name, initial, generated)
        return self._calls(workload, initial, sequences, calls)

    def expect_evaluation(self, parameters: Parameters, sequences: Arrays) -> Expected:
        """Return what a model with these parameters gives.

        Logits of the digits "logits" (B, T), and the greedy digits, T of them, after the prompts
        "digits" (n, P), if they are there.
        """
        batch, prompts = sequences["logits"], sequences.get("digits")

        def logits(variant: Variant) -> Arrays:
            backend = self._load(variant, parameters)
            return _on_host(backend, {"logits": backend.forward(backend.stage(batch))[0]})

        wanted = logits(self.variants.exact)
        accurate, approximate = self._tolerances(logits, wanted)
        if prompts is None:
            return Expected(
                name="evaluation",
                arrays=wanted,
                tolerances=accurate,
                approximate_tolerances=approximate,
            )
        exact = self._load(self.variants.exact, parameters)
        digits = exact.fetch(exact.generate(prompts, batch.shape[1]))
        found = self._digits("evaluation", parameters, {"digits": (prompts, digits)})
        return replace(
            found,
            arrays=wanted | found.arrays,
            tolerances=accurate | found.tolerances,
            approximate_tolerances=approximate | found.approximate_tolerances,
        )

    def _load(self, variant: Variant, initial: Parameters) -> Backend:
        backend = variant.make(variant.options)
        backend.load(variant.change(initial))
        return backend

    def _tolerances(
        self, look: Callable[[Variant], Arrays], exact: Arrays, terms: int = 1
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Return what is allowed by how far the variants are off, and with approximate ones."""
        v = self.variants
        accurate = map(look, (v.mirrored, v.perturbed[0], *v.accurate))
        return at_both_levels(exact, accurate, map(look, v.approximate), self.precision, terms)

    def _calls(
        self, workload: Workload, initial: Parameters, sequences: np.ndarray, calls: list[int]
    ) -> Expected:
        """Each call stands for itself; the widest tolerances of a few serve for all."""

        def result(variant: Variant, call: int) -> Arrays:
            return self._called(self._load(variant, initial), workload, sequences[call])

        exact = {n: result(self.variants.exact, n) for n in calls}
        terms = sequences[0, :, 1:].size
        some = [
            self._tolerances(partial(result, call=n), exact[n], terms)
            for n in calls[:TOLERANCE_CALLS]
        ]
        accurate, approximate = (
            {of_call(name, n): max(one[name] for one in level) for n in calls for name in level[0]}
            for level in zip(*some, strict=True)
        )
        return Expected(
            name=workload.name,
            arrays={of_call(name, n): a for n in calls for name, a in exact[n].items()},
            tolerances=accurate,
            approximate_tolerances=approximate,
        )

    def _called(self, backend: Backend, workload: Workload, sequences: np.ndarray) -> Arrays:
        """Return what one call hands out."""
        return _on_host(backend, workload.call(backend, workload.stage(backend, sequences)))

    def _digits(
        self, name: str, initial: Parameters, generated: dict[str, tuple[np.ndarray, np.ndarray]]
    ) -> Expected:
        """Return what is expected of digits: where the oracle's choice is clear, the same.

        `generated` are prompts (B, P) and the oracle's digits (B, n), by the name of the digits.
        Tolerances of the first serve for all.
        """

        def logits(variant: Variant, of: str) -> Arrays:
            return by_digit(greedy_logits(self._load(variant, initial), *generated[of]))

        first = next(iter(generated))
        wanted = {of: logits(self.variants.exact, of) for of in generated}
        allowed = self._tolerances(lambda variant: logits(variant, first), wanted[first])
        accurate, approximate = (list(one.values()) for one in allowed)
        return Expected(
            name=name,
            arrays={of: digits for of, (_, digits) in generated.items()},
            tolerances=dict.fromkeys(generated, accurate[-1]),
            approximate_tolerances=dict.fromkeys(generated, approximate[-1]),
            margins={of: margins_by_digit(one) for of, one in wanted.items()},
            digit_tolerances=dict.fromkeys(generated, (accurate, approximate)),
        )

    def _steps(
        self,
        workload: Workload,
        initial: Parameters,
        sequences: np.ndarray,
        calls: list[int],
        ends: list[int],
    ) -> Expected:
        """Each step goes on from the one before; losses are compared, and parameters at the ends.

        Not those at an end that is too far for the oracle.
        """
        exact = self._load(self.variants.exact, initial)
        start = time.perf_counter()
        workload.call(exact, workload.stage(exact, sequences[0]))
        a_step = time.perf_counter() - start
        reached = [end for end in ends if end * a_step * STEPS_VARIANTS < STEPS_SECONDS]
        steps = max(*reached, *(n + 1 for n in calls), 0)

        def run(variant: Variant) -> Arrays:
            backend = self._load(variant, initial)
            before, found = backend.parameters(), {}
            for n in range(steps):
                found[loss_of_step(n + 1)] = self._called(backend, workload, sequences[n])["loss"]
                if n + 1 in reached:
                    found |= moves(backend.parameters(), before, n + 1)
            return found

        v, terms = self.variants, sequences[0, :, 1:].size
        seen = run(v.exact)
        others = map(run, (v.perturbed[0], v.accurate_run))
        further = map(run, (v.approximate_run,))
        accurate, approximate = at_both_levels(seen, others, further, self.precision, terms)
        stored = {name: rounding(array, self.options.dtype) for name, array in initial.items()}
        return Expected(
            name=workload.name,
            arrays=seen,
            tolerances=accurate,
            approximate_tolerances=approximate,
            resolutions={
                at_end(name, end): end * one for end in reached for name, one in stored.items()
            },
        )


def _on_host(backend: Backend, called: dict[str, Any]) -> Arrays:
    return {name: np.array(backend.fetch(array)) for name, array in called.items()}


def in_common(expected: Expected, actual: Arrays) -> tuple[Expected, Arrays]:
    """Return what is expected of the arrays that were handed out, and those that are expected."""
    shared = expected.arrays.keys() & actual.keys()

    def chosen(values: dict[str, Value]) -> dict[str, Value]:
        return {name: value for name, value in values.items() if name in shared}

    part = Expected(
        name=expected.name,
        arrays=chosen(expected.arrays),
        tolerances=chosen(expected.tolerances),
        approximate_tolerances=chosen(expected.approximate_tolerances),
        resolutions=chosen(expected.resolutions),
        margins=chosen(expected.margins),
        digit_tolerances=chosen(expected.digit_tolerances),
    )
    return part, chosen(actual)

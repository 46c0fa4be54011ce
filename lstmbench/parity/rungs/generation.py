"""The rung of greedy digits."""

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from lstmbench.parity.climb import Climb
from lstmbench.parity.oracle_runs import OracleRuns, greedy_logits
from lstmbench.parity.rungs.base import EVERYWHERE, Rung
from lstmbench.parity.tolerances import by_digit, margins_by_digit
from lstmbench.parity.values import Arrays, Expected


class Generate(Rung):
    """Greedy digits after some batches of prompts, each from a zero state.

    The weights are such that digits vary.
    """

    name = "generate"
    needs: ClassVar[tuple[str, ...]] = ("generate",)
    cases: ClassVar[tuple[str, ...]] = EVERYWHERE
    prompt_batches: ClassVar[int] = 3

    def prepare(self, climb: Climb) -> None:
        """Bring the backend to where digits are generated."""
        climb.load(climb.case.varied_parameters(climb.dtype))

    def digits(self, climb: Climb) -> int:
        """Return how many digits a call generates."""
        return climb.case.digits

    def generated(self, climb: Climb, batches: Iterable[tuple[Any, Any]]) -> Arrays:
        """Return the digits that follow the inputs of staged batches."""
        calls = [climb.backend.generate(x, self.digits(climb)) for x, _ in batches]
        return {"digits": np.concatenate(climb.stack(calls))}

    def observe(self, climb: Climb) -> Arrays:
        return self.observe_oracle(climb)

    def observe_oracle(self, climb: Climb) -> Arrays:
        self.prepare(climb)
        return self.generated(climb, climb.staged[: self.prompt_batches])

    def expect(self, runs: OracleRuns) -> Expected:
        digits = runs.observe(self.observe_oracle)["digits"]
        prompts = np.concatenate(runs.case.tokens(self.prompt_batches)[..., :-1])

        def logits(climb: Climb) -> Arrays:
            self.prepare(climb)
            return by_digit(greedy_logits(climb.backend, prompts, digits))

        wanted = runs.observe(logits)
        accurate, approximate = (list(one.values()) for one in runs.tolerances(logits, wanted))
        return Expected(
            name=self.name,
            arrays={"digits": digits},
            tolerances={"digits": accurate[-1]},
            approximate_tolerances={"digits": approximate[-1]},
            margins={"digits": margins_by_digit(wanted)},
            digit_tolerances={"digits": (accurate, approximate)},
        )

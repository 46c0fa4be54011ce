from typing import Any

import numpy as np
import pytest
from lstmbench_numpy.backend import NumpyBackend

from lstmbench import UsageError
from lstmbench.parity import golden
from lstmbench.parity.oracle import Oracle


def test_the_oracle_reproduces_the_golden_values() -> None:
    golden.verify(Oracle)
    assert {name.split("/")[0] for name in golden.expected()} == set(golden.RUNGS)


@pytest.mark.parametrize("factor", [1 + 1e-9, np.nan])
def test_an_oracle_that_a_machine_spoils_is_refused(factor: float) -> None:
    class Spoilt(Oracle):
        def forward(self, inputs: Any, state: Any = None) -> Any:
            logits, state = super().forward(inputs, state)
            return logits * factor, state

    with pytest.raises(UsageError, match=r"computes wrongly on this machine: forward/logits"):
        golden.verify(Spoilt)


def test_another_implementation_reproduces_them_too() -> None:
    golden.verify(NumpyBackend)

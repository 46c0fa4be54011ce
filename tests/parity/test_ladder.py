from typing import Any

import numpy as np
import pytest
from climbs import comparisons
from honest import InferenceAlone, NoFreeRunning

from lstmbench import Options, parity
from lstmbench.parity import CASES
from lstmbench.parity.oracle import Oracle
from lstmbench.parity.rungs import rungs


def test_what_is_left_out_is_not_claimed_and_the_rest_is_held_to() -> None:
    seen = {o.rung: o for o in parity.observe(InferenceAlone, Options(), CASES["odd"])}
    claimed = {rung for rung, o in seen.items() if o.claimed}
    assert tuple(seen) == tuple(rung.name for rung in rungs("odd"))
    assert (
        claimed
        == {rung.name for rung in rungs("odd") if set(rung.needs) <= {"forward"}}
        >= {
            "shapes",
            "parameters",
            "forward",
            "state",
            "again",
            "lifetime",
            "reload",
            "many-passes",
        }
    )
    assert all(not seen[rung].arrays for rung in seen if rung not in claimed)
    assert all(one.passed for one in comparisons(InferenceAlone, "odd", "float32").values())


def test_what_is_not_supported_is_not_claimed_rather_than_failed() -> None:
    seen = list(parity.observe(NoFreeRunning, Options(), CASES["odd"]))
    assert [o.rung for o in seen if not o.claimed] == [
        "free-running",
        "free-running-after-training",
    ]


def test_what_a_backend_raises_is_what_its_rung_saw() -> None:
    class Fails(Oracle):
        def generate(self, prompts: Any, steps: int) -> Any:
            if steps > 1:
                raise RuntimeError("broken")
            return super().generate(prompts, steps)

    seen = {o.rung: o for o in parity.observe(Fails, Options(), CASES["odd"])}
    raised = {rung for rung, o in seen.items() if o.traceback}
    assert raised == {
        *("shapes", "generate", "generate-after-training", "generate-after-reload", "many-digits"),
        *("lifetime", "lifetime-gradients", "side-effects"),
    }
    assert seen["generate"].traceback.endswith("RuntimeError: broken\n")
    assert not seen["generate"].arrays


def test_memory_that_ran_out_is_the_callers_to_see() -> None:
    class Fails(Oracle):
        def generate(self, prompts: Any, steps: int) -> Any:
            raise RuntimeError("CUDA out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        list(parity.observe(Fails, Options(), CASES["odd"]))


def test_a_backend_that_changes_its_inputs_fails_every_rung_that_uses_them() -> None:
    class Changes(Oracle):
        def stage(self, tokens: np.ndarray) -> Any:
            self.given = tokens
            return super().stage(tokens.copy())

        def forward(self, inputs: Any, state: Any = None) -> Any:
            self.given[...] = 0
            return super().forward(inputs, state)

    found = comparisons(Changes, "odd", "float32")
    assert found["parameters"].passed
    for rung in ("shapes", "forward", "state", "again"):
        assert not found[rung].passed
        assert (found[rung].array, found[rung].note) == ("inputs", "changed")

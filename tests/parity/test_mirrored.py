import numpy as np
import pytest
from climbs import comparisons

from lstmbench import Options, parity
from lstmbench.parity import CASES
from lstmbench.parity.mirrored import Mirrored
from lstmbench.parity.oracle import Oracle
from lstmbench.parity.tolerances import HONEST_FACTOR

DTYPES = ["float32", "float64"]
each_case = pytest.mark.parametrize("name", CASES)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


@each_case
@each_dtype
def test_mirrored_computes_the_same_to_rounding(name: str, dtype: str) -> None:
    case, options = CASES[name], Options(dtype=dtype)
    plain = parity.observe(Oracle, options, case)
    mirrored = parity.observe(lambda o: Mirrored(Oracle(o)), options, case)
    for here, there in zip(plain, mirrored, strict=True):
        assert here.rung == there.rung and here.arrays.keys() == there.arrays.keys()
        if here.rung in ("shapes", "accuracy"):
            continue
        if here.rung in ("parameters", "generate"):
            for name_of, array in here.arrays.items():
                np.testing.assert_array_equal(there.arrays[name_of], array)
    found = comparisons(lambda o: Mirrored(Oracle(o)), name, dtype).values()
    assert (
        0 < max(one.error or 0 for one in found) < 1.01 / HONEST_FACTOR
    )  # tolerances are made of it


def test_mirrored_takes_a_state() -> None:
    case, options = CASES["odd"], Options(dtype="float64")
    plain, mirrored = Oracle(options), Mirrored(Oracle(options))
    random = np.random.default_rng(0)
    shape = (case.model.layers, case.shape.batch, case.model.hidden)
    state = random.normal(size=shape), random.normal(size=shape)
    tokens = case.tokens(1)[0, :, :-1]
    for backend in (plain, mirrored):
        backend.load(case.parameters("float64"))
    there, (h, c) = mirrored.forward(mirrored.stage(tokens), state)
    here, (h2, c2) = plain.forward(tokens, state)
    for actual, expected in ((there, here), (h, h2), (c, c2)):
        np.testing.assert_allclose(actual, expected, rtol=1e-10)

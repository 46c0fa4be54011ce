import numpy as np
import pytest
from climbs import expected_at

from lstmbench import ModelSpec, Options, parity
from lstmbench.interface import BatchShape
from lstmbench.parity import CASES, Case, cases

each_case = pytest.mark.parametrize("name", CASES)


@each_case
def test_case_parameters_have_no_symmetry_to_hide_a_fault_in(name: str) -> None:
    case = CASES[name]
    for array_name, array in case.parameters("float64").items():
        assert (array != 0).all()
        if array_name.startswith("lstm"):
            means = array.reshape(4, -1).mean(axis=1)
            assert len(set(means)) == 4


def test_cases_clip_some_gradients_and_leave_others() -> None:
    active = set()
    for name, case in CASES.items():
        (gradients,) = (r for r in expected_at(name, "float64") if r.name == "gradients")
        norm = np.sqrt(sum((g[0] ** 2).sum() for g in gradients.arrays.values()))
        active.add(bool(norm > case.options(Options()).clip_norm))
    assert active == {True, False}


def test_the_case_of_a_run_has_its_sizes_within_bounds() -> None:
    small = parity.case("run", ModelSpec(6, 5), BatchShape(3, 4))
    assert (small.shape, small.model) == (BatchShape(3, 4), ModelSpec(6, 5))
    given = Options(clip_norm=0.5, learning_rate=3)
    assert small.options(given) == given
    large = parity.case("run", ModelSpec(1, 5), BatchShape(4096, 1000))
    assert large.shape == BatchShape(cases.RUN_BATCH, cases.RUN_LENGTH)
    assert parity.case("odd", ModelSpec(1, 1), BatchShape(1, 1)) is CASES["odd"]


def test_a_case_sets_its_own_clip_and_rate() -> None:
    options = CASES["odd"].options(Options(clip_norm=7, learning_rate=1, threads=3))
    assert options.threads == 3
    default = Options()
    for name in ("learning_rate", "clip_norm", "beta1", "beta2", "epsilon"):
        assert (
            getattr(options, name)
            == getattr(CASES["odd"].optimiser, name)
            != getattr(default, name)
        )


def test_cases_draw_the_same_numbers_in_every_dtype() -> None:
    case = Case("other", ModelSpec(2, 4), BatchShape(2, 3))
    exact, rounded = case.parameters("float64"), case.parameters("float32")
    for name, array in rounded.items():
        np.testing.assert_allclose(array, exact[name], rtol=1e-6)
    assert case.tokens(5).shape == (5, 2, 4)
    np.testing.assert_array_equal(case.tokens(5)[:2], case.tokens(2))

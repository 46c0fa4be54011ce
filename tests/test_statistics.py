import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lstmbench import statistics

Estimator = Callable[[list[float]], statistics.Estimate]
finite = st.floats(-1e6, 1e6)


@given(st.lists(finite, min_size=2, max_size=20))
def test_mean_has_scipys_t_interval(values: list[float]) -> None:
    values[0] += 1e-3 * max(1, abs(values[1]))  # not all the same
    found = statistics.mean(values)
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), error)
    assert found == pytest.approx((np.mean(values), low, high), rel=1e-9, abs=1e-6)


def test_mean_of_a_known_sample_has_the_interval_of_the_tables() -> None:
    # t(0.975, 4) = 2.776; s = 1.5811, s / sqrt(5) = 0.7071
    assert statistics.mean([1, 2, 3, 4, 5]) == pytest.approx((3, 1.0368, 4.9632), abs=1e-4)
    assert {type(value) for value in statistics.mean([1, 2, 4])} == {float}  # records hold no other


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert statistics.mean([2.5, 2.5, 2.5]) == (2.5, 2.5, 2.5)


@given(st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=20))
def test_geometric_mean_is_the_mean_of_logarithms(values: list[float]) -> None:
    found, logs = statistics.geometric_mean(values), statistics.mean([math.log(v) for v in values])
    assert found.value == pytest.approx(stats.gmean(values), rel=1e-9)
    assert found.low == pytest.approx(math.exp(logs.low), rel=1e-9)
    with np.errstate(over="ignore"):
        assert found.high == pytest.approx(float(np.exp(logs.high)), rel=1e-9)


def test_geometric_interval_of_inverses_is_the_inverse_interval() -> None:
    values = [0.5, 0.7, 0.8, 1.3]
    there, back = (statistics.geometric_mean(v) for v in (values, [1 / x for x in values]))
    assert back == pytest.approx((1 / there.value, 1 / there.high, 1 / there.low))


@pytest.mark.parametrize("estimate", [statistics.mean, statistics.geometric_mean])
def test_one_value_has_no_interval(estimate: Estimator) -> None:
    found = estimate([3.0])
    assert found.value == pytest.approx(3)
    assert math.isnan(found.low) and math.isnan(found.high)


def covered(intervals: list[statistics.Estimate], truth: float) -> float:
    return float(np.mean([low <= truth <= high for _, low, high in intervals]))


@pytest.mark.parametrize("size", [2, 5])
def test_t_interval_covers_the_truth_19_times_in_20(size: int) -> None:
    runs = 3_000
    samples = np.random.default_rng(size).normal(3, 2, (runs, size))
    share = covered([statistics.mean(sample.tolist()) for sample in samples], 3)
    assert share == pytest.approx(0.95, abs=4 * math.sqrt(0.05 * 0.95 / runs))


def test_geometric_interval_covers_the_truth_19_times_in_20() -> None:
    runs = 3_000
    samples = np.random.default_rng(0).lognormal(1, 0.5, (runs, 5))
    share = covered([statistics.geometric_mean(s.tolist()) for s in samples], math.e)
    assert share == pytest.approx(0.95, abs=4 * math.sqrt(0.05 * 0.95 / runs))


def clustered(random: np.random.Generator, n: int, k: int, share: float) -> np.ndarray:
    """Sequences each of which has its own share of hits, beta-distributed about `share`."""
    own = random.beta(10 * share, 10 * (1 - share), (n, 1))
    return np.asarray(random.random((n, k)) < own)


def test_proportion_of_clustered_tokens_covers_the_truth_19_times_in_20() -> None:
    random, runs = np.random.default_rng(1), 1_000
    found = [statistics.proportion(clustered(random, 100, 10, 0.9)) for _ in range(runs)]
    assert covered(found, 0.9) == pytest.approx(0.95, abs=0.01 + 4 * math.sqrt(0.0475 / runs))


def test_proportion_of_independent_tokens_has_about_wilsons_interval() -> None:
    hits = np.random.default_rng(2).random((1_000, 10)) < 0.95
    found = statistics.proportion(hits)
    wilson = stats.binomtest(int(hits.sum()), hits.size).proportion_ci(method="wilson")
    assert found.value == pytest.approx(hits.mean(), rel=1e-12)
    assert found.high - found.low == pytest.approx(wilson.high - wilson.low, rel=0.1)
    assert found.low == pytest.approx(wilson.low, abs=5e-4)
    assert found.high == pytest.approx(wilson.high, abs=5e-4)


def test_tokens_that_stand_and_fall_together_count_once() -> None:
    rows = np.random.default_rng(3).random(400) < 0.8
    apart = statistics.proportion(rows[:, None])
    together = statistics.proportion(np.repeat(rows[:, None], 10, axis=1))
    assert together.value == apart.value
    assert together == pytest.approx(apart, abs=1e-3)


def test_width_grows_with_clustering() -> None:
    random = np.random.default_rng(4)
    independent = random.random((500, 10)) < 0.9
    widths = [
        found.high - found.low
        for found in (
            statistics.proportion(independent),
            statistics.proportion(clustered(random, 500, 10, 0.9)),
        )
    ]
    assert widths[1] > 1.2 * widths[0]


@pytest.mark.parametrize(("shape", "value"), [((50, 10), 1.0), ((50, 10), 0.0), ((1, 4), 1.0)])
def test_all_hits_and_no_hits_have_one_sided_intervals(
    shape: tuple[int, int], value: float
) -> None:
    found = statistics.proportion(np.full(shape, value, bool))
    n, z2 = math.prod(shape), 1.959964**2
    inward = z2 / (n + z2)  # Wilson's bound for n of n
    assert found.value == value
    bounds = (1 - inward, 1) if value else (0, inward)
    assert (found.low, found.high) == pytest.approx(bounds, abs=1e-6)


@given(st.integers(2, 30), st.integers(1, 12), st.floats(0, 1), st.integers(0, 99))
def test_proportion_lies_in_its_interval_within_zero_and_one(
    n: int, k: int, share: float, seed: int
) -> None:
    hits = np.random.default_rng(seed).random((n, k)) < share
    found = statistics.proportion(hits)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.value == pytest.approx(hits.mean())

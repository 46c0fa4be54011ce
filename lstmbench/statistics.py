"""Estimates with their intervals. Every interval here is a 95 % confidence interval."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy  # its `stats`, a second to load, is loaded when it is first used

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A value and its 95 % interval; the bounds are NaN where the data cannot say."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Of a positive value: the interval is value times or over (1 + half_width), about."""
        return float(np.sqrt(self.high / self.low)) - 1


def mean(values: Sequence[float]) -> Estimate:
    """Mean of independent values with Student's t interval (n - 1 degrees of freedom)."""
    array = np.asarray(values, float)
    centre = float(array.mean())
    if len(array) < 2:
        return Estimate(centre, float("nan"), float("nan"))
    half = scipy.stats.t.ppf((1 + CONFIDENCE) / 2, len(array) - 1) * scipy.stats.sem(array)
    return Estimate(centre, centre - half, centre + half)


def geometric_mean(values: Sequence[float]) -> Estimate:
    """Geometric mean of independent positive values; the t interval is of their logarithms."""
    return exponential(mean(np.log(values).tolist()))


def exponential(logarithm: Estimate) -> Estimate:
    """The estimate of a positive value from that of its logarithm."""
    return Estimate(*(float(np.exp(v)) for v in logarithm))


def over_launches(values: Mapping[tuple[int, int], float]) -> Estimate:
    """Median over the rounds of each launch, then geometric mean and interval over launches.

    `values` are positive, by (launch, round). Launches are independent, rounds of one are not:
    what varies between processes and what varies within them are both in the launches' spread.
    """
    launches: dict[int, list[float]] = {}
    for (launch, _), value in values.items():
        launches.setdefault(launch, []).append(value)
    return geometric_mean([float(np.median(rounds)) for rounds in launches.values()])


def welch(x: np.ndarray, y: np.ndarray) -> Estimate:
    """Difference of the means of x (n,) and y (m,), all values taken as independent."""
    interval = scipy.stats.ttest_ind(x, y, equal_var=False).confidence_interval(CONFIDENCE)
    return Estimate(float(x.mean() - y.mean()), float(interval.low), float(interval.high))


def proportion(hits: np.ndarray) -> Estimate:
    """Share of hits in `hits` (n, k), n independent sequences of k dependent tokens each.

    Wilson's interval at the effective number of tokens, n k over the design effect: tokens of one
    sequence stand or fall together, and the share is too close to 1 for a symmetric interval.
    """
    rows = hits.mean(axis=1)
    rate = float(rows.mean())
    variance = float(rows.var(ddof=1)) / len(rows) if len(rows) > 1 else 0.0
    effective = rate * (1 - rate) / variance if variance else float(hits.size)
    trials = max(1, round(effective))
    _, low, high = share_of(round(rate * effective), trials)
    return Estimate(rate, min(low, rate), max(high, rate))


def share_of(successes: int, trials: int) -> Estimate:
    """Share of successes in independent trials, with Wilson's interval."""
    interval = scipy.stats.binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(successes / trials, float(interval.low), float(interval.high))

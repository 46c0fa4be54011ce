"""Estimates with their intervals. Every interval here is a 95 % confidence interval."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy  # `special` and `stats` are loaded when first used; the latter takes a second

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
    """Return the mean of independent values with Student's t interval (n - 1 degrees)."""
    array = np.asarray(values, float)
    centre = float(array.mean())
    if len(array) < 2:
        return Estimate(centre, float("nan"), float("nan"))
    t = scipy.special.stdtrit(len(array) - 1, (1 + CONFIDENCE) / 2)  # the quantile of Student's t
    half = t * float(array.std(ddof=1)) / np.sqrt(len(array))
    return Estimate(centre, float(centre - half), float(centre + half))


def geometric_mean(values: Sequence[float]) -> Estimate:
    """Return the geometric mean of positive values; the t interval is of their logarithms."""
    return exponential(mean(np.log(values).tolist()))


def exponential(logarithm: Estimate) -> Estimate:
    """Return the estimate of a positive value from that of its logarithm."""
    return Estimate(*(float(np.exp(v)) for v in logarithm))


def over_launches(values: Mapping[tuple[int, int], float]) -> Estimate:
    """Return the geometric mean of `launch_medians`, with its interval.

    What varies between processes and what varies within them are both in the launches' spread.
    """
    return geometric_mean(launch_medians(values))


def launch_medians(values: Mapping[tuple[int, int], float]) -> list[float]:
    """Return the median over the rounds of each launch, of positive values by (launch, round).

    Launches are independent of each other, rounds of one are not.
    """
    launches: dict[int, list[float]] = {}
    for (launch, _), value in values.items():
        launches.setdefault(launch, []).append(value)
    return [float(np.median(rounds)) for rounds in launches.values()]


def ratio_of_means(x: Sequence[float], y: Sequence[float]) -> Estimate:
    """Return the geometric mean of x over that of y, positive values; bounds NaN if too few."""
    difference = np.log(x), np.log(y)
    if min(len(x), len(y)) < 2:
        value = float(np.exp(difference[0].mean() - difference[1].mean()))
        return Estimate(value, float("nan"), float("nan"))
    return exponential(welch(*difference))


def welch(x: np.ndarray, y: np.ndarray) -> Estimate:
    """Return the difference of the means of x (n,) and y (m,), all values taken as independent."""
    interval = scipy.stats.ttest_ind(x, y, equal_var=False).confidence_interval(CONFIDENCE)
    return Estimate(float(x.mean() - y.mean()), float(interval.low), float(interval.high))


def proportion(hits: np.ndarray) -> Estimate:
    """Return the share of hits (n, k) of n independent sequences of k dependent tokens each.

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
    """Return the share of successes in independent trials, with Wilson's interval."""
    interval = scipy.stats.binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(successes / trials, float(interval.low), float(interval.high))

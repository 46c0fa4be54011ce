import math

import pytest

from lstmbench.analysis import roofline
from lstmbench.interface.operations import Work
from lstmbench.protocol.observations import MachinePeaks
from lstmbench.statistics import Estimate


def peaks(flops: float, bandwidth: float) -> MachinePeaks:
    return MachinePeaks(launch=0, matrix_flops_per_second=flops, memory_bytes_per_second=bandwidth)


def test_the_least_time_is_work_over_rates() -> None:
    assert roofline.least_seconds(Work(8, 20), peaks(4.0, 5.0)) == (2, 4)


@pytest.mark.parametrize(
    ("work", "seconds", "bottleneck"),
    [
        (Work(8, 1), 3.0, "arithmetic"),
        (Work(1, 20), 5.0, "bandwidth"),
        (Work(8, 20), 100.0, "dispatch"),
    ],
)
def test_the_bottleneck_is_the_longer_time_unless_both_are_far_below(
    work: Work, seconds: float, bottleneck: str
) -> None:
    found = roofline.share(work, Estimate(seconds, seconds / 2, seconds * 2), peaks(4.0, 5.0))
    assert found is not None and found.bottleneck == bottleneck
    least = max(work.operations / 4, work.bytes / 5)
    assert tuple(found.estimate) == pytest.approx(
        (least / seconds, least / seconds / 2, least / seconds * 2)
    )


def test_without_work_there_is_no_share() -> None:
    assert roofline.share(Work(0, 0), Estimate(1, 1, 1), peaks(1, 1)) is None


@pytest.mark.parametrize(
    ("value", "low", "high", "beats", "impossible"),
    [
        (2.0, 1.5, 2.5, False, False),
        (0.8, 0.5, 1.1, False, False),
        (0.8, 0.7, 0.9, True, False),
        (0.45, 0.3, 0.6, True, False),
        (0.4, 0.3, 0.45, True, True),
        (0.8, math.nan, math.nan, True, False),
        (0.4, math.nan, math.nan, True, True),
    ],
)
def test_a_limit_is_beaten_or_impossibly_so_by_the_whole_interval(
    value: float, low: float, high: float, beats: bool, impossible: bool
) -> None:
    found = roofline.share(Work(1, 0), Estimate(value, low, high), peaks(1.0, 1.0))
    assert found is not None
    assert (found.beats_limit, found.impossible) == (beats, impossible)
    assert ("left out" in roofline.in_words("train", found)) == impossible


def test_the_best_of_all_launches_counts() -> None:
    assert roofline.best([]) is None
    best = roofline.best([peaks(1, 9), peaks(3, 2)])
    assert best is not None
    assert (best.matrix_flops_per_second, best.memory_bytes_per_second) == (3, 9)

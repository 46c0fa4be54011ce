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
    ("low", "high", "beaten"),
    [(0.5, 0.9, True), (0.5, 1.1, False), (1.5, 2.0, False), (math.nan, math.nan, True)],
)
def test_too_fast_is_a_whole_interval_beyond_the_limit(
    low: float, high: float, beaten: bool
) -> None:
    value = low if not math.isnan(low) else 0.5
    found = roofline.share(Work(1, 0), Estimate(value, low, high), peaks(1.0, 1.0))
    assert found is not None and found.too_fast == beaten


def test_the_best_of_all_launches_counts() -> None:
    assert roofline.best([]) is None
    best = roofline.best([peaks(1, 9), peaks(3, 2)])
    assert best is not None
    assert (best.matrix_flops_per_second, best.memory_bytes_per_second) == (3, 9)

import math

import pytest

from lstmbench.analysis import roofline
from lstmbench.analysis.roofline import Peaks
from lstmbench.interface.operations import Work
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import MachinePeaks
from lstmbench.statistics import Estimate


def peaks(flops: float | None, bandwidth: float | None) -> Peaks:
    return Peaks(flops, bandwidth)


def probe(
    flops: float | None, bandwidth: float | None, contender: Contender | None = None
) -> MachinePeaks:
    return MachinePeaks(
        launch=0,
        contender=contender,
        matrix_flops_per_second=flops,
        memory_bytes_per_second=bandwidth,
    )


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
    assert roofline.best([]) == {}
    assert roofline.best([probe(1, 9), probe(3, 2)]) == {"cpu": Peaks(3, 9)}


def test_each_device_has_the_best_rates_of_all_libraries_on_it() -> None:
    on_gpu = [Contender(backend=name, device="cuda") for name in ("torch", "jax")]
    on_cpu = Contender(backend="jax")
    probes = [
        probe(None, 9),
        probe(7, None, on_cpu),
        probe(100, 50, on_gpu[0]),
        probe(90, 60, on_gpu[1]),
    ]
    assert roofline.best(probes) == {"cpu": Peaks(7, 9), "cuda": Peaks(100, 60)}


@pytest.mark.parametrize("known", [peaks(None, 1), peaks(1, None)])
def test_a_rate_that_is_not_known_gives_no_share(known: Peaks) -> None:
    assert roofline.share(Work(1, 1), Estimate(1, 1, 1), known) is None

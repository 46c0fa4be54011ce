import math
import statistics

import pytest
from msgspec.structs import replace
from scipy import stats

from lstmbench.execution.stopping import StoppingRule
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import Block, Finished
from lstmbench.protocol.settings import Settings

BASE, FAST, SLOW = (Contender(backend=name) for name in ("base", "fast", "slow"))
SETTINGS = Settings(launches=2, precision=0.02, time_budget=100.0)
Times = dict[Contender, list[float]]


def feed(rule: StoppingRule, launch: int, times: Times, seconds: float | None = 10.0) -> None:
    """One launch: seconds of a step by contender and round; without `seconds` it is unfinished."""
    for contender, rounds in times.items():
        for round_, step in enumerate(rounds):
            for workload, factor in (("train", 1.0), ("forward", 1000.0)):
                block = Block(
                    contender=contender,
                    launch=launch,
                    round=round_,
                    position=0,
                    workload=workload,
                    calls=4,
                    seconds=[4 * step * factor],
                )
                rule.add(block)
    if seconds is not None:
        rule.add(Finished(phase="timing", launch=launch, seconds=seconds))


def times(fast: float, slow: float = 2.0) -> Times:
    """Three rounds in which the machine wavers, so that only ratios are steady."""
    weather = (1.0, 3.0, 2.0)
    return {one: [w * t for w in weather] for one, t in ((BASE, 1.0), (FAST, fast), (SLOW, slow))}


def test_the_width_is_that_of_students_interval_over_launch_medians() -> None:
    rule = StoppingRule(SETTINGS, [(BASE, FAST), (BASE, SLOW)])
    speeds = [0.5, 0.52, 0.47]
    for launch, fast in enumerate(speeds, start=1):
        feed(rule, launch, times(fast))
    logs = [math.log(1 / speed) for speed in speeds]
    half = stats.t.ppf(0.975, 2) * statistics.stdev(logs) / math.sqrt(3)
    assert rule.half_width([BASE, FAST, SLOW]) == pytest.approx(math.expm1(half))
    assert rule.half_width([BASE, SLOW]) == pytest.approx(0, abs=1e-12)
    assert rule.launches == 3 and rule.seconds == 30


def test_without_a_pair_the_time_itself_counts() -> None:
    rule = StoppingRule(SETTINGS, [])
    for launch, speed in enumerate([0.5, 0.6], start=1):
        feed(rule, launch, {FAST: [speed]})
    logs = [math.log(0.5), math.log(0.6)]
    half = stats.t.ppf(0.975, 1) * statistics.stdev(logs) / math.sqrt(2)
    assert rule.half_width([FAST]) == pytest.approx(math.expm1(half))
    assert StoppingRule(SETTINGS, []).half_width([FAST]) is None


def test_it_stops_once_intervals_are_narrow_but_not_before_enough_launches() -> None:
    rule = StoppingRule(replace(SETTINGS, launches=3), [(BASE, FAST)])
    for launch, expected in ((1, None), (2, None), (3, "precision")):
        feed(rule, launch, times(0.5))
        assert rule.reason([BASE, FAST]) == expected


def test_a_launch_that_would_go_over_the_budget_is_not_begun() -> None:
    rule = StoppingRule(replace(SETTINGS, time_budget=35.0), [(BASE, FAST)])
    for launch, (fast, expected) in enumerate(
        [(0.5, None), (0.9, None), (0.4, "time budget")], start=1
    ):
        feed(rule, launch, times(fast))
        assert rule.reason([BASE, FAST]) == expected


def test_a_contender_that_dropped_out_holds_nobody_up() -> None:
    rule = StoppingRule(SETTINGS, [(BASE, FAST), (BASE, SLOW)])
    feed(rule, 1, times(0.5, slow=2.0))
    feed(rule, 2, times(0.5, slow=9.0))
    assert rule.reason([BASE, FAST, SLOW]) is None
    assert rule.reason([BASE, FAST]) == "precision"


def test_a_launch_that_was_cut_off_does_not_count() -> None:
    rule = StoppingRule(SETTINGS, [(BASE, FAST)])
    feed(rule, 1, times(0.9), seconds=None)
    for launch in (2, 3):
        feed(rule, launch, times(0.5))
    assert rule.launches == 2 and rule.reason([BASE, FAST]) == "precision"


def test_rounds_that_only_one_of_a_pair_has_are_left_out() -> None:
    rule = StoppingRule(SETTINGS, [(BASE, FAST)])
    for launch in (1, 2):
        feed(rule, launch, {BASE: [1.0, 1.0], FAST: [0.5, 0.5, 77.0]})
    assert rule.half_width([BASE, FAST]) == pytest.approx(0, abs=1e-12)

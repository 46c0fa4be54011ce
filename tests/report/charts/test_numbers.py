"""What charts show is what the records hold, computed here in another way."""

import math
import re
from collections import defaultdict
from statistics import median
from typing import Any

import numpy as np
import pytest
from made_up_answer import answer, with_a_failure
from scipy import stats

from lstmbench.analysis.results import RunResult
from lstmbench.interface.workloads import WORKLOADS
from lstmbench.protocol.observations import Block, Epoch, RungResult, Startup
from lstmbench.report.charts import latency, of_run
from lstmbench.report.charts.chart import Cast, Chart
from lstmbench.report.charts.learning import binned

RUN = answer(4, launches=5, rounds=6, epochs=8)


def charts(run: RunResult) -> dict[str, Chart]:
    return {
        chart.name: chart
        for section in of_run.sections(run, Cast.of(run))
        for chart in section.charts
    }


CHARTS = charts(RUN)


def layers(chart: Chart) -> list[list[dict[str, Any]]]:
    """The data of each layer of a picture."""
    picture = chart.picture
    names = [layer.get("data", picture.get("data"))["name"] for layer in picture["layer"]]
    return [picture["datasets"][name] for name in names]


def marks(chart: Chart, *fields: str) -> list[dict[str, Any]]:
    """The data of the first layer that has these fields."""
    for values in layers(chart):
        if values and all(field in values[0] for field in fields):
            return values
    raise AssertionError(f"no layer of {chart.name} has {fields}")


def blocks(workload: str) -> dict[str, dict[tuple[int, int], float]]:
    """Seconds of a unit by contender, launch and round, from the records alone."""
    found: dict[str, dict[tuple[int, int], float]] = defaultdict(dict)
    for one in RUN.run.records:
        if isinstance(one, Block) and one.workload == workload:
            each = [s * len(one.seconds) / (one.calls * one.units_per_call) for s in one.seconds]
            found[one.contender.label][one.launch, one.round] = median(each)
    return found


def by_launch(values: dict[tuple[int, int], float]) -> list[float]:
    launches = defaultdict(list)
    for (launch, _), value in values.items():
        launches[launch].append(value)
    return [median(launches[launch]) for launch in sorted(launches)]


def t_interval(values: list[float]) -> tuple[float, float, float]:
    low, high = stats.t.interval(
        0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values)
    )
    return float(np.mean(values)), float(low), float(high)


@pytest.mark.parametrize("workload", ["train", "forward", "gradients", "generate"])
def test_the_forest_plot_is_of_paired_ratios(workload: str) -> None:
    times = blocks(workload)
    shown = {one["contender"]: one for one in marks(CHARTS[f"speed-{workload}"], "low", "high")}
    small = layers(CHARTS[f"speed-{workload}"])[2]
    for name in ("backend00", "backend02", "backend03"):
        ratios = by_launch({p: times["torch"][p] / t for p, t in times[name].items()})
        expected = [math.exp(v) for v in t_interval([math.log(r) for r in ratios])]
        assert [shown[name][k] for k in ("value", "low", "high")] == pytest.approx(expected)
        assert sorted(one["value"] for one in small if one["contender"] == name) == pytest.approx(
            sorted(ratios)
        )
    assert shown["torch"]["value"] == 1


def test_parts_are_differences_within_a_round() -> None:
    gradients, train, forward = (blocks(name) for name in ("gradients", "train", "forward"))
    shown = {
        (one["contender"], one["part"]): one for one in marks(CHARTS["parts-of-a-step"], "part")
    }
    for name in ("torch", "backend03"):
        for part, whole, without in (
            ("backward", gradients, forward),
            ("clip + Adam", train, gradients),
        ):
            left = by_launch({p: whole[name][p] - without[name][p] for p in whole[name]})
            expected = [1e3 * v for v in t_interval(left)]
            found = shown[name, part]
            assert [found[k] for k in ("value", "low", "high")] == pytest.approx(expected)


def test_break_even_is_the_start_and_then_steps() -> None:
    starts: dict[str, Startup] = {}
    for one in RUN.run.records:
        if isinstance(one, Startup):
            starts.setdefault(one.contender.label, one)
    for one in marks(CHARTS["break-even"], "steps", "seconds"):
        start = starts[one["contender"]]
        begun = sum(
            getattr(start, f"{part}_seconds")
            for part in ("import", "build", "compile", "first_step")
        )
        logs = [math.log(t) for t in by_launch(blocks("train")[one["contender"]])]
        step = math.exp(sum(logs) / len(logs))
        assert one["seconds"] == pytest.approx(begun + (one["steps"] - 1) * step)


def test_a_share_of_calls_takes_longer_than_a_time() -> None:
    calls = [float(n) for n in range(1, 1001)]
    found = latency.shares(calls)
    assert found[0] == (1.0, 1.0) and found[-1] == (1000.0, 0.001)
    for time, share in found:
        assert share == pytest.approx(sum(call >= time for call in calls) / 1000)
    assert len(found) <= latency.POINTS
    times, falling = zip(*found, strict=True)
    assert list(times) == sorted(times) and list(falling) == sorted(falling, reverse=True)


def test_one_call_is_a_curve_too() -> None:
    assert latency.shares([2.0]) == [(2.0, 1.0)]


def test_latency_is_of_single_calls_by_launch() -> None:
    calls: dict[tuple[str, int], list[float]] = defaultdict(list)
    for one in RUN.run.records:
        if isinstance(one, Block) and one.workload == "generate":
            calls[one.contender.label, one.launch] += [1e6 * s / 64 for s in one.seconds]
    shown = marks(CHARTS["latency-generate"], "launch", "share")
    assert {(one["contender"], one["launch"]) for one in shown} == set(calls)
    for one in shown:
        own = calls[one["contender"], one["launch"]]
        slower = sum(call >= one["value"] * (1 - 1e-12) for call in own)
        assert one["share"] == pytest.approx(slower / len(own))


def test_the_roofline_is_operations_over_time_and_bytes() -> None:
    settings = RUN.settings
    shown = marks(CHARTS["roofline-cpu"], "contender", "rate")
    hidden, layers, tokens = settings.hidden, settings.layers, settings.batch * settings.seq_len
    # Products of a forward pass, by hand: recurrent ones, those between layers, and the logits.
    recurrent = 8 * hidden**2 * layers * (tokens - settings.batch)
    between = 8 * hidden**2 * (layers - 1) * tokens
    operations = recurrent + between + 2 * hidden * 10 * tokens
    logs = [math.log(t) for t in by_launch(blocks("forward")["torch"])]
    rate = operations / math.exp(sum(logs) / len(logs)) / 1e9
    assert any(one["contender"] == "torch" and one["rate"] == pytest.approx(rate) for one in shown)
    line = marks(CHARTS["roofline-cpu"], "intensity", "rate")
    for one in line:
        assert one["rate"] == pytest.approx(min(200, 50 * one["intensity"]))


def test_the_heat_map_shows_the_worst_case_of_each_rung() -> None:
    worst: dict[tuple[str, str], float] = defaultdict(float)
    for one in RUN.run.records:
        if isinstance(one, RungResult) and one.result.error is not None:
            key = one.contender.label, one.rung
            worst[key] = max(worst[key], one.result.error)
    shown = marks(CHARTS["parity"], "rung", "kind")
    for one in shown:
        if one["rung"] == "shapes":
            assert (one["text"], one["kind"]) == ("✓", "no number")
        else:
            error = worst[one["contender"], one["rung"]]
            assert one["text"] == f"{error:.2g}"
            bounds = {"below 0.01": 0.01, "to 0.1": 0.1, "to 0.5": 0.5, "to 1": 1.0}
            assert error < bounds[one["kind"]]


def test_a_failed_rung_is_red_whatever_its_other_cases_say() -> None:
    shown = marks(charts(with_a_failure())["parity"], "rung", "kind")
    failed = [one for one in shown if one["kind"] == "failed"]
    assert [(one["contender"], one["rung"]) for one in failed] == [("backend00", "gradients")]
    assert failed[0]["text"].startswith("✗")


def test_learning_curves_are_the_epochs() -> None:
    epochs = [one for one in RUN.run.records if isinstance(one, Epoch)]
    own = sorted((e for e in epochs if e.contender.label == "backend02"), key=lambda e: e.epoch)
    seconds = np.cumsum([e.seconds for e in own])
    for name, places, values in (
        ("accuracy-by-epoch", range(1, 9), [100 * e.validation_accuracy for e in own]),
        ("accuracy-by-seconds", seconds, [100 * e.validation_accuracy for e in own]),
        ("loss-by-epoch", range(1, 9), [e.teacher_forced_loss_nats for e in own]),
        ("loss-by-seconds", seconds, [e.teacher_forced_loss_nats for e in own]),
    ):
        shown = [one for one in marks(CHARTS[name], "x", "y") if one["contender"] == "backend02"]
        assert [one["x"] for one in shown] == pytest.approx(list(places))
        assert [one["y"] for one in shown] == pytest.approx(values)
    limits = re.findall(
        r"(?:Bayes accuracy|entropy floor) (\d+)", CHARTS["accuracy-by-epoch"].alternative
    )
    assert limits == ["98"]
    assert "entropy floor 0.13" in CHARTS["loss-by-epoch"].alternative


@pytest.mark.parametrize("workload", list(WORKLOADS))
def test_every_block_is_there_in_the_order_of_time(workload: str) -> None:
    scale = WORKLOADS[workload].display_scale
    shown = marks(CHARTS[f"blocks-{workload}"], "turn", "low")
    for name, times in blocks(workload).items():
        own = [one for one in shown if one["contender"] == name]
        in_order = [scale * times[place] for place in sorted(times)]
        assert [one["value"] for one in own] == pytest.approx(in_order)
        assert [one["turn"] for one in own] == list(range(len(times)))


def test_bins_hold_median_and_range() -> None:
    points = [(float(n), float(n * n)) for n in range(10)]
    found = binned(points, 3)
    assert found == [(1.5, 2.5, 0.0, 9.0), (5.5, 30.5, 16.0, 49.0), (8.5, 72.5, 64.0, 81.0)]
    assert binned(points, 100) == [(x, y, y, y) for x, y in points]


def test_beyond_two_thousand_marks_bins_are_shown_and_said_to_be() -> None:
    found = charts(answer(12, launches=12, rounds=16, epochs=200))
    for name in ("blocks-train", "accuracy-by-epoch", "latency-generate"):
        assert re.search("edian and range", found[name].caption), name
        assert max(map(len, layers(found[name]))) <= 2000
    own = [one for one in marks(found["blocks-train"], "low") if one["contender"] == "torch"]
    assert len(own) == 12 and all(one["low"] <= one["value"] <= one["high"] for one in own)


def test_numbers_are_of_at_most_200_rows_and_say_what_is_left_out() -> None:
    for chart in charts(answer(12, launches=6, rounds=6)).values():
        shown = chart.numbers.shown
        assert len(shown) <= 200
        assert len(shown) + chart.numbers.left_out == len(chart.numbers.rows)
        assert all(len(row.cells) == len(chart.numbers.columns) for row in chart.numbers.rows)

"""What other tools read: right by their schemas, and with the run's own numbers."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import xmlschema
from made_up_answer import answer, with_a_failure
from made_up_run import BASE

from lstmbench.analysis.results import RunResult
from lstmbench.parity import Comparison
from lstmbench.protocol.observations import BlockCheck, RungResult, TrainingCheck
from lstmbench.report import formats
from lstmbench.report.exports import junit

JUNIT = xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))
METRIC = {
    "type": "object",
    "properties": {name: {"type": "number"} for name in ("value", "lower_value", "upper_value")},
    "required": ["value"],
    "additionalProperties": False,
}
BENCHER = {
    "type": "object",
    "additionalProperties": {"type": "object", "additionalProperties": METRIC, "minProperties": 1},
}
"""Of Bencher Metric Format, as https://bencher.dev/docs/reference/bencher-metric-format/ has it."""
GITHUB = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "unit": {"type": "string"},
            "value": {"type": "number"},
            "range": {"type": "string"},
            "extra": {"type": "string"},
        },
        "required": ["name", "unit", "value"],
        "additionalProperties": False,
    },
}
"""As the README of benchmark-action/github-action-benchmark describes its custom tools."""


def read(run: RunResult, form: formats.Format) -> Any:
    return json.loads(formats.render(run, form))


@pytest.mark.parametrize("run", [answer(1), answer(4), with_a_failure()], ids=["1", "4", "failed"])
def test_exports_are_right_by_their_schemas(run: RunResult) -> None:
    jsonschema.validate(read(run, "bencher"), BENCHER)
    jsonschema.validate(read(run, "github-action-benchmark"), GITHUB)
    JUNIT.validate(formats.render(run, "junit"))


def test_bencher_carries_times_in_nanoseconds_and_intervals() -> None:
    run = answer(4)
    one = run["backend02"]
    found = read(run, "bencher")["backend02: training step"]
    expected = [1e9 * v for v in one.seconds["train"]]
    names = ("value", "lower_value", "upper_value")
    assert [found["latency"][name] for name in names] == pytest.approx(expected)
    ratio = found["speed-over-baseline"]
    assert [ratio[name] for name in names] == pytest.approx(list(one.speed_ratio["train"]))
    accuracy = read(run, "bencher")["backend02: trained model"]["test-accuracy"]
    assert [accuracy[name] for name in names] == [0.96, 0.958, 0.962]


def test_an_interval_that_is_not_known_is_left_out() -> None:
    found = read(answer(2, launches=1), "bencher")["torch: training step"]["latency"]
    assert set(found) == {"value"}


def test_github_gets_time_over_the_baselines_and_its_range() -> None:
    run = answer(4)
    (found,) = (
        one
        for one in read(run, "github-action-benchmark")
        if one["name"] == "backend03: training step"
    )
    ratio = run["backend03"].speed_ratio["train"]
    assert found["value"] == pytest.approx(1 / ratio.value)
    low, high = (float(end) for end in found["range"].strip("[]").split(", "))
    assert low == pytest.approx(1 / ratio.high, rel=5e-3)
    assert high == pytest.approx(1 / ratio.low, rel=5e-3)
    assert found["unit"] == "× torch's time"


def test_one_that_failed_has_no_speed_for_anybody() -> None:
    run = with_a_failure()
    assert not any("backend00" in name for name in read(run, "bencher"))
    assert not any("backend00" in one["name"] for one in read(run, "github-action-benchmark"))


def test_junit_has_a_case_for_each_comparison_and_counts_them() -> None:
    run = with_a_failure()
    root = ElementTree.fromstring(formats.render(run, "junit"))
    for suite, one in zip(root, run.contenders, strict=True):
        assert suite.get("name") == one.contender.label
        compared = len(one.rungs) + len(one.checks) + len(one.training_checks)
        assert len(suite) == int(suite.get("tests", "")) == compared + (one.failure is not None)
        for kind, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.get(kind, "")) == len(suite.findall(f"testcase/{element}"))
    (bad,) = (suite for suite in root if suite.get("name") == "backend00")
    assert (bad.get("failures"), bad.get("errors")) == ("1", "1")
    (failure,) = bad.findall("testcase/failure")
    assert "1e+06 × tolerance" in (failure.get("message") or "")


def test_junit_tells_timed_results_and_training_apart() -> None:
    wrong = Comparison(outcome="failed", error=9.0, tolerance=1e-6, array="loss")
    unclaimed = Comparison(outcome="not claimed")
    suite = junit.Suite(
        BASE,
        [
            RungResult(contender=BASE, case="run", rung="generate", result=unclaimed),
            BlockCheck(contender=BASE, launch=1, round=2, workload="train", result=wrong),
            BlockCheck(contender=BASE, launch=2, round=0, workload="train", result=wrong),
            TrainingCheck(contender=BASE, check="logits", epoch=3, result=wrong),
            TrainingCheck(contender=BASE, check="losses", result=wrong),
        ],
        None,
    )
    text = junit.render_suites([suite])
    JUNIT.validate(text)
    cases = ElementTree.fromstring(text).findall("testsuite/testcase")
    assert [(case.get("classname"), case.get("name")) for case in cases] == [
        ("torch.run", "generate"),
        ("torch.timed", "train, launch 1, round 2"),
        ("torch.timed", "train, launch 2, round 0"),
        ("torch.training", "logits, epoch 3"),
        ("torch.training", "losses"),
    ]
    assert cases[0].find("skipped") is not None

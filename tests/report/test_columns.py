import math

import pytest
from made_up_run import BASE, CONTENDERS, FAST, of, result_of

from lstmbench.interface.workloads import PARTS, WORKLOADS
from lstmbench.report.columns import ESTIMATED, EVERYTHING, TABLES, interval, row
from lstmbench.statistics import Estimate


def test_no_two_columns_share_a_key() -> None:
    keys = [column.key for column in EVERYTHING]
    assert len(keys) == len(set(keys))


def test_every_column_of_a_table_is_known_to_programs_too() -> None:
    shown = {column for columns in TABLES.values() for column in columns}
    for_people_alone = {"contender", "parity"}
    assert {column.key for column in shown - set(EVERYTHING)} == for_people_alone


def test_every_workload_and_part_has_its_columns() -> None:
    keys = {column.key for column in EVERYTHING}
    for name, workload in WORKLOADS.items():
        assert {workload.metric, f"{name}_speed_over_baseline", f"{name}_share_of_bound"} <= keys
    assert {part.metric for part in PARTS} <= keys


def test_a_row_holds_unrounded_numbers_and_estimates_with_both_ends() -> None:
    found = result_of(CONTENDERS)
    flat = row(of(found, FAST), found)
    ratio = of(found, FAST).speed_ratio["train"]
    names = [f"train_speed_over_baseline{end}" for end in ("", "_low", "_high")]
    assert [flat[name] for name in names] == list(ratio)
    assert flat["tokens_per_second"] == 640 / of(found, FAST).seconds["train"].value
    assert flat["passed"] is True and flat["reasons"] == []
    baseline = row(of(found, BASE), found)
    assert all(baseline[name] is None for name in names)
    assert baseline.keys() == flat.keys() and names[0].removesuffix("_low") in ESTIMATED


def test_a_metric_without_a_column_is_not_lost() -> None:
    found = result_of(CONTENDERS)
    of(found, FAST).metrics["made_up"] = 0.25
    assert row(of(found, FAST), found)["made_up"] == 0.25


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (None, "–"),
        (Estimate(1.23456, 1.0, 2.0), "1.23 [1, 2]"),
        (Estimate(1234.56, 999.9, 2000.1), "1235 [1000, 2000]"),
        (Estimate(1.0, math.nan, math.nan), "1 [?, ?]"),
    ],
)
def test_intervals_are_shown_to_three_digits(estimate: Estimate | None, text: str) -> None:
    assert interval(estimate) == text

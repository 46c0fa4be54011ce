import io
import json
import math

import numpy as np
import pytest
from made_up_run import BASE, EQUAL, FAST, ROWS, header, line, records, summarised
from msgspec.structs import replace
from rich.console import Console
from scipy import stats

from lstmbench.analysis import results as summary
from lstmbench.protocol.messages import Failure, Row
from lstmbench.records import folder as store
from lstmbench.report import comparison


def change(found: comparison.Comparison, row: Row) -> comparison.Change:
    return next(c for c in found.changes if c.row == row and c.workload == "train")


def shown(found: comparison.Comparison, gate: float = 0.05) -> str:
    out = Console(width=300, record=True, file=io.StringIO())
    comparison.show(found, gate, out)
    return out.export_text()


def test_a_run_is_as_fast_as_itself() -> None:
    found = comparison.compare(summarised(ROWS), summarised(ROWS))
    assert {c.row for c in found.changes} == set(ROWS)
    assert all(c.speed.value == pytest.approx(1) for c in found.changes)
    assert comparison.passes(found, 0.0)
    assert "no difference seen" in shown(found)


def test_what_became_slower_breaks_the_gate() -> None:
    slower = summarised({**ROWS, FAST: 0.010})
    found = comparison.compare(summarised(ROWS), slower)
    one = change(found, FAST)
    assert one.speed_over_baseline is not None
    assert one.speed_over_baseline.low < 0.5 < one.speed_over_baseline.high
    assert one.broken(0.05) and not one.broken(0.6)
    assert not comparison.passes(found, 0.05)
    assert "slower by more than 5%" in shown(found)
    assert comparison.passes(comparison.compare(slower, summarised(ROWS)), 0.05)


def test_a_slower_machine_is_not_a_slower_backend() -> None:
    found = comparison.compare(summarised(ROWS), summarised({r: 3 * s for r, s in ROWS.items()}))
    assert change(found, FAST).speed.high < 0.5
    assert not change(found, FAST).broken(0.05)
    assert change(found, BASE).speed_over_baseline is None
    assert change(found, BASE).broken(0.05), "a baseline has but the clock to go by"


def test_the_interval_is_welchs_on_logarithms() -> None:
    before, after = summarised(ROWS), summarised({**ROWS, EQUAL: 0.011})
    logs = [np.log(line(run, EQUAL).launch_ratios["train"]) for run in (after, before)]
    interval = stats.ttest_ind(*logs, equal_var=False).confidence_interval(0.95)
    found = change(comparison.compare(before, after), EQUAL).speed_over_baseline
    assert found is not None
    assert (found.low, found.high) == pytest.approx(
        (math.exp(interval.low), math.exp(interval.high))
    )


def test_a_row_that_broke_is_named() -> None:
    failure = Failure(row=FAST, phase="training", reason="raised", message="E: e")
    found = comparison.compare(summarised(ROWS), summarised(ROWS, failure))
    assert found.broke == [FAST]
    assert not comparison.passes(found, 0.5)
    assert "fast was sound and is no more" in shown(found)


def test_other_rows_and_settings_are_told() -> None:
    rows = {BASE: 0.01, EQUAL: 0.01}
    fewer = store.Run(header(*rows), records(rows))
    settings = replace(fewer.header.settings, batch=3)
    fewer.header = replace(fewer.header, settings=settings)
    found = comparison.compare(summarised(ROWS), summary.summarise(fewer))
    assert found.only_in_one == [FAST]
    assert found.differences == {"batch": (64, 3)}
    assert "batch differs: 64 and 3" in shown(found)
    assert json.loads(json.dumps(comparison.plain(found, 0.05)))["only_in_one"] == ["fast"]

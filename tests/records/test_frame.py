import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import lstmbench
from lstmbench import UsageError
from lstmbench.host.environment import Environment
from lstmbench.parity import Comparison
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import (
    Block,
    Epoch,
    Failure,
    Finished,
    Record,
    RungResult,
    Startup,
    Trained,
)
from lstmbench.protocol.settings import Settings
from lstmbench.records import folder as folders

NUMPY = Contender(backend="numpy")
HEADER = folders.Header(
    lstmbench="0.1.0",
    created="2026-01-01T00:00:00+00:00",
    settings=Settings(backend=("numpy",)),
    contenders=[NUMPY],
    skipped={},
    environment=Environment(),
)
Save = Callable[..., Path]


@pytest.fixture
def saved(tmp_path: Path) -> Save:
    """Writes a run with some records, and returns its folder."""

    def save(*records: Record) -> Path:
        folders.create(tmp_path / "run", HEADER)
        writer = folders.Writer(tmp_path / "run")
        for record in records:
            writer.append(record)
        writer.close()
        return tmp_path / "run"

    return save


def epoch(number: int = 0, free: float | None = 2.0) -> Epoch:
    return Epoch(
        contender=NUMPY,
        epoch=number,
        seconds=1.5,
        teacher_forced_batches=3,
        free_running_batches=2,
        teacher_forced_loss_nats=0.25,
        free_running_loss_nats=free,
        loss_nats=1.0,
        validation_accuracy=0.5,
    )


COLUMNS = ["backend", "device", "metric", "unit", "launch", "round", "epoch", "value"]
OBSERVATIONS: list[Record] = [
    Startup(
        contender=NUMPY,
        launch=1,
        import_seconds=0.5,
        build_seconds=0.25,
        compile_seconds=2.0,
        first_step_seconds=0.125,
        calls={"train": 4},
        description={},
        peak_bytes=3 << 20,
        imported_bytes=1 << 20,
    ),
    Block(contender=NUMPY, launch=1, round=3, position=0, workload="train", calls=4, seconds=[2.0]),
    Block(
        contender=NUMPY,
        launch=1,
        round=4,
        position=1,
        workload="generate",
        calls=2,
        units_per_call=64,
        seconds=[64.0, 128.0],
    ),
    epoch(7, free=None),
    Trained(
        contender=NUMPY,
        metrics={"test_accuracy": 0.9, "test_cross_entropy_nats": 0.2},
        peak_bytes=2048,
        imported_bytes=1024,
    ),
    Failure(contender=NUMPY, phase="parity", kind="raised", message="E"),
    RungResult(
        contender=NUMPY, case="odd", rung="loss", result=Comparison(outcome="passed", error=0.5)
    ),
    Finished(phase="training", contender=NUMPY),
]


def test_frame_is_tidy_with_a_unit_for_every_value(saved: Save) -> None:
    table = lstmbench.load(saved(*OBSERVATIONS))
    assert list(table.columns) == COLUMNS
    assert set(table["backend"]) == {"numpy"} and set(table["device"]) == {"cpu"}
    found = {
        (metric, unit, *(None if math.isnan(n) else int(n) for n in where)): value
        for metric, unit, *where, value in table.astype(
            {"launch": "float", "round": "float", "epoch": "float"}
        )[COLUMNS[2:]].itertuples(index=False)
        if not math.isnan(value) and metric != "seconds_per_generated_digit"
    }
    assert found == {
        ("import_seconds", "s", 1, None, None): 0.5,
        ("build_seconds", "s", 1, None, None): 0.25,
        ("compile_seconds", "s", 1, None, None): 2.0,
        ("first_step_seconds", "s", 1, None, None): 0.125,
        ("seconds_per_step", "s", 1, 3, None): 0.5,
        ("epoch_seconds", "s", None, None, 7): 1.5,
        ("teacher_forced_loss", "nats", None, None, 7): 0.25,
        ("loss", "nats", None, None, 7): 1.0,
        ("validation_accuracy", "1", None, None, 7): 0.5,
        ("peak_memory", "bytes", None, None, None): 2048,
        ("test_accuracy", "1", None, None, None): 0.9,
        ("test_cross_entropy", "nats", None, None, None): 0.2,
    }


def test_frame_has_a_row_for_each_call_that_was_timed_by_itself(saved: Save) -> None:
    table = lstmbench.load(saved(*OBSERVATIONS))
    digits = table[table["metric"] == "seconds_per_generated_digit"]
    assert digits["value"].tolist() == [1.0, 2.0]
    assert digits["round"].tolist() == [4, 4] and set(digits["unit"]) == {"s"}


def test_a_loss_that_was_not_seen_is_missing_in_the_frame(saved: Save) -> None:
    table = lstmbench.load(saved(epoch(free=None)))
    assert table[table["metric"] == "free_running_loss"]["value"].isna().all()


def test_frame_of_a_run_without_observations_has_its_columns(saved: Save) -> None:
    table = lstmbench.load(str(saved()))
    assert list(table.columns) == COLUMNS and len(table) == 0
    assert table["value"].dtype == "float64" and table["launch"].dtype == "Int64"


def test_load_refuses_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape(repr(str(tmp_path)))):
        lstmbench.load(tmp_path)

"""The Python API: what the command line does, as functions."""

import json
from pathlib import Path

import pytest

import lstmbench
from lstmbench import RunResult, UsageError

SMALL = {
    "hidden": 6,
    "batch": 4,
    "seq_len": 5,
    "epochs": 1,
    "batches_per_epoch": 2,
    "launches": 2,
    "rounds": 1,
    "block_seconds": 0.002,
    "time_budget": 0,
    "threads": 1,
}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    folder = tmp_path_factory.mktemp("runs") / "run"
    return lstmbench.run(backend="numpy", output=folder, **SMALL)


def test_a_run_returns_what_is_on_disk(result: RunResult) -> None:
    assert result.passed and result.complete and result.folder is not None
    assert sorted(path.name for path in result.folder.iterdir()) == [
        "records.jsonl",
        "report.html",
        "report.md",
        "run.json",
        "summary.csv",
    ]
    again = lstmbench.open_run(result.folder)
    assert again.run == result.run and again["numpy"] == result["numpy"]
    assert lstmbench.render(result, "csv") == (result.folder / "summary.csv").read_text()
    assert lstmbench.render(result) == (result.folder / "report.md").read_text()
    assert json.loads(lstmbench.render(result, "json"))["passed"]
    assert lstmbench.render(result, "html") == (result.folder / "report.html").read_text()


def test_a_result_has_settings_environment_estimates_and_verdicts(result: RunResult) -> None:
    assert result.settings.hidden == 6 and (result.environment.cores_usable or 0) >= 1
    numpy = result["numpy"]
    assert numpy.verdict.status == "passed" and numpy.verdict.reasons == ()
    step = numpy.seconds["train"]
    assert step.low < step.value < step.high
    with pytest.raises(KeyError, match="numpy"):
        result["nampy"]


def test_its_frame_is_what_load_gives(result: RunResult) -> None:
    assert result.folder is not None
    table = lstmbench.load(result.folder)
    assert result.frame().equals(table)
    assert set(table.backend) == {"numpy"}


def test_a_finished_run_is_resumed_without_measuring_again(result: RunResult) -> None:
    assert result.folder is not None
    before = (result.folder / "records.jsonl").read_bytes()
    assert lstmbench.resume(result.folder).passed
    assert (result.folder / "records.jsonl").read_bytes() == before


def test_two_runs_are_compared_as_results_or_folders(result: RunResult) -> None:
    assert result.folder is not None
    for other in (result, result.folder, str(result.folder)):
        found = lstmbench.compare(result, other)
        assert found.passed(0.0)
        assert {change.workload for change in found.changes} == {"train", "forward", "generate"}


def test_check_says_what_passed() -> None:
    (found,) = lstmbench.check("numpy", hidden=6, batch=4, seq_len=5, threads=1)
    assert found.passed and found.verdict.status == "passed"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"backend": "nunpy"}, "did you mean 'numpy'"),
        ({"hiden": 3}, "did you mean 'hidden'"),
        ({"batch": 0}, "batch = 0"),
    ],
)
def test_what_cannot_be_done_is_a_usage_error_and_leaves_nothing(
    tmp_path: Path, settings: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        lstmbench.run(output=tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_a_self_test_takes_one_backend() -> None:
    with pytest.raises(UsageError, match="one backend, not numba, numpy"):
        lstmbench.selftest(backend="numba,numpy")


def test_the_face_offers_what_it_names() -> None:
    assert set(lstmbench.__all__) <= set(dir(lstmbench))
    for name in lstmbench.__all__:
        assert getattr(lstmbench, name) is not None
    assert lstmbench.__version__.count(".") == 2

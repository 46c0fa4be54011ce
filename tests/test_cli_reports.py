"""The commands that show runs: formats, files, what is missing and what is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

REFERENCE = Path(__file__).parents[1] / "results" / "reference" / "cpu-2-cores"
SCHEMA_1 = Path(__file__).parent / "records" / "schema-1"
SMALL = [
    "--backend=numpy",
    "--hidden=6",
    "--batch=4",
    "--seq-len=5",
    "--epochs=2",
    "--batches-per-epoch=2",
    "--launches=2",
    "--rounds=1",
    "--block-seconds=0.002",
    "--time-budget=0",
    "--threads=1",
]


def lstmbench(*arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lstmbench", *map(str, arguments)]
    environment = {**os.environ, **more}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """The environment of an installation without the extras for reports and TensorBoard."""
    hide = "import sys\nfor name in ('altair', 'vl_convert', 'tensorboardX'):\n"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(f"{hide}    sys.modules[name] = None\n")
    return {"PYTHONPATH": str(tmp_path / "site")}


def test_the_short_answer_fits_80_columns_and_details_have_everything() -> None:
    short = lstmbench("report", REFERENCE, COLUMNS="")
    assert short.returncode == 0 and max(map(len, short.stdout.splitlines())) <= 80
    assert short.stdout.splitlines()[1].startswith("All 4 contenders agree")
    assert "--details" in short.stdout
    details = lstmbench("report", REFERENCE, "--details")
    for part in ("Where the time goes", "Learning", "n-gram accuracy", "versions"):
        assert part in details.stdout and part not in short.stdout


@pytest.mark.parametrize(
    ("form", "start"),
    [
        ("html", "<!doctype html>"),
        ("bencher", "{"),
        ("github-action-benchmark", "["),
        ("junit", "<?xml"),
        ("markdown", "# lstmbench"),
        ("csv", "backend,"),
        ("json", "{"),
    ],
)
def test_every_format_goes_to_standard_output_or_to_a_file(
    form: str, start: str, tmp_path: Path
) -> None:
    printed = lstmbench("report", REFERENCE, "--format", form)
    assert printed.returncode == 0 and printed.stdout.startswith(start), printed.stderr
    written = lstmbench("report", REFERENCE, "--format", form, "--output", tmp_path / "file")
    assert written.stdout == "" and "written to" in written.stderr
    assert (tmp_path / "file").read_text() == printed.stdout


def test_two_runs_are_one_page_and_one_text(tmp_path: Path) -> None:
    for form, start in (("html", "<!doctype html>"), ("markdown", "# lstmbench"), ("json", "{")):
        done = lstmbench("compare", REFERENCE, REFERENCE, "--format", form)
        assert done.returncode == 0 and done.stdout.startswith(start), done.stderr
    assert "No difference in speed was seen." in lstmbench("compare", REFERENCE, REFERENCE).stdout


def test_figures_are_written_in_three_forms(tmp_path: Path) -> None:
    done = lstmbench("report", REFERENCE, "--figures", tmp_path / "figures")
    assert done.returncode == 0, done.stderr
    names = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert {"speed-train", "parity", "roofline-cpu", "loss-by-epoch"} <= names
    assert len(list((tmp_path / "figures").iterdir())) == 3 * len(names)
    assert f"{3 * len(names)} files written" in done.stderr


def test_a_site_is_written_and_brought_up_to_date(tmp_path: Path) -> None:
    site = tmp_path / "site"
    for _ in range(2):
        done = lstmbench("site", REFERENCE, SCHEMA_1, "--output", site)
        assert done.returncode == 0 and "2 runs written" in done.stdout, done.stderr
    index = json.loads((site / "index.json").read_text())
    assert {(site / one["page"]).exists() for one in index["runs"]} == {True}
    assert (site / "index.html").exists() and (site / "runs.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report", "RUN", "--format=pdf"], ["--format", "'pdf'", "markdown", "junit"]),
        (["report", "RUN", "--output=x"], ["--output x", "--format other than terminal"]),
        (["report", "RUN", "--format=csv", "--details"], ["--details", "--format csv"]),
        (["report", "RUN", "--figures=FILE"], ["FILE"]),
        (["compare", "RUN", "RUN", "--output=x"], ["--output x", "other than terminal"]),
        (["compare", "RUN", "RUN", "--format=csv"], ["--format", "'csv'", "html"]),
        (["site", "nowhere"], ["'nowhere'", "no such file"]),
        (["site", "EMPTY"], ["is no run folder"]),
        (["site"], ["DIR"]),
        (["site", "RUN", "--output=OTHER"], ["not empty and holds no site"]),
        (["run", "--print-every=-1"], ["--print-every", "-1"]),
        (["check", "numpy", "--format=xml"], ["--format", "'xml'", "junit"]),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str], words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "something").touch()
    (tmp_path / "file").touch()
    names = {
        "RUN": REFERENCE,
        "EMPTY": tmp_path / "empty",
        "OTHER": tmp_path / "other",
        "FILE": tmp_path / "file",
    }
    given = [
        "=".join(str(names.get(part, part)) for part in argument.split("=", 1))
        for argument in arguments
    ]
    done = lstmbench(*given)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    for word in words:
        assert str(names.get(word, word)).lower() in done.stderr.lower()


def test_training_is_told_of_and_written_as_it_goes_on(tmp_path: Path) -> None:
    done = lstmbench(
        "run",
        *SMALL,
        "--print-every=1",
        "--output",
        tmp_path / "run",
        "--tensorboard",
        tmp_path / "tb",
    )
    assert done.returncode == 0, done.stderr
    for epoch in (1, 2):
        assert f"numpy: epoch {epoch}: train loss " in done.stderr
    assert any((tmp_path / "tb" / "numpy").iterdir())
    assert "charts: report.html" in done.stdout
    assert (tmp_path / "run" / "report.html").read_text().startswith("<!doctype html>")


def test_without_the_extras_a_line_says_what_to_install(
    bare: dict[str, str], tmp_path: Path
) -> None:
    done = lstmbench("run", *SMALL, "--output", tmp_path / "run", **bare)
    assert done.returncode == 0 and "pip install 'lstmbench[report]'" in done.stderr
    assert not (tmp_path / "run" / "report.html").exists()
    assert (tmp_path / "run" / "report.md").exists()
    for arguments, extra in (
        (["report", REFERENCE, "--format=html"], "report"),
        (["report", REFERENCE, "--figures", tmp_path / "figures"], "report"),
        (["compare", REFERENCE, REFERENCE, "--format=html"], "report"),
        (["site", REFERENCE], "report"),
        (["report", REFERENCE, "--tensorboard", tmp_path / "tb"], "tensorboard"),
        (
            ["run", *SMALL, "--output", tmp_path / "b", "--tensorboard", tmp_path / "tb"],
            "tensorboard",
        ),
    ):
        done = lstmbench(*arguments, **bare)
        assert done.returncode == 2 and done.stdout == ""
        assert done.stderr.count("\n") == 1 and f"lstmbench[{extra}]" in done.stderr
    assert not (tmp_path / "b").exists(), "nothing is begun that cannot be done as asked"
    assert lstmbench("report", REFERENCE, **bare).returncode == 0


def test_check_writes_junit() -> None:
    done = lstmbench("check", "numpy", "--hidden=6", "--batch=4", "--seq-len=5", "--format=junit")
    assert done.returncode == 0 and done.stdout.startswith("<?xml")
    assert 'failures="0"' in done.stdout and "numpy.odd" in done.stdout

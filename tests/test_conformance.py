"""The three ways in: Python, a test function and pytest's own option."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import stranger

from lstmbench import UsageError, conformance

FACTORIES = ("misbehaving:NotANumber", "misbehaving:Aborts", "honest:InferenceAlone")
SMALL = {"hidden": 8, "batch": 4, "seq_len": 5, "threads": 1}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger.install(tmp_path, monkeypatch, FACTORIES)


def run_pytest(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit status and output of pytest with a plugin author's options."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folder,
        env={**os.environ, "COLUMNS": "200"},
    )
    return done.returncode, done.stdout + done.stderr


def counts(output: str) -> dict[str, int]:
    """How many tests ended how, from pytest's last line."""
    words = output.strip().splitlines()[-1].strip("= ").split(" in ")[0].split(", ")
    return {outcome: int(number) for number, outcome in (word.split() for word in words)}


@pytest.mark.usefixtures("installed")
def test_check_tells_where_each_backend_first_differs() -> None:
    numpy, wrong, aborting, partial = conformance.check(
        "numpy", "notanumber", "aborts", "inferencealone", **SMALL
    )
    assert numpy.passed and numpy.first_difference is None
    places = tuple(f"{rung.case}/{rung.rung}" for rung in numpy.rungs)
    assert places == conformance.PLACES
    assert not wrong.passed
    assert wrong.first_difference is not None
    assert (wrong.first_difference.case, wrong.first_difference.rung) == ("odd", "clip")
    assert not aborting.passed
    assert aborting.failure is not None and aborting.failure.kind == "aborted"
    assert aborting.failure.message.startswith("at odd/shapes: ended by SIGABRT")
    assert aborting.verdict.reasons == (f"aborted in parity: {aborting.failure.message}",)
    assert partial.passed
    assert all(rung.seconds is not None for rung in numpy.rungs)
    assert {r.rung for r in partial.rungs if r.result.outcome == "not claimed"} >= {
        "loss",
        "generate",
    }


@pytest.mark.parametrize(
    ("names", "settings", "message"),
    [
        (["nampy"], {}, "nampy.*numpy"),
        (["numpy"], {"hiden": 3}, "hiden"),
        (["numpy"], {"dtype": "float16"}, "float16"),
    ],
)
def test_check_refuses_what_it_does_not_know(
    names: list[str], settings: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        conformance.check(*names, **settings)


KNOWN = """
# until the optimiser is mended
*/clip
*/*step*  # NaN from the first step
*/trajectory
*/free-running* # so is this
*/*after-training
*/side-effects
*/accuracy
"""


@pytest.mark.usefixtures("installed")
def test_pytest_option_adds_a_test_for_each_rung(tmp_path: Path) -> None:
    (tmp_path / "known.txt").write_text(KNOWN)
    status, output = run_pytest(
        tmp_path,
        "--lstmbench=inferencealone,notanumber",
        f"--lstmbench-known-failures={tmp_path / 'known.txt'}",
        "--lstmbench-dtype=float64",
        f"--junitxml={tmp_path / 'junit.xml'}",
        "-k",
        "not generate",
    )
    found = counts(output)
    assert status == 0, output
    assert set(found) == {"passed", "skipped", "xfailed", "deselected"}
    assert "XFAIL lstmbench::notanumber::odd/step - NaN from the first step" in output
    assert "PASSED lstmbench::notanumber::odd/forward" in output
    assert sum(found.values()) == 2 * len(conformance.PLACES)
    report = ElementTree.parse(tmp_path / "junit.xml")
    times = {case.get("name"): float(case.get("time", 0)) for case in report.iter("testcase")}
    assert times["odd/many-passes"] > 0
    assert times["odd/shapes"] < 1, "the rung's own time, not that of the whole climb"


TEST_FILE = """
from lstmbench.conformance import ladder_tests

SMALL = {"hidden": 8, "batch": 4, "seq_len": 5, "threads": 1}
test_wrong = ladder_tests("notanumber", known_failures="known.txt", **SMALL)
test_aborting = ladder_tests("aborts", **SMALL)
"""


@pytest.mark.usefixtures("installed")
def test_one_import_gives_a_test_for_each_rung(tmp_path: Path) -> None:
    (tmp_path / "known.txt").write_text("*/step\n*/forward # passes: to be struck off the list\n")
    (tmp_path / "test_mine.py").write_text(TEST_FILE)
    status, output = run_pytest(tmp_path)
    assert status == 1
    assert "FAILED test_mine.py::test_wrong[odd/clip]" in output
    assert "notanumber differs from the float64 oracle at odd/clip: " in output
    assert "FAILED test_mine.py::test_wrong[odd/forward] - [XPASS(strict)] passes" in output
    assert "XFAIL test_mine.py::test_wrong[odd/step]" in output
    assert "PASSED test_mine.py::test_wrong[odd/state]" in output
    assert "FAILED test_mine.py::test_aborting[odd/shapes]" in output
    assert "aborts: not reached: aborted in parity: at odd/shapes: ended by SIGABRT" in output
    assert sum(counts(output).values()) == 2 * len(conformance.PLACES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lstmbench=nampy"], "nampy"),
        (["--lstmbench=numpy", "--lstmbench-dtype=float16"], "float16"),
        (["--lstmbench=numpy", "--lstmbench-known-failures=none.txt"], "none.txt"),
    ],
)
def test_pytest_refuses_what_it_does_not_know_in_one_line(
    tmp_path: Path, options: list[str], message: str
) -> None:
    status, output = run_pytest(tmp_path, *options)
    assert status == pytest.ExitCode.USAGE_ERROR
    (line,) = (line for line in output.splitlines() if line.startswith("ERROR:"))
    assert message in line
    assert "Traceback" not in output


# Known failures


def known(folder: Path, text: str) -> dict[str, str]:
    file = folder / "known.txt"
    file.write_text(text)
    return conformance.read_known_failures(file)


def test_known_failures_are_places_or_patterns_with_a_reason(tmp_path: Path) -> None:
    found = known(tmp_path, "# all\n\nodd/clip  # why\n*/accuracy\nsingle/st*#x\n")
    assert found == {
        "odd/clip": "why",
        "wide/accuracy": "known failure",
        "training/accuracy": "known failure",
        "single/state": "x",
        "single/step": "x",
        "single/steps": "x",
    }


def test_a_known_failure_that_names_no_rung_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"line 2: no rung matches 'odd/clap'.*odd.*clip"):
        known(tmp_path, "odd/clip\nodd/clap\n")

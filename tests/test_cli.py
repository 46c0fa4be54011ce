import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import stranger

from lstmbench import load
from lstmbench.conformance import PLACES

SMALL = [
    "--hidden=6",
    "--batch=4",
    "--seq-len=5",
    "--epochs=1",
    "--batches-per-epoch=2",
    "--launches=2",
    "--rounds=1",
    "--block-seconds=0.002",
    "--time-budget=0",
    "--threads=1",
]


def lstmbench(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lstmbench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder."""
    result = tmp_path_factory.mktemp("runs") / "run"
    done = lstmbench("run", "--backend=numpy", *SMALL, "--output", str(result))
    assert done.returncode == 0, done.stderr
    phases = ["parity", "timing", "oracle's training", "training"]
    assert re.findall("^lstmbench: (.*): about [0-9]+ steps$", done.stderr, re.M) == phases
    assert done.stderr.count("\n") == len(phases), "a line for each where there is no terminal"
    assert "✓" in done.stdout
    return result


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--backend=nunpy"], ["backend 'nunpy'", "did you mean 'numpy'", "torch"]),
        (["run", "--task=digit"], ["task 'digit'", "did you mean 'digits'"]),
        (["run", "--device=cpuu"], ["device 'cpuu'", "auto, cpu"]),
        (["run", "--dtype=float16"], ["--dtype", "'float16'", "float32", "float64"]),
        (["run", "--dtype=float64", "--tf32"], ["tf32 is a kind of float32", "'float64'"]),
        (["run", "--backend=numpy", "--dtype=bfloat16"], ["'numpy'", "float32, float64, not in"]),
        (["run", "--batch=0"], ["--batch", "0 is not in the range"]),
        (["run", "--hidden=-3"], ["--hidden", "-3 is not in the range"]),
        (["run", "--epochs=many"], ["--epochs", "'many'"]),
        (["run", "--learning-rate=nan"], ["learning_rate", "nan"]),
        (["run", "--hidden=8192", "--layers=64"], ["hidden 8192", "GiB"]),
        (["run", "--backend=numpy", "--baseline=torch"], ["baseline 'torch'", "numpy"]),
        (["run", "--task=lag", "--seq-len=3", "--backend=numpy"], ["'lag'", "3", "5"]),
        (["run", "--resume=nowhere"], ["nowhere", "run.json"]),
        (["run", "--resume=nowhere", "--quick"], ["--resume", "no others"]),
        (["run", "--output=/dev/null/x", "--backend=numpy"], ["/dev/null/x"]),
        (["run", "--config=none.toml"], ["none.toml"]),
        (["report", "nowhere"], ["nowhere"]),
        (["compare", "nowhere", "here"], ["nowhere"]),
        (["compare", "a", "b", "--gate=2"], ["--gate", "2"]),
        (["compare", "a", "b", "--gate=nan"], ["--gate", "nan"]),
        (["check", "nunpy"], ["did you mean 'numpy'"]),
        (["run", "--nonsense"], ["--nonsense"]),
        (["runn"], ["runn"]),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str], words: list[str], tmp_path: Path
) -> None:
    done = lstmbench(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr
    assert not list(tmp_path.iterdir()), "nothing is left behind"


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("bacth = 3", ["bacth", "did you mean 'batch'"]),
        ("batch = 'x'", ["batch", "'x'", "int"]),
        ("batch = 3\nhidden = = 4", ["line 2"]),
    ],
)
def test_a_bad_config_names_file_and_key_or_line(
    toml: str, words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "c.toml").write_text(toml)
    done = lstmbench("run", "--config=c.toml", cwd=tmp_path)
    assert done.returncode == 2
    for word in ["c.toml", *words]:
        assert word in done.stderr


def test_options_win_over_the_config_and_both_over_quick(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("epochs = 2\nbatch = 5\n")
    options = [o for o in SMALL if not o.startswith(("--epochs", "--launches"))]
    given = ["--quick", "--config=c.toml", "--backend=numpy", "--output=o"]
    done = lstmbench("run", *given, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    settings = json.loads((tmp_path / "o/run.json").read_text())["settings"]
    assert (settings["epochs"], settings["batch"], settings["launches"]) == (2, 4, 3)


def test_report_prints_the_same_answer_again(folder: Path) -> None:
    done = lstmbench("report", str(folder), "--format=markdown")
    assert done.returncode == 0
    assert done.stdout == (folder / "report.md").read_text()
    csv = lstmbench("report", str(folder), "--format=csv")
    assert csv.stdout == (folder / "summary.csv").read_text()
    answer = json.loads(lstmbench("report", str(folder), "--format=json").stdout)
    assert answer["complete"] and answer["passed"] and answer["schema"] == 3
    (numpy,) = answer["contenders"]
    assert numpy["backend"] == "numpy" and numpy["passed"] and numpy["reasons"] == []


def test_runs_of_other_settings_are_not_compared(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    header = json.loads((other / "run.json").read_text())
    header["settings"]["batch"] = 5
    (other / "run.json").write_text(json.dumps(header))
    done = lstmbench("compare", str(folder), str(other))
    assert done.returncode == 2 and done.stdout == ""
    assert "two experiments: batch was 4 and is 5" in done.stderr and done.stderr.count("\n") == 1


def test_a_run_compared_with_itself_passes_any_gate(folder: Path) -> None:
    done = lstmbench("compare", str(folder), str(folder), "--gate=0", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["passed"] and {c["contender"] for c in answer["changes"]} == {"numpy"}


def test_load_gives_a_tidy_frame(folder: Path) -> None:
    table = load(folder)
    steps = table[table.metric == "seconds_per_step"]
    assert len(steps) == 2
    assert set(steps.unit) == {"s"}
    assert (steps.value > 0).all()
    assert {"test_accuracy", "peak_memory", "teacher_forced_loss"} <= set(table.metric)


def test_an_existing_folder_is_not_written_into(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    done = lstmbench("run", "--backend=numpy", "--output", str(folder))
    assert done.returncode == 2
    assert "--resume" in done.stderr
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_finished_run_resumed_measures_nothing_again(folder: Path) -> None:
    before = (folder / "records.jsonl").read_bytes()
    assert lstmbench("run", "--resume", str(folder)).returncode == 0
    assert (folder / "records.jsonl").read_bytes() == before


def test_a_run_is_not_resumed_with_other_versions(folder: Path, tmp_path: Path) -> None:
    header = json.loads((folder / "run.json").read_text())
    header["environment"]["versions"]["numpy"] = "0.1"
    (tmp_path / "run.json").write_text(json.dumps(header))
    (tmp_path / "records.jsonl").touch()
    done = lstmbench("run", "--resume", str(tmp_path))
    assert done.returncode == 2
    assert "0.1" in done.stderr


def test_check_climbs_the_ladder(tmp_path: Path) -> None:
    done = lstmbench("check", "numpy", *SMALL, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["passed"]
    (numpy,) = answer["contenders"]
    assert numpy["passed"] and numpy["status"] == "passed" and numpy["reasons"] == []
    assert [f"{r['case']}/{r['rung']}" for r in numpy["rungs"]] == list(PLACES)
    assert numpy["first_difference"] is None
    assert all(rung["seconds"] >= 0 for rung in numpy["rungs"])
    assert sum(rung["seconds"] for rung in numpy["rungs"]) > 0.1


@pytest.mark.slow
def test_check_refuses_approximate_activations_if_it_is_strict_and_tells_what_it_held_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger.install(tmp_path, monkeypatch, ["honest:Approximate", "misbehaving:Aborts"])
    done = lstmbench("check", "approximate", *SMALL, "--strict")
    assert done.returncode == 1
    assert "≈ approximate agrees with the float64 oracle" in done.stdout
    assert "within the wider tolerance of approximate activations on" in done.stdout
    assert "held for: float32, cpu, 1 threads" in done.stdout
    assert lstmbench("check", "approximate", *SMALL).returncode == 0
    done = lstmbench("check", "aborts", *SMALL)
    assert done.returncode == 1 and "these are its last words" in done.stdout
    done = lstmbench("check", "aborts", *SMALL, "--json")
    (aborts,) = json.loads(done.stdout)["contenders"]
    assert aborts["failure"]["kind"] == "aborted" and aborts["threads"] == 1
    assert "these are its last words" in aborts["failure"]["traceback"]


def test_selftest_compares_a_backend_with_itself(tmp_path: Path) -> None:
    done = lstmbench("selftest", *SMALL, "--rounds=2", "--experiments=2", "--json", cwd=tmp_path)
    answer = json.loads(done.stdout)
    assert answer["paired"]["comparisons"] == answer["sequential"]["comparisons"] == 6
    assert len(answer["slowed_ratios"]) == 2
    assert done.returncode == (0 if answer["passed"] else 1)


@pytest.mark.slow
def test_a_disk_that_takes_no_more_is_said_in_one_line_and_keeps_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "lstmbench", "run", "--backend=numpy", *SMALL]
    limited = ["bash", "-c", 'ulimit -f 9; exec "$@"', "bash"]  # KiB that a file may take
    done = subprocess.run(
        [*limited, *command, f"--output={folder}"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 2
    said = done.stderr.splitlines()[-1]
    assert str(folder) in said and "File too large" in said and "Traceback" not in done.stderr
    assert lstmbench("run", "--resume", str(folder)).returncode == 0


SIGNALS = {signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGINT: 130}


def unfinished(folder: Path, kept: int, copy: Path) -> Path:
    """A copy of a run with its first records alone, which has very much left to do."""
    shutil.copytree(folder, copy)
    header = json.loads((copy / "run.json").read_text())
    header["settings"] |= {"rounds": 100_000, "epochs": 100_000}
    (copy / "run.json").write_text(json.dumps(header))
    lines = (copy / "records.jsonl").read_text().splitlines(keepends=True)
    (copy / "records.jsonl").write_text("".join(lines[:kept]))
    return copy


def number_of(kind: str, folder: Path) -> int:
    """How many records there are up to the first of a kind."""
    lines = (folder / "records.jsonl").read_text().splitlines()
    return next(n for n, line in enumerate(lines, 1) if json.loads(line)["type"] == kind)


def with_signal(number: signal.Signals, handler: str, *arguments: str) -> list[str]:
    """A command that says when it has begun, and starts lstmbench with a signal handled so."""
    code = f"""
import os, signal, sys
signal.signal({int(number)}, signal.{handler})
print("begun", flush=True)
os.execv(sys.executable, [sys.executable, "-m", "lstmbench", *sys.argv[1:]])
"""
    return [sys.executable, "-c", code, *arguments]


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize(
    ("phase", "last"),
    [("parity", ""), ("timing", "Finished"), ("oracle's training", "Stopped")],
)
def test_a_signal_ends_a_run_at_once_and_says_how_to_go_on(
    folder: Path, number: signal.Signals, phase: str, last: str, tmp_path: Path
) -> None:
    kept = number_of(last, folder) if last else 0
    run, temporary = unfinished(folder, kept, tmp_path / "run"), tmp_path / "tmp"
    temporary.mkdir()
    with subprocess.Popen(
        with_signal(number, "SIG_DFL", "run", "--resume", str(run)),  # it may be ignored here
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    ) as process:
        assert process.stderr
        begun = next(line for line in process.stderr if line.startswith(f"lstmbench: {phase}:"))
        workers = psutil.Process(process.pid).children()
        process.send_signal(number)
        start = time.monotonic()
        said = process.stderr.read()
        assert process.wait() == SIGNALS[number]
    assert begun and time.monotonic() - start < 5
    assert said == (
        f"lstmbench: interrupted; what was measured is kept: lstmbench run --resume {run}\n"
    )
    assert not list(temporary.iterdir())
    assert not [worker for worker in workers if worker.is_running()]


def test_a_signal_that_is_ignored_from_the_start_ends_nothing() -> None:
    command = with_signal(signal.SIGHUP, "SIG_IGN", "list")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGHUP)
        out = process.stdout.read()
        assert process.wait() == 0 and "numpy" in out


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["list"],
        ["list", "--json"],
        ["report", "RUN"],
        ["report", "RUN", "--format=csv"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_printed_is_one_line(
    folder: Path, arguments: list[str], unbuffered: str
) -> None:
    command = [sys.executable, "-m", "lstmbench", *arguments]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [str(folder) if part == "RUN" else part for part in command],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    assert done.returncode == 2
    assert done.stderr == "lstmbench: standard output cannot be written: No space left on device\n"


def test_a_reader_that_goes_away_is_no_error(folder: Path) -> None:
    lines = ["bash", "-c", '"$@" | head -1; exit ${PIPESTATUS[0]}', "bash", sys.executable]
    done = subprocess.run(
        [*lines, "-m", "lstmbench", "report", str(folder), "--format=markdown"],
        capture_output=True,
        text=True,
    )
    assert done.stderr == "" and done.stdout.startswith("# lstmbench")
    assert done.returncode in (0, 141)  # whether it was faster than the reader's end


@pytest.mark.parametrize(
    "locale",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "cp1252"},
    ],
    ids=str,
)
def test_a_terminal_without_a_sign_gets_a_plainer_one(
    folder: Path, locale: dict[str, str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "lstmbench", "report", str(folder), "--details"]
    done = subprocess.run(command, capture_output=True, env={**os.environ, **locale})
    assert done.returncode == 0 and done.stderr == b""
    assert b"numpy" in done.stdout and b"rungs" in done.stdout
    if locale.get("PYTHONIOENCODING") == "ascii":
        assert b"| + 1" in done.stdout and done.stdout.isascii()
    again = tmp_path / "again"
    shutil.copytree(folder, again)
    made = [sys.executable, "-m", "lstmbench", "run", "--resume", str(again)]
    assert subprocess.run(made, capture_output=True, env={**os.environ, **locale}).returncode == 0
    for name in ("report.md", "summary.csv", "run.json"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()


def test_bars_do_not_fill_a_log_whatever_its_colours(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(folder, run)
    lines = (folder / "records.jsonl").read_text().splitlines(keepends=True)
    (run / "records.jsonl").write_text("".join(lines[: number_of("Stopped", folder)]))
    done = subprocess.run(
        [sys.executable, "-m", "lstmbench", "run", "--resume", str(run)],
        capture_output=True,
        text=True,
        env={**os.environ, "FORCE_COLOR": "1"},
    )
    assert done.returncode == 0 and "\x1b" not in done.stderr
    assert [line.split(":")[1] for line in done.stderr.splitlines()] == [
        " oracle's training",
        " training",
    ]


def test_list_names_what_can_be_used() -> None:
    found = json.loads(lstmbench("list", "--json").stdout)
    assert {"numpy", "torch", "numba", "jax"} <= {b["name"] for b in found["backends"]}
    assert {"digits", "markov", "arith", "lag"} <= {t["name"] for t in found["tasks"]}
    assert [d["name"] for d in found["devices"]] == ["cpu", "cuda"]
    assert "numpy" in lstmbench("list").stdout

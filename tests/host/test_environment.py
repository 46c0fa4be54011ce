import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from lstmbench.host import cpu, environment, gpu, processes


@pytest.fixture
def variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("OMP_NUM_THREADS", "77")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.setenv("UNRELATED", "kept")
    return processes.worker_environment(3, tmp_path)


@pytest.mark.parametrize("library", ["OMP", "OPENBLAS", "MKL", "BLIS", "NUMEXPR", "NUMBA"])
def test_every_library_is_told_the_number_of_threads(
    variables: dict[str, str], library: str
) -> None:
    assert variables[f"{library}_NUM_THREADS"] == "3"


def test_all_thread_variables_are_set(variables: dict[str, str]) -> None:
    assert {variables[name] for name in processes.THREAD_VARIABLES} == {"3"}


def test_no_worker_spins_without_bound(variables: dict[str, str]) -> None:
    assert "OMP_WAIT_POLICY" not in variables
    assert variables.items() >= processes.BOUNDED_SPIN.items()
    assert int(variables["KMP_BLOCKTIME"]) <= 1  # milliseconds


def test_the_rest_of_the_environment_is_kept_and_ours_untouched(
    variables: dict[str, str], tmp_path: Path
) -> None:
    assert variables["UNRELATED"] == "kept" and variables["PATH"] == os.environ["PATH"]
    assert variables["NUMBA_CACHE_DIR"] == str(tmp_path)
    assert os.environ["OMP_NUM_THREADS"] == "77" and os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


def in_subprocess(code: str) -> str:
    command = [sys.executable, "-c", f"from lstmbench.host import cpu, gpu, memory\n{code}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be limited here")
@pytest.mark.parametrize("threads", [1, 10_000])
def test_limit_cores_leaves_as_many_as_threads_or_all(threads: int) -> None:
    code = f"cpu.limit_cores({threads}); print(cpu.usable_cores())"
    assert int(in_subprocess(code)) == min(threads, cpu.usable_cores())


def test_usable_cores_are_some_and_no_more_than_there_are() -> None:
    assert 1 <= cpu.usable_cores() <= (os.cpu_count() or 1)


def test_peak_bytes_count_what_is_held_and_let_go() -> None:
    code = "bytearray(b'x') * (400 << 20); print(memory.peak_bytes())"
    assert 400 < int(in_subprocess(code)) / 2**20 < 600


def test_peak_bytes_are_those_of_this_process_and_not_of_its_parent() -> None:
    child = "from lstmbench.host import memory; print(memory.peak_bytes())"
    code = f"""
import subprocess, sys
held = bytearray(b"x") * (400 << 20)
print(subprocess.check_output([sys.executable, "-c", {child!r}], text=True))
"""
    assert 1 < int(in_subprocess(code)) / 2**20 < 200


def test_has_cuda_is_a_plain_answer_without_loading_a_library() -> None:
    assert isinstance(gpu.has_cuda(), bool)
    code = "import sys; gpu.has_cuda(); print('torch' in sys.modules)"
    assert in_subprocess(code) == "False"


def test_gpus_are_none_without_the_drivers_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert gpu.gpus() == []


def test_gpus_are_what_the_drivers_tool_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA X, 550.1, 80 GiB'\necho 'NVIDIA Y, 550.1, 40 GiB'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    first, second = gpu.gpus()
    assert first == {"name": "NVIDIA X", "driver_version": "550.1", "memory.total": "80 GiB"}
    assert second["name"] == "NVIDIA Y"


def test_gpu_processes_are_counted_where_the_driver_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu.gpu_processes() is None
    tool = tmp_path / "nvidia-smi"
    for script, count in (("echo 7; echo 9", 2), ("exit 0", 0), ("exit 9", None)):
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
        assert gpu.gpu_processes() == count


def test_a_drivers_tool_that_fails_is_no_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'no driver'\nexit 9\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu.gpus() == []


def test_versions_are_of_what_is_installed() -> None:
    found = environment.versions(["numpy", "nosuchdistribution", "numpy", "click"])
    import numpy

    assert list(found) == ["click", "numpy"]
    assert found["numpy"] == numpy.__version__


def test_describe_tells_everything_in_a_form_that_json_keeps() -> None:
    found = environment.describe(["numpy"])
    assert set(found) >= {
        "cpu",
        "cpu_flags",
        "l2_bytes",
        "l3_bytes",
        "cores_physical",
        "cores_logical",
        "cores_usable",
        "memory_bytes",
        "frequency_governor",
        "gpus",
        "platform",
        "python",
        "versions",
        "git_commit",
        "load_average",
    }
    assert json.loads(json.dumps(found)) == found
    assert found["cpu"] and found["cores_usable"] == cpu.usable_cores()
    assert found["memory_bytes"] > 2**28
    assert found["python"] == platform.python_version()
    assert set(found["versions"]) == {"numpy"}

import os
import platform
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from lstmbench.host import cpu, environment, processes
from lstmbench.host.environment import Environment


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


def test_no_worker_takes_a_gpus_memory_before_it_needs_it(variables: dict[str, str]) -> None:
    assert variables["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"


def test_a_worker_sees_its_own_device_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,MIG-b")

    def seen(device: str) -> str:
        return processes.worker_environment(1, tmp_path, device)["CUDA_VISIBLE_DEVICES"]

    assert seen("cpu") == ""
    assert (seen("cuda"), seen("cuda:0"), seen("cuda:1")) == ("GPU-a", "GPU-a", "MIG-b")
    assert seen("") == "GPU-a,MIG-b", "one that finds out which there are sees all"


def in_subprocess(code: str) -> str:
    command = [sys.executable, "-c", f"from lstmbench.host import cpu, memory\n{code}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be limited here")
@pytest.mark.parametrize("threads", [1, 10_000])
def test_limit_cores_leaves_as_many_as_threads_or_all(threads: int) -> None:
    code = f"cpu.limit_cores({threads}); print(len(cpu.allowed()))"
    assert int(in_subprocess(code)) == min(threads, len(cpu.allowed()))


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


def test_versions_are_of_what_is_installed() -> None:
    found = environment.versions(["numpy", "nosuchdistribution", "numpy", "click"])
    import numpy

    assert list(found) == ["click", "numpy"]
    assert found["numpy"] == numpy.__version__


def test_describe_tells_everything_in_a_form_that_json_keeps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--a-flag")
    monkeypatch.setenv("NUMBA_CPU_NAME", "generic")
    monkeypatch.setenv("UNRELATED", "x")
    found = environment.describe(["numpy"])
    assert msgspec.json.decode(msgspec.json.encode(found), type=Environment) == found
    assert found.cpu and found.cores_usable == cpu.usable_cores()
    assert (found.memory_bytes or 0) > 2**28
    assert found.python == platform.python_version()
    assert set(found.versions) == {"numpy"}
    assert found.variables and "UNRELATED" not in found.variables
    assert found.variables["XLA_FLAGS"] == "--a-flag"
    assert found.variables["NUMBA_CPU_NAME"] == "generic"


def test_a_processor_that_py_cpuinfo_does_not_know_is_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> None:
        raise Exception("py-cpuinfo currently only works on X86 and some ARM CPUs.")

    monkeypatch.setattr("cpuinfo.get_cpu_info", refuse)
    found = environment.describe([])
    assert found.cpu and found.cpu_flags == [] and found.l2_bytes is None

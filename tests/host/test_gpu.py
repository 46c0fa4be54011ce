"""What is made of what NVIDIA's driver tells, on a made-up NVML."""

import subprocess
import sys
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from lstmbench.host import gpu


class Process:
    def __init__(self, pid: int, usedGpuMemory: int | None) -> None:
        self.pid, self.usedGpuMemory = pid, usedGpuMemory


class Driver(ModuleType):
    """NVML with some GPUs; what is not given is not supported."""

    def __init__(self, count: int = 2) -> None:
        super().__init__("pynvml")
        self.count, self.used = count, False
        self.running: dict[Any, list[Process]] = {}
        self.clocks = [1980]
        self.reasons = 0
        self.temperature: int | None = 40

    def nvmlInit(self) -> None:
        self.used = True

    def nvmlShutdown(self) -> None:
        self.used = False

    def nvmlDeviceGetCount(self) -> int:
        return self.count

    def nvmlSystemGetDriverVersion(self) -> str:
        return "580.1"

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:
        if index >= self.count:
            raise RuntimeError("Invalid Argument")
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Any:
        return uuid

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle: str) -> Any:
        return {"MIG-b": 1}[handle]

    def nvmlDeviceGetName(self, handle: Any) -> str:
        return f"NVIDIA {handle}"

    def nvmlDeviceGetMemoryInfo(self, handle: Any) -> Any:
        return type("Memory", (), {"total": 80 << 30})

    def nvmlDeviceGetComputeRunningProcesses(self, handle: Any) -> list[Process]:
        return self.running.get(handle, [])

    def nvmlDeviceGetClockInfo(self, handle: Any, kind: int) -> int:
        return self.clocks.pop(0) if len(self.clocks) > 1 else self.clocks[0]

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: Any) -> int:
        return self.reasons

    def nvmlDeviceGetTemperature(self, handle: Any, sensor: int) -> int:
        if self.temperature is None:
            raise RuntimeError("Not Supported")
        return self.temperature

    def nvmlDeviceGetPowerManagementLimit(self, handle: Any) -> int:
        return 700_000


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    made_up = Driver()
    monkeypatch.setitem(sys.modules, "pynvml", made_up)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return made_up


@pytest.fixture
def no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_device_files", lambda: 0)


def test_gpus_are_what_the_driver_tells_and_what_it_does_not_is_none(driver: Driver) -> None:
    first, second = gpu.gpus()
    assert (first.name, second.name) == ("NVIDIA 0", "NVIDIA 1")
    assert first.driver_version == "580.1" and first.memory_bytes == 80 << 30
    assert first.power_limit_watts == 700 and first.temperature_celsius == 40
    assert first.sm_clock_mhz is None, "nvmlDeviceGetMaxClockInfo is not supported"
    assert not driver.used, "NVML is shut down again"


@pytest.mark.usefixtures("no_files")
@pytest.mark.parametrize(
    ("given", "seen"),
    [
        (None, ["0", "1"]),
        ("1", ["1"]),
        ("1,0", ["1", "0"]),
        ("", []),
        ("-1", []),
        ("0,-1,1", ["0"]),
        ("0,7,1", ["0"]),
        ("MIG-b,GPU-a", ["MIG-b", "GPU-a"]),
    ],
)
def test_visible_are_those_of_the_environment_up_to_the_first_invalid(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, given: str | None, seen: list[str]
) -> None:
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert gpu.identifiers() == seen
    assert gpu.has_cuda() == bool(seen)
    numbered = [f"cuda:{n}" for n in range(len(seen))]
    assert gpu.devices() == (["cuda", *numbered] if seen else [])
    for device, one in zip(numbered, seen, strict=True):
        assert gpu.variables(device)["CUDA_VISIBLE_DEVICES"] == one


@pytest.mark.usefixtures("driver", "no_files")
def test_numbers_are_those_of_nvml_unless_the_user_has_numbered_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert gpu.variables("cuda:1")["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    assert gpu.variables("cuda:1") == {"CUDA_VISIBLE_DEVICES": "0"}


def test_a_gpu_that_nvml_does_not_tell_of_is_found_by_its_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Driver(count=0))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpu, "_device_files", lambda: 1)
    assert gpu.devices() == ["cuda", "cuda:0"]
    assert gpu.gpus() == []


class Broken(Driver):
    def nvmlInit(self) -> None:
        raise RuntimeError("Driver Not Loaded")


class Garbled(Driver):
    def nvmlDeviceGetName(self, handle: Any) -> str:
        return b"\xff".decode()


class Hangs(Driver):
    asked = 0

    def nvmlInit(self) -> None:
        Hangs.asked += 1
        time.sleep(30)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(gpu, "PATIENCE_SECONDS", 0.05)
    yield
    gpu._hung.clear()


@pytest.mark.usefixtures("no_files", "patience")
@pytest.mark.parametrize("made_up", [Broken(), Garbled(), Hangs(), None])
def test_whatever_the_driver_does_a_run_on_the_cpu_goes_on(
    monkeypatch: pytest.MonkeyPatch, made_up: Driver | None
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", made_up)  # None: it cannot be imported
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpu.gpus() == []
    assert gpu.process_bytes(1) is None
    monitor = gpu.GpuMonitor({"cuda"})
    monitor.sample()
    assert monitor.states() in (
        [gpu.GpuState(device="cuda")],
        [
            gpu.GpuState(
                device="cuda", sm_clock_mhz=1980, temperature_celsius=40, power_limit_watts=700
            )
        ],
    )
    assert Hangs.asked <= 1, "a driver that hangs is asked once"


def test_processes_are_counted_once_on_the_visible_gpus(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver.running = {0: [Process(7, 100), Process(9, None)], 1: [Process(7, 50), Process(8, 1)]}
    assert gpu.processes() == 3
    assert gpu.process_bytes(7) == 150
    assert gpu.process_bytes(9) is None, "the driver does not tell"
    assert gpu.process_bytes(5) is None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-b")
    assert gpu.processes() == 2, "of a part of a GPU the whole is looked at"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpu.processes() is None


def test_a_monitor_keeps_the_worst_that_it_has_seen(driver: Driver) -> None:
    driver.clocks = [1900, 1200, 1980]
    monitor = gpu.GpuMonitor({"cuda:1"})
    assert monitor.states() == [gpu.GpuState(device="cuda:1")], "idle clocks say nothing"
    for reasons, temperature in ((0x1, 40), (0x4 | 0x40, 88), (0x2, None)):
        driver.reasons, driver.temperature = reasons, temperature
        monitor.sample()
    (state,) = monitor.states()
    assert state.sm_clock_mhz == 1200 and state.temperature_celsius == 88
    assert state.throttles == ["power cap", "temperature (hardware)"], "idling is no throttle"


def test_without_gpus_in_use_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "ask", lambda *args: pytest.fail("asked"))
    monitor = gpu.GpuMonitor(set())
    monitor.sample()
    assert monitor.states() == []


def test_the_real_driver_or_none_is_asked_without_loading_a_library() -> None:
    code = """
import sys
from lstmbench.host import gpu
print(type(gpu.has_cuda()), type(gpu.gpus()), {"torch", "numpy"} & set(sys.modules))
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "<class 'bool'> <class 'list'> set()"

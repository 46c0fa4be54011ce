"""NVIDIA GPUs, as their driver tells of them through NVML; nothing here starts CUDA.

Whatever is wrong with a driver, and whatever it answers, a run on the CPU goes on: a question that
fails or hangs is answered by "not known".
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from msgspec import Struct

CUDA = "cuda"
PATIENCE_SECONDS = 10.0

_hung: list[Thread] = []
"""The question that NVML has not answered in time: it is asked nothing more."""

THROTTLES = {
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x20: "temperature (software)",
    0x40: "temperature (hardware)",
    0x80: "power brake",
}
"""NVML's clock event reasons that slow work down; idling and set clocks are none."""

Answer = TypeVar("Answer")


class Gpu(Struct, frozen=True, kw_only=True):
    """A GPU of this machine; None where the driver does not tell."""

    name: str = "unknown"
    driver_version: str | None = None
    memory_bytes: int | None = None
    sm_clock_mhz: int | None = None
    """At most."""
    power_limit_watts: float | None = None
    temperature_celsius: int | None = None


class GpuState(Struct, frozen=True, kw_only=True):
    """How a GPU was during a launch; None where the driver does not tell."""

    device: str
    sm_clock_mhz: int | None = None
    """The lowest clock of its multiprocessors that was seen while it worked."""
    temperature_celsius: int | None = None
    """The highest."""
    power_limit_watts: float | None = None
    throttles: list[str] = []
    """All reasons for which its clocks were held down."""

    def worst(self, other: "GpuState") -> "GpuState":
        """Return the worst of two states of the same GPU."""
        return GpuState(
            device=self.device,
            sm_clock_mhz=_known(min, self.sm_clock_mhz, other.sm_clock_mhz),
            temperature_celsius=_known(max, self.temperature_celsius, other.temperature_celsius),
            power_limit_watts=_known(min, self.power_limit_watts, other.power_limit_watts),
            throttles=list(dict.fromkeys([*self.throttles, *other.throttles])),
        )


def _known(best: Callable[[list[Any]], Any], *values: Any) -> Any:
    """Return the best of the values that are known; None without any."""
    known = [value for value in values if value is not None]
    return best(known) if known else None


def ask(question: Callable[[Any], Answer], otherwise: Answer) -> Answer:
    """Return what `question` finds out of NVML, or `otherwise` if it fails or hangs.

    `question` is given the module pynvml, initialised.
    """
    if _hung:
        return otherwise
    found = [otherwise]

    def work() -> None:
        with suppress(Exception):
            import pynvml

            pynvml.nvmlInit()
            try:
                found[0] = question(pynvml)
            finally:
                pynvml.nvmlShutdown()

    thread = Thread(target=work, daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    if thread.is_alive():
        _hung.append(thread)
        return otherwise
    return found[0]


def kind(device: str) -> str:
    """Return what kind of device one is: "cuda" of "cuda:1"."""
    return device.partition(":")[0]


def identifiers() -> list[str]:
    """Return the GPUs that a process may use, in order, as CUDA_VISIBLE_DEVICES names them.

    Those are numbers, or UUIDs of GPUs or of parts of them (MIG). As in CUDA, what follows an
    invalid entry is not visible.
    """
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = ask(lambda nvml: int(nvml.nvmlDeviceGetCount()), 0) or _device_files()
    if given is None:
        return [str(number) for number in range(count)]
    result: list[str] = []
    for entry in (part.strip() for part in given.split(",")):
        number = int(entry) if entry.isdecimal() else None
        if not entry.startswith(("GPU-", "MIG-")) and (number is None or number >= count):
            break
        result.append(entry)
    return result


def _device_files() -> int:
    """Return how many GPUs the driver has made files for, where NVML tells of none."""
    return len(list(Path("/dev").glob("nvidia[0-9]*")))


def has_cuda() -> bool:
    """Return whether a process may use a GPU here."""
    return bool(identifiers())


def devices() -> list[str]:
    """Return what can be asked for: "cuda", the first, and by number "cuda:0" and so on."""
    count = len(identifiers())
    return [CUDA, *(f"{CUDA}:{number}" for number in range(count))] if count else []


def variables(device: str) -> dict[str, str]:
    """Return the environment variables by which a process sees one device, and as the first."""
    if kind(device) != CUDA:
        return {"CUDA_VISIBLE_DEVICES": ""}
    # Numbers are then those of NVML and nvidia-smi; CUDA's own order is by speed.
    order = {} if "CUDA_VISIBLE_DEVICES" in os.environ else {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    one = identifier(device)
    return order if one is None else {**order, "CUDA_VISIBLE_DEVICES": one}


def identifier(device: str) -> str | None:
    """Return the entry of CUDA_VISIBLE_DEVICES for a device; None if there is no such device."""
    number = int(device.partition(":")[2] or 0)
    visible = identifiers()
    return visible[number] if number < len(visible) else None


def gpus() -> list[Gpu]:
    """Return each GPU of this machine."""

    def one(nvml: Any, number: int) -> Gpu:
        handle = nvml.nvmlDeviceGetHandleByIndex(number)
        return Gpu(
            name=str(nvml.nvmlDeviceGetName(handle)),
            driver_version=_maybe(lambda: str(nvml.nvmlSystemGetDriverVersion())),
            memory_bytes=_maybe(lambda: nvml.nvmlDeviceGetMemoryInfo(handle).total),
            sm_clock_mhz=_maybe(lambda: nvml.nvmlDeviceGetMaxClockInfo(handle, 1)),
            power_limit_watts=_maybe(lambda: nvml.nvmlDeviceGetPowerManagementLimit(handle) / 1e3),
            temperature_celsius=_maybe(lambda: nvml.nvmlDeviceGetTemperature(handle, 0)),
        )

    return ask(lambda nvml: [one(nvml, n) for n in range(nvml.nvmlDeviceGetCount())], [])


def processes() -> int | None:
    """Return how many processes compute on the visible GPUs now; None if it is not known."""
    visible = identifiers()
    if not visible:
        return None

    def count(nvml: Any) -> int | None:
        found = [nvml.nvmlDeviceGetComputeRunningProcesses(_handle(nvml, one)) for one in visible]
        return len({process.pid for some in found for process in some})

    return ask(count, None)


def process_bytes(pid: int) -> int | None:
    """Return the memory that a process holds on GPUs now; None if the driver does not tell."""

    def add(nvml: Any) -> int | None:
        held = [
            process.usedGpuMemory
            for number in range(nvml.nvmlDeviceGetCount())
            for process in nvml.nvmlDeviceGetComputeRunningProcesses(
                nvml.nvmlDeviceGetHandleByIndex(number)
            )
            if process.pid == pid and process.usedGpuMemory is not None
        ]
        return sum(held) if held else None

    return ask(add, None)


class GpuMonitor:
    """How some GPUs do; `sample` is called now and then while they work."""

    def __init__(self, devices: set[str]) -> None:
        self._states = {device: GpuState(device=device) for device in sorted(devices)}
        self._identifiers = {device: identifier(device) for device in self._states}

    def sample(self) -> None:
        """Look at each GPU once."""
        if self._states:
            ask(self._look, None)

    def states(self) -> list[GpuState]:
        """Return what was seen so far, of each GPU."""
        return list(self._states.values())

    def _look(self, nvml: Any) -> None:
        for device, one in self._identifiers.items():
            if one is not None:
                seen = _state(nvml, device, _handle(nvml, one))
                self._states[device] = seen.worst(self._states[device])


def _state(nvml: Any, device: str, handle: Any) -> GpuState:
    """Return how a GPU is now."""
    reasons = _maybe(lambda: nvml.nvmlDeviceGetCurrentClocksEventReasons(handle)) or 0
    return GpuState(
        device=device,
        sm_clock_mhz=_maybe(lambda: nvml.nvmlDeviceGetClockInfo(handle, 1)),
        temperature_celsius=_maybe(lambda: nvml.nvmlDeviceGetTemperature(handle, 0)),
        power_limit_watts=_maybe(lambda: nvml.nvmlDeviceGetPowerManagementLimit(handle) / 1e3),
        throttles=[name for bit, name in THROTTLES.items() if reasons & bit],
    )


def _handle(nvml: Any, one: str) -> Any:
    """Return NVML's handle of a GPU, of a part of one the whole's: a part tells of no clocks."""
    if one.isdecimal():
        return nvml.nvmlDeviceGetHandleByIndex(int(one))
    handle = nvml.nvmlDeviceGetHandleByUUID(one)
    if one.startswith("MIG-"):
        return nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
    return handle


def _maybe(question: Callable[[], Answer]) -> Answer | None:
    """Return the answer, or None where the driver has none."""
    try:
        return question()
    except Exception:  # pynvml's own, which cannot be named without importing it
        return None

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from lstmbench import Backend, Options
from lstmbench.interface import Precision
from lstmbench.interface.model import PrecisionName
from lstmbench.protocol.contender import Contender
from lstmbench.worker import probe


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_product_beats_the_measured_rate_by_much(dtype: PrecisionName) -> None:
    machine = probe.measure(1, Precision.named(dtype), working_set=1 << 16)
    a = np.ones((64, 64), dtype)
    seconds = probe.best_seconds(lambda: a @ a)
    assert machine.matrix_flops_per_second is not None
    assert 2 * 64**3 / seconds < 2 * machine.matrix_flops_per_second


def test_the_bandwidth_of_a_small_working_set_is_not_the_rate_of_calls() -> None:
    size = 8192
    machine = probe.measure(1, Precision("float32"), working_set=size)
    source, target = np.ones((2, size // 4), "float32")
    one_call = 2 * size / probe.best_seconds(lambda: np.copyto(target, source))
    assert machine.memory_bytes_per_second is not None
    assert machine.memory_bytes_per_second > 1.5 * one_call


def test_numpy_knows_no_rate_of_bfloat16_products_and_that_of_float32_for_tf32() -> None:
    short = probe.measure(1, Precision.named("bfloat16"), working_set=1 << 16)
    assert short.matrix_flops_per_second is None and short.memory_bytes_per_second
    whole, tf32 = (probe.measure(1, Precision.named(n), 1 << 16) for n in ("float32", "tf32"))
    assert whole.matrix_flops_per_second and tf32.matrix_flops_per_second
    assert 0.2 < whole.matrix_flops_per_second / tf32.matrix_flops_per_second < 5


class Clockwork(Backend):
    """A library whose work takes made-up seconds, on a made-up clock, once it is waited for."""

    SECONDS: ClassVar = {"product": 1e-12, "copy": 1e-10, "nothing": 1e-5}

    def __init__(self, offered: tuple[str, ...] = tuple(SECONDS)) -> None:
        super().__init__(Options(device="cuda"))
        self.offered, self.now, self.pending = offered, 0.0, 0.0

    def load(self, parameters: Any) -> None:
        raise NotImplementedError

    def parameters(self) -> Any:
        raise NotImplementedError

    def elementary(self, work: str, size: int) -> Callable[[], Any] | None:
        amount = {"product": 2.0 * size**3, "copy": 2.0 * size, "nothing": 1.0}[work]

        def start() -> None:
            self.pending += amount * self.SECONDS[work]

        return start if work in self.offered else None

    def synchronize(self) -> None:
        self.now += self.pending + 1e-4  # that of waiting is to be spread over many calls
        self.pending = 0.0


@pytest.fixture
def clockwork(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Clockwork]]:
    def make(*offered: str) -> Clockwork:
        one = Clockwork(offered)
        monkeypatch.setattr(probe, "time", SimpleNamespace(perf_counter=lambda: one.now))
        return one

    return make


GPU = Contender(backend="made up", device="cuda")


def test_a_librarys_rates_are_those_of_its_work(clockwork: Callable[..., Clockwork]) -> None:
    library = clockwork("product", "copy", "nothing")
    found = probe.measure_library(3, GPU, library, working_set=1000)
    assert found.launch == 3 and found.device == "cuda" and found.contender == GPU
    assert found.matrix_flops_per_second == pytest.approx(1e12, rel=0.01)
    assert found.memory_bytes_per_second == pytest.approx(1e10, rel=0.01)
    assert found.dispatch_seconds == pytest.approx(1e-5, rel=0.05)


def test_work_that_takes_longer_than_a_probe_is_measured_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = iter([0.0, 7.0, 99.0])
    monkeypatch.setattr(probe, "time", SimpleNamespace(perf_counter=lambda: next(seconds)))
    assert probe.best_seconds(lambda: None) == 7.0


def test_what_a_library_does_not_offer_is_not_known(clockwork: Callable[..., Clockwork]) -> None:
    found = probe.measure_library(3, GPU, clockwork("nothing"), working_set=1000)
    assert found.matrix_flops_per_second is None and found.memory_bytes_per_second is None
    assert found.dispatch_seconds is not None
    nothing = probe.measure_library(3, GPU, clockwork(), working_set=1000)
    assert nothing.dispatch_seconds is None

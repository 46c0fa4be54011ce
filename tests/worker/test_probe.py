import numpy as np
import pytest

from lstmbench.worker import probe


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_product_beats_the_measured_rate_by_much(dtype: str) -> None:
    machine = probe.measure(1, dtype, working_set=1 << 16)
    a = np.ones((64, 64), dtype)
    seconds = probe.best_seconds(lambda: a @ a)
    assert 2 * 64**3 / seconds < 2 * machine.matrix_flops_per_second


def test_the_bandwidth_of_a_small_working_set_is_not_the_rate_of_calls() -> None:
    size = 8192
    machine = probe.measure(1, "float32", working_set=size)
    source, target = np.ones((2, size // 4), "float32")
    one_call = 2 * size / probe.best_seconds(lambda: np.copyto(target, source))
    assert machine.memory_bytes_per_second > 1.5 * one_call

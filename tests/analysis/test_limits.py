import numpy as np
import pytest

from lstmbench.analysis import limits
from lstmbench.protocol.messages import Machine


def products(batch: int, length: int, hidden: int, layers: int) -> tuple[int, int]:
    """Operations of a forward pass and of a training step, product by product."""
    forward = backward = 0
    for layer in range(layers):
        for t in range(length):
            if t:  # h_{t-1} W_hh; back: to h_{t-1} and to W_hh
                forward += 2 * batch * hidden * 4 * hidden
                backward += 2 * 2 * batch * hidden * 4 * hidden
            if layer:  # x W_ih; back: to x and to W_ih
                forward += 2 * batch * hidden * 4 * hidden
                backward += 2 * 2 * batch * hidden * 4 * hidden
    forward += 2 * batch * length * hidden * 10
    backward += 2 * 2 * batch * length * hidden * 10
    return forward, forward + backward


@pytest.mark.parametrize("sizes", [(3, 5, 7, 2), (1, 1, 4, 1), (2, 9, 3, 4)])
def test_operations_are_those_of_each_product(sizes: tuple[int, int, int, int]) -> None:
    forward, train = products(*sizes)
    assert limits.work("forward", *sizes, 4).operations == forward
    assert limits.work("train", *sizes, 4).operations == train
    assert limits.work("gradients", *sizes, 4).operations == train


def test_the_default_step_takes_three_quarters_of_a_gigaflop() -> None:
    assert limits.work("train", 64, 10, 128, 2, 4).operations == pytest.approx(0.76e9, rel=0.08)


def test_a_digit_reads_all_weights_but_the_look_up_it_does_not_need() -> None:
    h = 8
    weights = 4 * h + 4 * h * h + 4 * h + 4 * h * (h + h + 1) + 10 * h + 10
    assert limits.work("generate", 64, 10, h, 2, 8).bytes == 8 * weights


def test_bounds_are_work_over_rates() -> None:
    machine = Machine(launch=0, matrix_flops_per_second=4.0, memory_bytes_per_second=5.0)
    assert limits.bound_seconds(limits.Work(8, 20), machine) == (2, 4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_product_beats_the_measured_rate_by_much(dtype: str) -> None:
    machine = limits.measure(1, dtype, working_set=1 << 16)
    a = np.ones((64, 64), dtype)
    seconds = limits._best(lambda: a @ a)
    assert 2 * 64**3 / seconds < 2 * machine.matrix_flops_per_second


def test_the_bandwidth_of_a_small_working_set_is_not_the_rate_of_calls() -> None:
    size = 8192
    machine = limits.measure(1, "float32", working_set=size)
    source, target = np.ones((2, size // 4), "float32")
    one_call = 2 * size / limits._best(lambda: np.copyto(target, source))
    assert machine.memory_bytes_per_second > 1.5 * one_call

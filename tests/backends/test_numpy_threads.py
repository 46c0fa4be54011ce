import numpy as np
import pytest
from lstmbench_numpy.backend import NumpyBackend
from threadpoolctl import threadpool_info

from lstmbench import ModelSpec, Options
from lstmbench.interface import parameters


def blas_threads() -> int:
    return max(one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas")


@pytest.mark.parametrize(
    ("batch", "hidden", "most", "used"),
    [(64, 128, 16, 16), (16, 128, 16, 8), (16, 64, 16, 2), (1, 8, 16, 2), (1, 8, 1, 1)],
)
def test_a_product_has_no_more_threads_than_it_is_worth(
    batch: int, hidden: int, most: int, used: int
) -> None:
    before = blas_threads()
    backend = NumpyBackend(Options(threads=most))
    try:
        backend.load(parameters.draw(0, ModelSpec(1, hidden), "float32"))
        backend.forward(np.zeros((batch, 2), np.uint8))
        assert blas_threads() == used
    finally:
        backend._threads._now = 0
        for library in backend._threads._libraries:
            library.set_num_threads(before)

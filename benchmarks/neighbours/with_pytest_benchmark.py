"""`pytest with_pytest_benchmark.py --benchmark-json FILE.json`: the step, by its fixture."""

from typing import Any

from step import make_step


def test_step(benchmark: Any) -> None:
    benchmark(make_step())

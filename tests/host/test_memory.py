"""Whether a training step's memory stays in the process from one step to the next."""

import importlib.util
import platform
import subprocess
import sys

import pytest

# Page faults of a step, once three have been made, and the pages that its gates fill.
PROGRAM = """
import resource, sys
import numpy as np
from lstmbench import ModelSpec, Options
from lstmbench.interface import parameters
from lstmbench.plugins.resolve import resolve
backend = resolve(sys.argv[1])(Options(threads=1))
backend.load(parameters.draw(0, ModelSpec(layers=2, hidden=128)))
x = np.zeros((64, 100), np.uint8)
staged = backend.stage(x)
def step():
    backend.fetch(backend.train_step(staged, staged))
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
faults = (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 10
print(faults / (x.size * 2 * 4 * 128 * 4 / resource.getpagesize()))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators are left alone")
@pytest.mark.parametrize("name", ["torch", "jax"])
def test_a_step_takes_few_pages_from_the_kernel(name: str) -> None:
    if not importlib.util.find_spec(name):
        pytest.skip(f"not installed: {name}")
    factory = f"lstmbench_{name}.backend:{name.capitalize()}Backend"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, factory], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 0.2

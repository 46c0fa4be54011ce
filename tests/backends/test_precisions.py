"""Products of bfloat16 where backends have them, and the loops that jax compiles for a GPU."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lstmbench import Backend, Options, parity
from lstmbench.parity.comparing import relative_error
from lstmbench.parity.oracle import Oracle
from lstmbench.parity.rounding import rounded
from lstmbench.plugins import registry as plugins
from lstmbench.plugins.resolve import resolve

BFLOAT16 = Options(threads=1, products="bfloat16")
ODD = parity.CASES["odd"]


def backend(name: str) -> type[Backend]:
    info = plugins.discover().backends[name]
    if plugins.missing(info):
        pytest.skip(f"{name} is not installed")
    assert "bfloat16" in info.dtypes
    make: type[Backend] = resolve(info.factory)
    return make


each = pytest.mark.parametrize("name", ["torch", "jax"])


@each
@pytest.mark.parametrize("case", ["odd", "single", "saturated", "wide"])
def test_it_agrees_with_the_oracle_on_every_rung(name: str, case: str) -> None:
    expected = parity.expect(Oracle, BFLOAT16, parity.CASES[case])
    seen = parity.observe(backend(name), BFLOAT16, parity.CASES[case])
    for one, other in zip(expected, seen, strict=True):
        assert not other.error, other.traceback
        assert parity.compare(one, other).passed, other.rung


@each
def test_all_that_is_handed_over_is_float32_and_computed_in_less(name: str) -> None:
    options = ODD.options(BFLOAT16)
    one, exact = backend(name)(options), Oracle(replace(options, dtype="float64", products=""))
    for each_backend in (one, exact):
        each_backend.load(ODD.parameters("float32"))
    tokens = ODD.tokens(1)[0]
    x, y = one.stage(tokens[:, :-1]), one.stage(tokens[:, 1:])
    logits, state = one.forward(x)
    _, gradients = one.loss_and_gradients(x, y)
    again, _ = one.forward(x, state)
    one.train_step(x, y)
    arrays = [logits, *state, *gradients.values(), again]
    assert {one.fetch(array).dtype for array in arrays} == {np.dtype("float32")}
    assert {array.dtype for array in one.parameters().values()} == {np.dtype("float32")}
    error = relative_error(one.fetch(logits), exact.forward(tokens[:, :-1])[0])
    assert 2.0**-12 < error < 2.0**-5, "neither float32 nor worse than bfloat16"
    assert "bfloat16" in one.describe()["computed in"]


@each
def test_parameters_move_by_less_than_a_bfloat16_can_tell(name: str) -> None:
    """They are kept in float32: rounded to bfloat16 after each step, they would not move at all."""
    options = replace(BFLOAT16, learning_rate=1e-6)
    one = backend(name)(options)
    before = ODD.parameters("float32")
    one.load(before)
    tokens = ODD.tokens(1)[0]
    one.train_step(one.stage(tokens[:, :-1]), one.stage(tokens[:, 1:]))
    for key, after in one.parameters().items():
        assert 0 < np.abs(after - before[key]).max() < 1e-5
        same = rounded(after, "bfloat16") == rounded(before[key], "bfloat16")
        assert same.mean() > 0.9


@pytest.fixture
def unrolled(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], type[Backend]]:
    """JAX's backend as it is on a GPU, with so many steps in a turn, but for the GPU."""
    pytest.importorskip("jax")
    from lstmbench_jax import model
    from lstmbench_jax.backend import JaxBackend

    def make(steps: int) -> type[Backend]:
        class Unrolled(JaxBackend):
            def _form(self, unroll: int) -> Any:
                return model.Form(steps, self._bfloat16)

        return Unrolled

    return make


@pytest.mark.parametrize("steps", [2, 16])
def test_loops_of_several_steps_in_a_turn_agree_on_every_rung(
    unrolled: Callable[[int], type[Backend]], steps: int
) -> None:
    options = Options(threads=1)
    expected = parity.expect(Oracle, options, ODD)
    seen = parity.observe(unrolled(steps), options, ODD)
    for one, other in zip(expected, seen, strict=True):
        assert not other.error, other.traceback
        assert parity.compare(one, other).passed, other.rung


def test_compiled_code_is_bounded_and_the_one_unused_for_longest_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jax = pytest.importorskip("jax")
    from lstmbench_jax import executables

    monkeypatch.setattr(executables, "MOST_EXECUTABLES", 2)
    monkeypatch.setattr(executables, "_kept", type(executables._kept)())

    def make(key: str) -> Any:
        array = jax.numpy.ones(2)
        return executables.executable(key, lambda x: x + 1, (array,), False, "highest", "quick")

    first = make("a")
    make("b")
    assert make("a") is first
    make("c")
    assert list(executables._kept) == ["a", "c"]


def test_an_option_that_xla_does_not_know_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    jax = pytest.importorskip("jax")
    from lstmbench_jax import executables

    monkeypatch.setattr(executables, "_kept", type(executables._kept)())
    monkeypatch.setitem(executables.CPU_OPTIONS, "xla_no_such_option", 1)
    array = jax.numpy.ones(2)
    run = executables.executable("a", lambda x: x + 1, (array,), False, "highest", "quick")
    assert run(array).tolist() == [2, 2]

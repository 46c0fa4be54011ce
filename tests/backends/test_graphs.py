"""The torch backend's CUDA graphs, on the CPU: each operation is recorded and run again.

What this stands in for is the recording alone: replays know only the tensors of the capture, and
nothing may ask for a number on the host. Streams and memory pools have no part in it.
"""

import gc
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lstmbench import Options, parity
from lstmbench.parity import Case
from lstmbench.parity.oracle import Oracle

torch = pytest.importorskip("torch")
from lstmbench_torch import graphs  # noqa: E402  # they import torch
from lstmbench_torch.backend import TorchBackend  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402


class Tape(TorchDispatchMode):  # type: ignore[misc]  # torch is not imported by name
    """Operations in the order of their calls, and what the tensors held that they wrote to."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Callable[..., Any], Any, Any, Any, bool]] = []
        self.before: dict[int, tuple[Any, Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        for argument, value in zip(func._schema.arguments, args, strict=False):
            if argument.alias_info and argument.alias_info.is_write:
                for tensor in tensors_in(value):
                    self.before.setdefault(id(tensor), (tensor, tensor.clone()))
        results = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, results, torch.is_grad_enabled()))
        return results


def tensors_in(value: Any) -> list[Any]:
    values = value if isinstance(value, list | tuple) else [value]
    return [x for x in values if isinstance(x, torch.Tensor)]


class Graph:
    """What `torch.cuda.CUDAGraph` is to the backend."""

    def __init__(self) -> None:
        self.tape = Tape()
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1
        with torch._C._AutoDispatchBelowAutograd():
            for func, args, kwargs, results, differentiated in self.tape.calls:
                with torch.set_grad_enabled(differentiated):
                    again = func(*args, **kwargs)
                with torch.inference_mode():
                    for old, new in zip(tensors_in(results), tensors_in(again), strict=True):
                        if old.data_ptr() != new.data_ptr():
                            old.copy_(new)


@contextmanager
def capture(graph: Graph, pool: None, stream: Any) -> Iterator[None]:
    try:
        with graph.tape:
            yield
    finally:
        with torch.no_grad():  # a capture runs nothing
            for tensor, before in graph.tape.before.values():
                tensor.copy_(before)


class Replaying(TorchBackend):
    """The backend as it is on a GPU, but for the GPU."""

    def load(self, parameters: Any) -> None:
        super().load(parameters)
        self.graphs = self.graphs or graphs.Graphs(self.adam.drop)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = SimpleNamespace(wait_stream=lambda other: None)
    cuda = SimpleNamespace(
        Stream=lambda: stream,
        CUDAGraph=Graph,
        current_stream=lambda: stream,
        graph=capture,
        graph_pool_handle=lambda: None,
        synchronize=lambda: None,
        stream=lambda stream: nullcontext(),
    )
    monkeypatch.setattr(graphs, "cuda", cuda)


def everything(backend: TorchBackend, case: Case) -> list[np.ndarray]:
    """What each method says, called with one digits and then with others, trained and reloaded."""
    said = []
    for draw in (0, 1):
        backend.load(case.parameters("float32", draw))
        state = None
        for sequences in case.tokens(4):
            x, y = backend.stage(sequences[:, :-1]), backend.stage(sequences[:, 1:])
            logits, state = backend.forward(x, state)
            loss, gradients = backend.loss_and_gradients(x, y)
            steps = [backend.train_step(x, y, free_running) for free_running in (False, True)]
            digits = backend.generate(x[:2], 7)
            results = logits, *state, loss, *gradients.values(), *steps, digits
            said += [backend.fetch(array) for array in results]
        said += backend.parameters().values()
    return said


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("compiled", [False, True])
def test_replays_say_what_calls_say(compiled: bool) -> None:
    case = parity.CASES["odd"]
    options = case.options(Options(threads=1))
    called, replayed = TorchBackend(options), Replaying(options)
    if compiled:
        replayed.load(case.parameters("float32"))
        replayed.compile(case.shape.batch, case.shape.length)
    said = everything(called, case), everything(replayed, case)
    for expected, seen in zip(*said, strict=True):
        np.testing.assert_array_equal(seen, expected)
    assert replayed.graphs
    counts = [captured.graph.replays for captured in replayed.graphs._captured.values()]
    assert min(counts) >= 1


@pytest.mark.usefixtures("recorded")
def test_compiling_leaves_no_trace_of_what_it_ran() -> None:
    case = parity.CASES["odd"]
    backend = Replaying(case.options(Options(threads=1)))
    backend.load(case.parameters("float32"))
    backend.compile(case.shape.batch, case.shape.length)
    for name, array in case.parameters("float32").items():
        np.testing.assert_array_equal(backend.parameters()[name], array)
    assert not any(state.any() for state in backend.adam.state())


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("name", parity.CASES)
def test_replays_agree_on_every_rung(name: str) -> None:
    options = Options(threads=1)
    expected = parity.expect(Oracle, options, parity.CASES[name])
    for one, seen in zip(
        expected, parity.observe(Replaying, options, parity.CASES[name]), strict=True
    ):
        assert not seen.error
        assert parity.compare(one, seen).passed, seen.rung


@pytest.mark.usefixtures("recorded")
def test_a_number_asked_for_on_the_host_is_refused_while_capturing() -> None:
    cleaned = []
    called = graphs.Graphs(lambda: cleaned.append(True))

    def asks(x: Any) -> tuple[Any, ...]:
        return (x * x.sum().item(),)

    for value in (1.0, 2.0, 3.0):  # called, then called eagerly for ever
        (result,) = called(asks, torch.full((2,), value))
        assert result.tolist() == [2 * value * value] * 2
    assert cleaned == [True]
    (told,) = called.failed
    assert told.startswith("asks: ") and "not permitted" in told


@pytest.mark.usefixtures("recorded")
def test_a_step_that_fails_to_be_captured_goes_on_eagerly_and_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half a step that was captured must leave no gradient behind, to be added to the next."""
    case = parity.CASES["odd"]
    options = case.options(Options(threads=1))
    called, failing = TorchBackend(options), Replaying(options)

    class Refusing(Tape):
        def __torch_dispatch__(self, func: Any, *rest: Any) -> Any:
            if "fused_adam" in str(func):
                raise RuntimeError("operation failed due to a previous error\nduring capture")
            return super().__torch_dispatch__(func, *rest)

    monkeypatch.setattr(sys.modules[__name__], "Tape", Refusing)
    said = everything(called, case), everything(failing, case)
    for expected, seen in zip(*said, strict=True):
        np.testing.assert_array_equal(seen, expected)
    assert failing.graphs and len(failing.graphs.failed) == 1, "told once, for both kinds of step"


@pytest.mark.usefixtures("recorded")
def test_graphs_are_bounded_and_the_one_unused_for_longest_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(graphs, "MOST_GRAPHS", 3)
    called = graphs.Graphs()
    calls: list[int] = []

    def count(x: Any) -> tuple[Any, ...]:
        calls.append(len(x))
        return (x + 1,)

    for size in (1, 2, 3, 1, 4, 1, 3, 2):
        (result,) = called(count, torch.ones(size))
        assert result.tolist() == [2.0] * size
    assert len(called._captured) == 3
    assert calls == [1, 1, 2, 2, 3, 3, 4, 4, 2, 2], "2 was dropped for 4: it was called longest ago"


@pytest.mark.usefixtures("recorded")
def test_graphs_are_freed_with_their_backend_and_not_by_the_collector() -> None:
    """A graph that is destroyed while another is being captured invalidates the capture."""
    case = parity.CASES["odd"]
    backend = Replaying(case.options(Options(threads=1)))
    everything(backend, case)
    graph = weakref.ref(next(iter(backend.graphs._captured.values())).graph)
    gc.disable()
    try:
        del backend
        assert graph() is None
    finally:
        gc.enable()


@pytest.mark.usefixtures("recorded")
def test_nothing_is_collected_while_capturing() -> None:
    seen = []

    def function(x: Any) -> tuple[Any, ...]:
        seen.append(gc.isenabled())
        return (x + 1,)

    graphs.Graphs()(function, torch.ones(2))
    assert seen == [True, False], "called once, then captured"
    assert gc.isenabled()

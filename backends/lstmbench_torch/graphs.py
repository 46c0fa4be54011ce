"""CUDA graphs: what a function launches is recorded once, then launched again as a whole.

At small sizes a step on a GPU waits for Python to launch one small kernel after the other. How
capture works and what it forbids: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeAlias

from torch import Tensor, cuda

Function: TypeAlias = Callable[..., tuple[Tensor, ...]]

MOST_GRAPHS = 64
"""How many are kept; beyond, the one that was not called for longest is dropped."""


class Captured(NamedTuple):
    """A graph, and the tensors that it reads its arguments from and leaves its results in."""

    graph: cuda.CUDAGraph
    arguments: list[Tensor]
    results: tuple[Tensor, ...]


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Keep Python's collector from destroying other graphs, which would invalidate a capture."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Graphs:
    """Calls functions of tensors, from the second call with the same shapes on as CUDA graphs.

    Whatever else a function reads or writes, as parameters, must stay where it is in memory. What
    cannot be captured is called as it is, and named in `failed`; `clean_up` then undoes what half
    a call has left behind.
    """

    def __init__(self, clean_up: Callable[[], None] = lambda: None) -> None:
        self.failed: list[str] = []
        self._clean_up = clean_up
        self._stream = cuda.Stream()
        # All graphs may use the same memory, as results are copied out before the next one runs.
        self._pool = cuda.graph_pool_handle()
        # In the order of their latest calls; None is what cannot be captured.
        self._captured: dict[object, Captured | None] = {}

    def __call__(
        self, function: Function, *arguments: Tensor, **options: int
    ) -> tuple[Tensor, ...]:
        """Call `function`; what it returns are tensors that nothing will overwrite."""
        # The plain function of a method: a key that held the backend, which holds its graphs, would
        # leave them all to the garbage collector.
        plain = getattr(function, "__func__", function)
        key = plain, *options.items(), *(x.shape for x in arguments)
        if key not in self._captured:
            results = self._call(function, *arguments, **options)
            self._make_room()
            self._captured[key] = self._capture(function, *arguments, **options)
            return tuple(x.clone() for x in results)
        captured = self._captured[key] = self._captured.pop(key)
        if captured is None:
            return function(*arguments, **options)
        for argument, given in zip(captured.arguments, arguments, strict=True):
            argument.copy_(given)
        captured.graph.replay()
        return tuple(x.clone() for x in captured.results)

    def _call(self, function: Function, *arguments: Tensor, **options: int) -> tuple[Tensor, ...]:
        """Make the call itself, which also sets up all that may not be set up while capturing."""
        self._stream.wait_stream(cuda.current_stream())
        with cuda.stream(self._stream):
            results = function(*arguments, **options)
        cuda.current_stream().wait_stream(self._stream)
        return results

    def _make_room(self) -> None:
        """Drop the graph that was not called for longest, if there are too many."""
        if len(self._captured) >= MOST_GRAPHS:
            cuda.synchronize()  # it may still be running
            del self._captured[next(iter(self._captured))]

    def _capture(self, function: Function, *arguments: Tensor, **options: int) -> Captured | None:
        try:
            # A capture that cannot be ended leaves its stream the current one, unless that is put
            # back here, and neither stream nor pool are of use any more.
            with cuda.stream(cuda.current_stream()):
                return self._capture_or_raise(function, *arguments, **options)
        except RuntimeError as error:
            self._stream, self._pool = cuda.Stream(), cuda.graph_pool_handle()
            self._clean_up()
            reason = str(error).partition("\n")[0]
            told = f"{getattr(function, '__name__', function)}: {reason}"
            self.failed += [told] if told not in self.failed else []
            return None

    def _capture_or_raise(self, function: Function, *arguments: Tensor, **options: int) -> Captured:
        graph, own = cuda.CUDAGraph(), [x.clone() for x in arguments]
        with _no_garbage_collection(), cuda.graph(graph, pool=self._pool, stream=self._stream):
            results = function(*own, **options)
        return Captured(graph, own, results)

"""The worker process: one backend on one device, doing what the runner asks, in its own process.

Started as `python -m lstmbench.worker`, with requests on standard input and replies on standard
output; whatever a library prints goes to standard error instead.
"""

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from functools import cached_property, partial
from typing import Any, BinaryIO

import numpy as np

from lstmbench import parity
from lstmbench.analysis import limits
from lstmbench.host import environment
from lstmbench.interface import Backend, Parameters, Task, parameters
from lstmbench.interface.errors import UsageError, headline, out_of_memory
from lstmbench.plugins.registry import resolve
from lstmbench.protocol import messages
from lstmbench.protocol.messages import Open
from lstmbench.worker import timing, training
from lstmbench.worker import verification as recheck


def main() -> None:
    """Answer requests until the runner closes the pipe."""
    requests, replies = _take_streams()
    _die_with_parent()
    session: Session | None = None
    try:
        while (data := messages.receive(requests.read)) is not None:
            request = messages.decode_request(data)
            if isinstance(request, Open):
                session = Session(request)
                messages.send(replies, session.opened)
            elif session:
                for reply in session.answer(request):
                    messages.send(replies, reply)
    except BrokenPipeError:
        os._exit(1)  # the runner is gone: nobody is left to tell
    except BaseException as error:
        messages.send(replies, _raised(error))
        os._exit(1)
    os._exit(0)  # at once: there is nothing to save, and libraries take their time to shut down


def _take_streams() -> tuple[BinaryIO, BinaryIO]:
    """The two pipes, moved away from where a library could print into them."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    return requests, replies


def _die_with_parent() -> None:
    """Have Linux kill this process if the runner is killed, even in the middle of a hang."""
    if sys.platform == "linux":
        PR_SET_PDEATHSIG = 1  # from <sys/prctl.h>
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _raised(error: BaseException) -> messages.Raised:
    """Sort an exception."""
    reason: messages.Reason = "raised"
    if isinstance(error, UsageError):
        return messages.Raised(reason="refused", message=str(error), traceback="")
    if out_of_memory(error):
        reason = "out of memory"
    elif isinstance(error, FloatingPointError):
        reason = "not finite"
    return messages.Raised(reason=reason, message=headline(error), traceback=traceback.format_exc())


class Session:
    """A backend that has been opened, and the run's settings."""

    def __init__(self, request: Open) -> None:
        self.row, self.settings = request.row, request.settings
        self.options = request.options
        environment.limit_cores(request.options.threads)
        start = time.perf_counter()
        self.make: type[Backend] = resolve(request.factory)
        devices = self.make.devices()
        self.import_seconds = time.perf_counter() - start
        self.imported_bytes = environment.peak_bytes()
        start = time.perf_counter()
        self.backend = self.make(request.options)
        self.build_seconds = time.perf_counter() - start
        self.task: Task = resolve(request.task_factory)(self.settings.seq_len)
        self.last_workload: messages.Workload = "stage"
        self.last_results: list[Any] = []
        self.opened = messages.Opened(
            capabilities=sorted(self.backend.capabilities()), devices=list(devices)
        )

    @cached_property
    def initial(self) -> Parameters:
        """The run's initial parameters, the same for every backend."""
        s = self.settings
        return parameters.draw(s.seed, s.hidden, s.layers, self.options.dtype)

    def answer(self, request: messages.Request) -> Iterator[Any]:
        """The replies to one request, as they come."""
        match request:
            case messages.Observe(fixture=name):
                yield from self._observe(name)
            case messages.Reference(fixture=name):
                yield from self._reference(name)
            case messages.Survey():
                yield training.survey(self.task, self.settings.task, self.settings)
            case messages.Probe(launch=launch):
                size = sum(array.nbytes for array in self.initial.values())
                yield limits.measure(launch, self.options.dtype, size)
            case messages.Prepare():
                yield self._prepare(request)
            case messages.Measure():
                yield self._measure(request)
            case messages.Show(calls=calls):
                arrays = timing.outputs(self.last_workload, self.last_results, calls)
                yield messages.Outputs(arrays=parameters.to_bytes(arrays))
            case messages.Recompute():
                yield self._recompute(request)
            case messages.Train():
                yield from self._train()

    def _fixture(self, name: str) -> parity.Fixture:
        s = self.settings
        return parity.fixture(name, s.batch, s.seq_len, s.hidden, s.layers)

    def _observe(self, name: str) -> Iterator[Any]:
        for seen in parity.observe(self.make, self.options, self._fixture(name)):
            yield messages.Observed(
                fixture=name,
                rung=seen.rung,
                arrays=parameters.to_bytes(seen.arrays),
                claimed=seen.claimed,
                error=seen.error,
                traceback=seen.traceback,
            )
        yield messages.Done()

    def _reference(self, name: str) -> Iterator[Any]:
        options, fixture = self.options, self._fixture(name)
        for rung, arrays, bands in parity.reference(self.make, options, fixture):
            data = parameters.to_bytes(arrays)
            yield messages.Expected(fixture=name, rung=rung, arrays=data, bands=bands)
        yield messages.Done()

    def _load(self) -> tuple[float, float]:
        """Seconds to load the run's parameters, and then to compile for its shape."""
        initial = self.initial
        start = time.perf_counter()
        self.backend.load(initial)
        self.backend.synchronize()
        loaded = time.perf_counter()
        self.backend.compile(self.settings.batch, self.settings.seq_len)
        self.backend.synchronize()
        return loaded - start, time.perf_counter() - loaded

    def _inputs(self, workload: messages.Workload, launch: int, round_: int, n: int) -> np.ndarray:
        s = self.settings
        calls = n + timing.WARM_UP_CALLS
        return timing.inputs(workload, s.seed, launch, round_, calls, s.batch, s.seq_len)

    def _prepare(self, request: messages.Prepare) -> messages.Startup:
        claims = {"", *self.opened.capabilities}
        claimed = [w for w in request.workloads if timing.CAPABILITIES[w] in claims]
        load_seconds, compile_seconds = self._load()
        inputs = partial(self._inputs, launch=request.launch, round_=0)
        main: messages.Workload = "train" if "train" in claimed else claimed[-1]
        first = timing.run(self.backend, main, inputs(main, n=0)[:1])
        seconds = self.settings.block_seconds
        calls = {
            w: timing.calls_for(
                self.backend,
                self.initial,
                w,
                inputs(w, n=timing.CALIBRATION_CALLS),
                seconds,
            )
            for w in claimed
        }
        return messages.Startup(
            row=self.row,
            launch=request.launch,
            import_seconds=self.import_seconds,
            build_seconds=self.build_seconds + load_seconds,
            compile_seconds=compile_seconds,
            first_step_seconds=sum(first.seconds),
            calls=calls,
            description={k: str(v) for k, v in self.backend.describe().items()},
            peak_bytes=environment.peak_bytes(),
            imported_bytes=self.imported_bytes,
        )

    def _measure(self, request: messages.Measure) -> messages.Block:
        workload, calls = request.workload, request.calls + request.uncounted
        fresh = partial(self._inputs, workload, request.launch, request.round, calls)
        inputs = fresh()
        timed = timing.block(self.backend, self.initial, workload, inputs)
        if not np.array_equal(inputs, fresh()):
            raise RuntimeError(f"the inputs of {workload} were changed while it was timed")
        self.last_workload, self.last_results = workload, timed.results
        return messages.Block(
            row=self.row,
            launch=request.launch,
            round=request.round,
            position=request.position,
            workload=workload,
            calls=request.calls,
            seconds=timed.seconds,
            digits=timing.DIGITS_PER_CALL if workload == "generate" else 0,
            uncounted=request.uncounted,
        )

    def _recompute(self, request: messages.Recompute) -> messages.Expected:
        calls = max(request.calls) + 1 - timing.WARM_UP_CALLS
        inputs = self._inputs(request.workload, request.launch, request.round, max(calls, 0))
        expected = recheck.reference(
            self.make,
            self.options,
            self.initial,
            request.workload,
            inputs,
            request.calls,
        )
        data = parameters.to_bytes(expected.arrays)
        return messages.Expected(
            fixture="timed", rung=request.workload, arrays=data, bands=expected.bands
        )

    def _train(self) -> Iterator[Any]:
        self._load()
        yield from training.train(self.backend, self.task, self.settings, self.row)
        peak = environment.peak_bytes()
        yield messages.Trained(
            row=self.row,
            metrics={**training.evaluate(self.backend, self.task, self.settings.seed)},
            peak_bytes=peak,
            imported_bytes=self.imported_bytes,
        )

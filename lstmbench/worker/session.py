"""One backend on one device in a worker process, and its replies to requests."""

import os
import time
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from lstmbench import parity
from lstmbench.host import cpu, gpu, memory
from lstmbench.interface import Backend, Parameters, Task, parameters
from lstmbench.interface.workloads import MAIN, WORKLOADS, Workload
from lstmbench.parity import golden
from lstmbench.parity.oracle import Oracle
from lstmbench.parity.variants import Variant, Variants
from lstmbench.plugins.resolve import resolve
from lstmbench.protocol import messages
from lstmbench.protocol.messages import Open
from lstmbench.protocol.observations import Block, DeviceMemory, OracleVariant, Startup, Trained
from lstmbench.worker import probe, timing, training, verification
from lstmbench.worker.verification import BlockOracle

COLD_ROUND = 0
"""The round whose inputs first calls and trials use; timed blocks of a launch draw others."""


def trained_variant(variants: Variants, name: OracleVariant) -> Variant:
    """Return what is trained under a name."""
    return {
        "plain": variants.own,
        "accurate": variants.accurate_run,
        "approximate": variants.approximate_run,
        "exact": variants.exact,
        "moved": variants.own_perturbed[0],
        "moved otherwise": variants.own_perturbed[1],
    }[name]


class Session:
    """A backend that has been opened, and the run's settings."""

    def __init__(self, request: Open) -> None:
        self.contender, self.settings = request.contender, request.settings
        self.options = request.options
        if request.pinned:
            cpu.limit_cores(request.options.threads)
        start = time.perf_counter()
        self.make: type[Backend] = resolve(request.factory)
        devices = self.make.devices()
        self.import_seconds = time.perf_counter() - start
        self.imported_bytes = memory.peak_bytes()
        start = time.perf_counter()
        self.backend = self.make(request.options)
        self.build_seconds = time.perf_counter() - start
        self.task: Task = resolve(request.task_factory)(self.settings.seq_len)
        self.last = timing.Timed()
        self.block_initial: Parameters = {}
        self.opened = messages.Opened(
            capabilities=sorted(self.backend.capabilities()), devices=list(devices)
        )

    @cached_property
    def initial(self) -> Parameters:
        """The run's initial parameters, the same for every backend."""
        return parameters.draw(self.settings.seed, self.settings.model, self.options.dtype)

    @cached_property
    def block_oracle(self) -> BlockOracle:
        """What an oracle expects timed blocks by."""
        return BlockOracle(self.options)

    def answer(self, request: messages.Request) -> Iterator[Any]:
        """Yield the replies to one request, as they come."""
        match request:
            case messages.ObserveCase(case=name):
                yield from parity.observe(self.make, self.options, self._case(name))
                yield messages.Done()
            case messages.ExpectCase(case=name):
                yield from self._expect(name)
            case messages.Survey():
                yield training.survey(self.task, self.settings.task, self.settings)
            case messages.Probe(launch=launch):
                yield probe.measure(launch, self.settings.arithmetic, self._weight_bytes)
            case messages.ProbeLibrary(launch=launch):
                yield probe.measure_library(
                    launch, self.contender, self.backend, self._weight_bytes
                )
            case messages.Prepare():
                yield self._prepare(request)
            case messages.Measure():
                yield self._measure(request)
            case messages.Show():
                yield self._show(request)
            case messages.ExpectBlock():
                yield self._expect_block(request)
            case messages.ExpectEvaluation():
                yield self.block_oracle.expect_evaluation(request.parameters, request.sequences)
            case messages.Train():
                yield from self._train()
            case messages.TrainOracle():
                yield from self._train_oracle(request)

    @property
    def _weight_bytes(self) -> int:
        return self.settings.model.size * self.settings.arithmetic.itemsize

    def _case(self, name: str) -> parity.Case:
        return parity.case(name, self.settings.model, self.settings.shape)

    def _expect(self, name: str) -> Iterator[Any]:
        case = self._case(name)
        if case == golden.CASE:
            golden.verify(self.make)
        yield from parity.expect(Oracle, self.options, case)
        yield messages.Done()

    def _inputs(self, workload: Workload, launch: int, round_: int, calls: int) -> np.ndarray:
        return timing.inputs(workload, self.settings, launch, round_, calls)

    def _load(self) -> tuple[float, float]:
        """Return the seconds to load the run's parameters, and then to compile for its shape."""
        initial = self.initial
        start = time.perf_counter()
        self.backend.load(initial)
        self.backend.synchronize()
        loaded = time.perf_counter()
        self.backend.compile(self.settings.batch, self.settings.seq_len)
        self.backend.synchronize()
        return loaded - start, time.perf_counter() - loaded

    def _prepare(self, request: messages.Prepare) -> Startup:
        claims = {"", *self.opened.capabilities}
        asked = [WORKLOADS[name] for name in request.workloads]
        claimed = [workload for workload in asked if workload.capability in claims]
        load_seconds, compile_seconds = self._load()
        main = MAIN if MAIN in claimed else claimed[-1]
        first = self._inputs(main, request.launch, COLD_ROUND, calls=0)[:1]
        first_step = timing.run(self.backend, main, first)
        calls = {workload.name: self._calls(workload, request.launch) for workload in claimed}
        return Startup(
            contender=self.contender,
            launch=request.launch,
            import_seconds=self.import_seconds,
            build_seconds=self.build_seconds + load_seconds,
            compile_seconds=compile_seconds,
            first_step_seconds=sum(first_step.seconds),
            calls=calls,
            description={k: str(v) for k, v in self.backend.describe().items()},
            peak_bytes=memory.peak_bytes(),
            imported_bytes=self.imported_bytes,
            clock_seconds=timing.tick(),
            device_memory=self._device_memory(),
        )

    def _device_memory(self) -> DeviceMemory | None:
        """Return the memory held on the device, by the library's own count if it has one."""
        if self.options.device == "cpu":
            return None
        counted = self.backend.device_bytes()
        if counted is not None:
            return DeviceMemory(peak_bytes=counted, told_by="library")
        held = gpu.process_bytes(os.getpid())
        return None if held is None else DeviceMemory(peak_bytes=held, told_by="driver")

    def _parameters(self, workload: Workload, launch: int, round_: int) -> Parameters:
        return timing.parameters(workload, self.settings, launch, round_, self.initial)

    def _calls(self, workload: Workload, launch: int) -> int:
        """Return how many calls of a workload fill a block."""
        trial = self._inputs(workload, launch, COLD_ROUND, timing.CALIBRATION_CALLS)
        initial = self._parameters(workload, launch, COLD_ROUND)
        seconds = self.settings.block_seconds
        return timing.calls_for(self.backend, initial, workload, trial, seconds)

    def _measure(self, request: messages.Measure) -> Block:
        workload = WORKLOADS[request.workload]
        calls = request.calls + request.extra_calls
        inputs = self._inputs(workload, request.launch, request.round, calls)
        self.block_initial = self._parameters(workload, request.launch, request.round)
        timed = timing.block(self.backend, self.block_initial, workload, inputs)
        if not np.array_equal(inputs, self._inputs(workload, request.launch, request.round, calls)):
            raise RuntimeError(f"the inputs of {workload.name} were changed while it was timed")
        self.last = timed
        return Block(
            contender=self.contender,
            launch=request.launch,
            round=request.round,
            position=request.position,
            workload=workload.name,
            calls=request.calls,
            seconds=timed.seconds,
            units_per_call=workload.units_per_call,
            extra_calls=request.extra_calls,
            stage_seconds=timed.stage_seconds,
            rest_seconds=timed.rest_seconds,
            copy_seconds=timed.copy_seconds,
        )

    def _show(self, request: messages.Show) -> messages.Outputs:
        workload = WORKLOADS[request.workload]
        calls, end = sorted({*request.calls, self.last.whole}), None
        if workload.carries_over:
            calls, end = request.calls, len(self.last.results)
        arrays = verification.outputs(workload, self.last.results, calls)
        if end:
            arrays |= verification.moves(self.backend.parameters(), self.block_initial, end)
        return messages.Outputs(calls=calls, end=end, arrays=arrays)

    def _expect_block(self, request: messages.ExpectBlock) -> parity.Expected:
        workload = WORKLOADS[request.workload]
        last = max([*(n + 1 for n in request.calls), *request.ends])
        calls = max(0, last - timing.WARM_UP_CALLS)
        inputs = self._inputs(workload, request.launch, request.round, calls)
        initial = self._parameters(workload, request.launch, request.round)
        return self.block_oracle.expect(workload, initial, inputs, request.calls, request.ends)

    def _train(self) -> Iterator[Any]:
        self._load()
        yield from training.train(self.backend, self.task, self.settings, self.contender)
        peak, on_device = memory.peak_bytes(), self._device_memory()
        found, evaluated = training.evaluate(self.backend, self.task, self.settings)
        yield evaluated
        yield Trained(
            contender=self.contender,
            metrics={**found},
            peak_bytes=peak,
            imported_bytes=self.imported_bytes,
            device_memory=on_device,
        )

    def _train_oracle(self, request: messages.TrainOracle) -> Iterator[Any]:
        variant = trained_variant(Variants(Oracle, self.options), request.variant)
        backend = variant.make(variant.options)
        backend.load(variant.change(self.initial))
        yield from training.train_oracle(backend, self.task, self.settings, request)

"""What is observed in a run, as records that are kept: the lines of records.jsonl.

All times are in seconds.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from lstmbench.host.gpu import GpuState
from lstmbench.parity import Comparison
from lstmbench.parity.known_failures import TrainingPart
from lstmbench.protocol.contender import Contender

Count = Annotated[int, Meta(ge=0, le=2**62)]
OneOrMore = Annotated[int, Meta(ge=1, le=2**62)]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]
Elapsed = Annotated[float, Meta(gt=0, le=1e9)]
"""Seconds of work that a clock has seen."""
Rate = Annotated[float, Meta(gt=0, le=1e30)]
Share = Annotated[float, Meta(ge=0, le=1e6)]
"""Of the time of something; clocks that disagree give more than 1."""
Fraction = Annotated[float, Meta(ge=0, le=1)]
Nats = Annotated[float, Meta(ge=-1e300, le=1e300)]

Phase = Literal["parity", "timing", "training"]
Limit = Literal["precision", "time budget"]
OracleVariant = Literal["plain", "accurate", "approximate", "exact", "moved", "moved otherwise"]
"""In which way the oracle trains: in the run's dtype as it is, or summing in another order with
activations displaced as far as accurate or approximate ones may err; in float64; or in the run's
dtype from parameters that are moved by one unit in the last place, in two random ways."""
FailureKind = Literal["raised", "refused", "aborted", "hung", "out of memory", "not finite"]


class Ceiling(Struct, frozen=True, kw_only=True, tag=True):
    """What is possible on the task: in expectation, and on the very tokens of the test split."""

    task: str
    bayes_accuracy: Fraction
    """Expected accuracy of the best possible guess."""
    entropy_floor_nats: Nats
    """Expected cross-entropy of the process itself."""
    test_bayes_accuracy: Fraction
    """Accuracy of the best possible guess on the test tokens."""
    test_cross_entropy_nats: Nats
    """Cross-entropy of the process on the test tokens."""
    ngram_accuracy: dict[str, Fraction]
    """Accuracy of guessing from the last k digits alone, by k."""


class RungResult(Struct, frozen=True, kw_only=True, tag=True):
    """What came of one rung of the parity ladder at one case."""

    contender: Contender
    case: str
    rung: str
    result: Comparison
    traceback: str = ""
    """Of what the backend raised on it, if it did."""
    seconds: Seconds | None = None
    """How long the backend took for it; not known in records of earlier versions."""

    @property
    def place(self) -> str:
        """Case and rung, as "odd/clip"."""
        return f"{self.case}/{self.rung}"


class MachinePeaks(Struct, frozen=True, kw_only=True, tag=True):
    """The best rates that a library reached, at the run's threads and precision; None: not known.

    NumPy measures those of the CPU, and contenders' own libraries those of the devices and
    precisions that it has not.
    """

    launch: Count
    contender: Contender | None = None
    """Whose library it was, on its device; None: NumPy, on the CPU."""
    matrix_flops_per_second: Rate | None
    """Operations a second of large matrix products."""
    memory_bytes_per_second: Rate | None
    """Bytes a second of copying or reading as many bytes as the weights take, or more."""
    dispatch_seconds: Elapsed | None = None
    """From one small operation to the next, of many that are started without waiting."""

    @property
    def device(self) -> str:
        """What was measured."""
        return self.contender.device if self.contender else "cpu"


class DeviceMemory(Struct, frozen=True, kw_only=True):
    """The memory that a worker has held on its device."""

    peak_bytes: Count
    told_by: Literal["library", "driver"]
    """The library tells of the most that its arrays took; the driver, of what the whole process
    takes at the moment."""


class Startup(Struct, frozen=True, kw_only=True, tag=True):
    """What it costs a fresh process until it is at full speed and has done each workload once."""

    contender: Contender
    launch: Count
    import_seconds: Seconds
    """Import of the backend's libraries, beyond what a worker itself needs (NumPy among it)."""
    build_seconds: Seconds
    """Construction of the backend and loading of parameters."""
    compile_seconds: Seconds
    first_step_seconds: Seconds
    calls: dict[str, OneOrMore]
    """How many calls fill a block, for each workload that is claimed."""
    description: dict[str, str]
    """Versions and code paths, as the backend describes itself."""
    peak_bytes: Count
    """The most memory that the process has held."""
    imported_bytes: Count
    """The most memory that it had held once the library was imported."""
    clock_seconds: Seconds | None = None
    """The least time that its clock tells; not known in records of earlier versions."""
    device_memory: DeviceMemory | None = None
    """Where it computes on another device than the CPU."""


class Block(Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """One timed block: `calls` calls of a workload, timed together or each by itself."""

    contender: Contender
    launch: Count
    round: Count
    position: Count
    """The contender's turn in the round, from 0."""
    workload: str
    calls: OneOrMore
    seconds: Annotated[list[Elapsed], Meta(min_length=1)]
    """One number for all calls together, or one for each call."""
    units_per_call: OneOrMore = 1
    """How many units one call does, such as 64 generated digits."""
    extra_calls: Count = 0
    """Calls made inside the same clock that are not counted, to inject a known slowdown."""
    stage_seconds: Seconds | None = None
    """Of staging the inputs of all calls, before the clock started."""
    rest_seconds: Seconds | None = None
    """Of bringing the rest of one call's result to the host, after the clock had stopped."""
    copy_seconds: Seconds | None = None
    """Of copying as many bytes on the host."""

    @property
    def seconds_per_unit(self) -> list[float]:
        """Seconds of one step, pass or digit, for each of `seconds`."""
        units = self.calls * self.units_per_call / len(self.seconds)
        return [seconds / units for seconds in self.seconds]

    @property
    def median_seconds_per_unit(self) -> float:
        """The median of `seconds_per_unit`: the block's own time."""
        ordered = sorted(self.seconds_per_unit)
        middle = len(ordered) // 2
        return (ordered[middle] + ordered[~middle]) / 2


class BlockCheck(Struct, frozen=True, kw_only=True, tag=True):
    """Results of a timed block compared with what the oracle expects."""

    contender: Contender
    launch: Count
    round: Count
    workload: str
    result: Comparison


class Disturbance(Struct, frozen=True, kw_only=True, tag=True):
    """What else went on while a launch was timed; None where the system does not tell.

    Shares are of the time of all cores that the run may use, unless said otherwise.
    """

    launch: Count
    other_share: Share | None
    """Processor time of processes that are not this run's."""
    stolen_share: Share | None
    """Processor time that the hypervisor gave to other machines."""
    throttled_share: Share | None = None
    """In how many of the control group's periods its processor time was used up, of all."""
    gpu_processes: Count | None = None
    """How many processes used a GPU before the launch."""
    gpus: list[GpuState] = []
    """How the GPUs did that were used."""


class Stopped(Struct, frozen=True, kw_only=True, tag=True):
    """Why timing ended: intervals as narrow as asked, no time left, or nothing left to time."""

    reason: Limit | Literal["nothing to time"]
    half_width: Annotated[float, Meta(ge=0, le=1e300)] | None
    """Of the widest interval that counts, as a share of its value."""


class TrainingCheck(Struct, frozen=True, kw_only=True, tag=True):
    """What a training came to, or computed on the way, compared with the oracle."""

    contender: Contender
    check: TrainingPart
    epoch: Count | None = None
    """After which epoch, if it is not about the training as a whole."""
    result: Comparison


class OracleEpoch(Struct, frozen=True, kw_only=True, tag=True):
    """The losses of an epoch, or of a part of it, of one of the oracle's own trainings."""

    variant: OracleVariant
    epoch: Count
    losses_nats: list[Nats | None]


class OracleTrained(Struct, frozen=True, kw_only=True, tag=True):
    """One of the oracle's own trainings has ended."""

    variant: OracleVariant
    seconds: Seconds
    test_accuracy: Fraction | None
    """None if it did not get to the end of the last epoch."""


class Epoch(Struct, frozen=True, kw_only=True, tag=True):
    """One epoch of training; a loss is None where no batch was of its kind."""

    contender: Contender
    epoch: Count
    seconds: Seconds
    """Seconds of the training steps alone."""
    teacher_forced_batches: Count
    free_running_batches: Count
    teacher_forced_loss_nats: Nats | None
    free_running_loss_nats: Nats | None
    loss_nats: Nats
    validation_accuracy: Fraction
    losses_nats: list[Nats] | None = None
    """Of every step; not known in records of earlier versions."""


class Trained(Struct, frozen=True, kw_only=True, tag=True):
    """What the trained model is worth; metrics as `lstmbench.worker.metrics` defines them.

    A metric that is not finite is None in records.jsonl: JSON has no such numbers.
    """

    contender: Contender
    metrics: dict[str, float | None]
    peak_bytes: Count
    imported_bytes: Count
    device_memory: DeviceMemory | None = None


class Failure(Struct, frozen=True, kw_only=True, tag=True):
    """Why a contender has no result from a phase."""

    contender: Contender
    phase: Phase
    kind: FailureKind
    message: str
    traceback: str = ""


class Retried(Struct, frozen=True, kw_only=True, tag=True):
    """A contender's failure in this phase does not count any more, nor what came of it.

    Where it was not timed with the others, all are timed anew. Differences from the oracle stay.
    """

    contender: Contender
    phase: Phase


class Finished(Struct, frozen=True, kw_only=True, tag=True):
    """This part of the run need not be done again; it took `seconds`."""

    phase: Phase
    contender: Contender | None = None
    launch: Count | None = None
    seconds: Seconds | None = None


Record = (
    Ceiling
    | RungResult
    | MachinePeaks
    | Startup
    | Block
    | BlockCheck
    | Disturbance
    | Stopped
    | TrainingCheck
    | OracleEpoch
    | OracleTrained
    | Epoch
    | Trained
    | Failure
    | Retried
    | Finished
)
"""What records.jsonl holds, one a line; the key "type" is the name of the class."""

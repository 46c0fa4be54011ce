"""What the runner asks of a worker and what it gets back, as records that are kept as they are.

A message is a length (4 bytes, big-endian) and that many bytes of MessagePack. The same records,
as JSON, are the lines of records.jsonl. All times are in seconds.
"""

import struct
from collections.abc import Callable
from typing import IO, Any, Literal

import msgspec
from msgspec import Struct

from lstmbench.interface import Options
from lstmbench.protocol.settings import Settings

SCHEMA = 1
_LENGTH = struct.Struct(">I")

Workload = Literal["stage", "forward", "gradients", "train", "generate"]
Phase = Literal["parity", "timing", "training"]
Limit = Literal["precision", "time budget"]
Reason = Literal["raised", "refused", "aborted", "hung", "out of memory", "not finite"]


class Row(Struct, frozen=True, kw_only=True):
    """A backend on a device: what a row of the answer is about.

    `copy` tells apart rows that are the same, as in an A/A run; `slowed` marks one to which a
    slowdown is done on purpose.
    """

    backend: str
    device: str
    copy: int = 0
    slowed: bool = False

    @property
    def label(self) -> str:
        name = self.backend if self.device == "cpu" else f"{self.backend}:{self.device}"
        return name + (f"#{self.copy}" if self.copy else "") + (" slowed" if self.slowed else "")


# What the runner asks


class Open(Struct, frozen=True, kw_only=True, tag=True):
    """Load the backend's library and construct the backend; first message, answered by Opened."""

    row: Row
    factory: str
    options: Options
    settings: Settings
    task_factory: str


class Observe(Struct, frozen=True, kw_only=True, tag=True):
    """Climb the parity ladder of a fixture; answered by Observed for each rung, then Done."""

    fixture: str


class Reference(Struct, frozen=True, kw_only=True, tag=True):
    """Compute expected values and bands; answered by Expected for each rung, then Done."""

    fixture: str


class Survey(Struct, frozen=True, kw_only=True, tag=True):
    """Measure the task itself; answered by Ceiling."""


class Probe(Struct, frozen=True, kw_only=True, tag=True):
    """Measure the machine's own limits; answered by Machine."""

    launch: int


class Prepare(Struct, frozen=True, kw_only=True, tag=True):
    """Compile and take first steps at the run's shape, for some workloads; answered by Startup."""

    launch: int
    workloads: list[Workload]


class Measure(Struct, frozen=True, kw_only=True, tag=True):
    """Time one block of `calls` calls, and `uncounted` more of the same; answered by Block."""

    launch: int
    round: int
    position: int
    workload: Workload
    calls: int
    uncounted: int = 0


class Show(Struct, frozen=True, kw_only=True, tag=True):
    """Hand over what the last block computed in the calls named; answered by Outputs."""

    calls: list[int]


class Recompute(Struct, frozen=True, kw_only=True, tag=True):
    """What a block should have computed in the calls named; answered by Expected."""

    launch: int
    round: int
    workload: Workload
    calls: list[int]


class Train(Struct, frozen=True, kw_only=True, tag=True):
    """Train for all epochs; answered by Epoch for each, then Trained."""


Request = Open | Observe | Reference | Survey | Probe | Prepare | Measure | Show | Recompute | Train

# What comes back


class Opened(Struct, frozen=True, kw_only=True, tag=True):
    """The backend is there; `devices` are the kinds that it can use here, best first."""

    capabilities: list[str]
    devices: list[str]


class Outputs(Struct, frozen=True, kw_only=True, tag=True):
    """Arrays that were computed inside the clock (safetensors)."""

    arrays: bytes


class Observed(Struct, frozen=True, kw_only=True, tag=True):
    """What a backend computed on a rung: safetensors, or why there is nothing."""

    fixture: str
    rung: str
    arrays: bytes = b""
    claimed: bool = True
    error: str = ""
    traceback: str = ""


class Expected(Struct, frozen=True, kw_only=True, tag=True):
    """The float64 values of a rung (safetensors), and the relative error allowed in each."""

    fixture: str
    rung: str
    arrays: bytes
    bands: dict[str, float]


class Ceiling(Struct, frozen=True, kw_only=True, tag=True):
    """What is possible on the task: in expectation, and on the very tokens of the test split."""

    task: str
    bayes_accuracy: float
    entropy_floor_nats: float
    test_bayes_accuracy: float
    test_cross_entropy_nats: float
    ladder: dict[str, float]


class Machine(Struct, frozen=True, kw_only=True, tag=True):
    """The best that this machine did on its own, at the run's threads and dtype."""

    launch: int
    matrix_flops_per_second: float
    memory_bytes_per_second: float


class Startup(Struct, frozen=True, kw_only=True, tag=True):
    """What it costs a fresh process until it is at full speed, and has done each workload once.

    Import is of the backend's libraries, beyond what a worker itself needs (NumPy among it); build
    is constructing the backend and loading parameters into it.
    """

    row: Row
    launch: int
    import_seconds: float
    build_seconds: float
    compile_seconds: float
    first_step_seconds: float
    calls: dict[Workload, int]
    description: dict[str, str]
    peak_bytes: int
    imported_bytes: int


class Block(Struct, frozen=True, kw_only=True, tag=True):
    """One timed block: `calls` calls, timed together, or each for itself for "generate".

    A call takes one batch, or for "generate" writes `digits` digits. `uncounted` calls more were
    made inside the same clock, to slow the row down by a known share.
    """

    row: Row
    launch: int
    round: int
    position: int
    workload: Workload
    calls: int
    seconds: list[float]
    digits: int = 0
    uncounted: int = 0


class Epoch(Struct, frozen=True, kw_only=True, tag=True):
    """One epoch of training; `seconds` are those of its steps alone, None for a loss not seen."""

    row: Row
    epoch: int
    seconds: float
    teacher_forced_batches: int
    free_running_batches: int
    teacher_forced_loss_nats: float | None
    free_running_loss_nats: float | None
    loss_nats: float
    validation_accuracy: float


class Trained(Struct, frozen=True, kw_only=True, tag=True):
    """What the trained model is worth; metrics as `lstmbench.metrics` defines them.

    A metric that is not finite is None in records.jsonl: JSON has no such numbers.
    """

    row: Row
    metrics: dict[str, float | None]
    peak_bytes: int
    imported_bytes: int


class Raised(Struct, frozen=True, kw_only=True, tag=True):
    """The backend raised an exception, and the worker is about to end."""

    reason: Reason
    message: str
    traceback: str


class Done(Struct, frozen=True, kw_only=True, tag=True):
    """The last answer to Observe or Reference."""


# What the runner adds of its own


class Failure(Struct, frozen=True, kw_only=True, tag=True):
    """Why a row has no result from a phase."""

    row: Row
    phase: Phase
    reason: Reason
    message: str
    traceback: str = ""


class Rung(Struct, frozen=True, kw_only=True, tag=True):
    """One rung of the parity ladder: at the worst `tensor`, `error` is a multiple of `band`.

    Where the backend raised on it there is a `traceback`.
    """

    row: Row
    fixture: str
    rung: str
    verdict: Literal["agrees", "differs", "not claimed"]
    error: float | None = None
    band: float | None = None
    tensor: str = ""
    note: str = ""
    traceback: str = ""

    @property
    def place(self) -> str:
        return f"{self.fixture}/{self.rung}"


class Checked(Struct, frozen=True, kw_only=True, tag=True):
    """Results of a timed block held against the reference; `error` is a multiple of the band."""

    row: Row
    launch: int
    round: int
    workload: Workload
    verdict: Literal["agrees", "differs"]
    error: float | None
    note: str = ""


class Disturbance(Struct, frozen=True, kw_only=True, tag=True):
    """What else went on while a launch was timed: shares of the time of all usable cores.

    `other_share` is processor time of processes that are not this run's, `stolen_share` what the
    hypervisor gave to other machines; `gpu_processes` is how many used a GPU before the launch.
    None where the system does not tell.
    """

    launch: int
    other_share: float | None
    stolen_share: float | None
    gpu_processes: int | None = None


class Stopped(Struct, frozen=True, kw_only=True, tag=True):
    """Why timing ended: intervals as narrow as asked, no time left, or no sound row left."""

    reason: Limit | Literal["nothing to time"]
    half_width: float | None


class Finished(Struct, frozen=True, kw_only=True, tag=True):
    """This part of the run need not be done again; it took `seconds`."""

    phase: Phase
    row: Row | None = None
    launch: int | None = None
    seconds: float | None = None


Reply = (
    Opened
    | Observed
    | Expected
    | Outputs
    | Ceiling
    | Machine
    | Startup
    | Block
    | Epoch
    | Trained
    | Raised
    | Done
)
Record = (
    Ceiling
    | Rung
    | Machine
    | Startup
    | Block
    | Checked
    | Disturbance
    | Stopped
    | Epoch
    | Trained
    | Failure
    | Finished
)

_encode = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(Request).decode
decode_reply = msgspec.msgpack.Decoder(Reply).decode


def send(stream: IO[bytes], message: Any) -> None:
    """Write one message and flush it."""
    data = _encode(message)
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def receive(read: Callable[[int], bytes]) -> bytes | None:
    """One message's bytes by way of `read(n)`, which returns n bytes, fewer at the end; or None."""
    head = read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    data = read(length)
    return data if len(data) == length else None

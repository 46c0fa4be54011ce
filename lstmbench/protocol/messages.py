"""What the parent process asks of a worker, and what the worker answers."""

from msgspec import Struct

from lstmbench.interface import Options
from lstmbench.parity import Arrays, Expected, Observation
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import (
    Block,
    Ceiling,
    Epoch,
    FailureKind,
    MachinePeaks,
    OracleEpoch,
    OracleTrained,
    OracleVariant,
    Startup,
    Trained,
)
from lstmbench.protocol.settings import Settings

# Requests


class Open(Struct, frozen=True, kw_only=True, tag=True):
    """Load a backend's library and construct the backend; the first message. Reply: Opened."""

    contender: Contender
    factory: str
    options: Options
    settings: Settings
    task_factory: str
    pinned: bool = True
    """Whether it keeps to as many cores as it has threads: the first ones."""


class ObserveCase(Struct, frozen=True, kw_only=True, tag=True):
    """Climb the parity ladder at a case. Replies: Observation for each rung, then Done."""

    case: str


class ExpectCase(Struct, frozen=True, kw_only=True, tag=True):
    """Compute, as the oracle, what is expected at a case. Replies: Expected for each, then Done."""

    case: str


class Survey(Struct, frozen=True, kw_only=True, tag=True):
    """Measure what is possible on the task. Reply: Ceiling."""


class Probe(Struct, frozen=True, kw_only=True, tag=True):
    """Measure the CPU's rates with NumPy. Reply: MachinePeaks."""

    launch: int


class ProbeLibrary(Struct, frozen=True, kw_only=True, tag=True):
    """Measure the rates that the backend's own library reaches. Reply: MachinePeaks."""

    launch: int


class Prepare(Struct, frozen=True, kw_only=True, tag=True):
    """Compile and make first calls at the run's shape, for some workloads. Reply: Startup."""

    launch: int
    workloads: list[str]


class Measure(Struct, frozen=True, kw_only=True, tag=True):
    """Time one block of `calls` calls, and `extra_calls` more of the same. Reply: Block."""

    launch: int
    round: int
    position: int
    workload: str
    calls: int
    extra_calls: int = 0


class Show(Struct, frozen=True, kw_only=True, tag=True):
    """Hand over what the last block computed in the calls named, and in one of the worker's choice.

    With the parameters that it ended with, if they were moved. Reply: Outputs.
    """

    workload: str
    calls: list[int]


class ExpectBlock(Struct, frozen=True, kw_only=True, tag=True):
    """Compute, as the oracle, what a block gives in the calls named. Reply: Expected.

    `ends` are the numbers of calls after which parameters are wanted.
    """

    launch: int
    round: int
    workload: str
    calls: list[int]
    ends: list[int] = []


class Train(Struct, frozen=True, kw_only=True, tag=True):
    """Train for all epochs. Replies: Epoch for each, Evaluated now and then, at last Trained."""


class TrainOracle(Struct, frozen=True, kw_only=True, tag=True):
    """Train the oracle, in one of its variants, for at most so many epochs and seconds.

    Replies: OracleEpoch for each, at last OracleTrained.
    """

    variant: OracleVariant
    epochs: int
    seconds: float


class ExpectEvaluation(Struct, frozen=True, kw_only=True, tag=True):
    """Compute, as the oracle, what a contender's own parameters give. Reply: Expected."""

    parameters: Arrays
    sequences: Arrays


Request = (
    Open
    | ObserveCase
    | ExpectCase
    | Survey
    | Probe
    | ProbeLibrary
    | Prepare
    | Measure
    | Show
    | ExpectBlock
    | Train
    | TrainOracle
    | ExpectEvaluation
)

# Replies that are not records


class Opened(Struct, frozen=True, kw_only=True, tag=True):
    """The backend is there; `devices` are the kinds that it can use here, best first."""

    capabilities: list[str]
    devices: list[str]


class Outputs(Struct, frozen=True, kw_only=True, tag=True):
    """Arrays that a block computed, named by `lstmbench.worker.verification`."""

    calls: list[int]
    """The calls that they are of."""
    end: int | None
    """After how many calls parameters are told, if they are."""
    arrays: Arrays


class Evaluated(Struct, frozen=True, kw_only=True, tag=True):
    """What a contender computed in evaluation, and with which parameters."""

    epoch: int
    parameters: Arrays
    sequences: Arrays
    """What went in: digits under "logits", a batch (B, T); prompts under "digits"."""
    arrays: Arrays
    """What came out, under the same names."""


class Done(Struct, frozen=True, kw_only=True, tag=True):
    """The last of several replies."""


class Raised(Struct, frozen=True, kw_only=True, tag=True):
    """The backend raised an exception, and the worker is about to end."""

    kind: FailureKind
    message: str
    traceback: str


Reply = (
    Opened
    | Observation
    | Expected
    | Outputs
    | Ceiling
    | MachinePeaks
    | Startup
    | Block
    | Evaluated
    | OracleEpoch
    | OracleTrained
    | Epoch
    | Trained
    | Raised
    | Done
)

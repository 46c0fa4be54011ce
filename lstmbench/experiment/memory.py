"""What a run needs of memory, at least, before it is begun."""

from typing import NamedTuple

from lstmbench.host import cpu, memory
from lstmbench.interface.errors import UsageError
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.settings import Settings
from lstmbench.worker.training import LEAST_SEQUENCES, TEST_TOKENS, evaluation_batch

SHARE = 0.8
"""Of the memory that there is, which a run may use."""
WEIGHT_ARRAYS = 4
"""Parameters, their gradients, and Adam's two moments."""
ACTIVATIONS = 8
"""Numbers that a training step keeps for each token and unit: four gates, states, gradients."""
FORWARD_ACTIVATIONS = 5
"""Numbers that a forward pass holds for each token and unit, of one layer at a time."""
TOKEN_BYTES = 17
"""Of training data: one, and both input and target staged as integers of eight."""
ORACLE_ITEMSIZE = 8
ORACLE_TRAININGS = 4


class Need(NamedTuple):
    """What part of a run needs so many bytes at the same time, in all of its processes."""

    what: str
    size: float


def check(settings: Settings, contenders: list[Contender]) -> None:
    """Raise UsageError, in one line, if the run cannot fit into the memory of this machine."""
    s = settings
    most = max(needs(settings, contenders), key=lambda need: need.size)
    have = SHARE * memory.total_bytes()
    if most.size > have:
        raise UsageError(
            f"{most.what} needs at least {most.size / 2**30:,.0f} GiB, and a run may use "
            f"{have / 2**30:.0f} GiB here (batch {s.batch}, seq-len {s.seq_len}, hidden "
            f"{s.hidden}, layers {s.layers}, batches-per-epoch {s.batches_per_epoch})"
        )


def needs(settings: Settings, contenders: list[Contender]) -> list[Need]:
    """Return what each part of a run needs of the host's memory, at least."""
    s, itemsize = settings, settings.arithmetic.itemsize
    here = sum(one.device == "cpu" for one in contenders)
    step = WEIGHT_ARRAYS * s.model.size + ACTIVATIONS * s.shape.tokens * s.hidden * s.layers
    oracle = step * ORACLE_ITEMSIZE
    epoch = TOKEN_BYTES * s.batches_per_epoch * s.shape.tokens
    trainings = min(ORACLE_TRAININGS, cpu.usable_cores())
    evaluated = evaluation_batch(s.seq_len) * s.seq_len * s.hidden * FORWARD_ACTIVATIONS
    tested = max(TEST_TOKENS, LEAST_SEQUENCES * s.seq_len)
    return [
        Need(
            f"timing {here} contenders at a time, and the oracle,", here * step * itemsize + oracle
        ),
        Need("training", trainings * (epoch + oracle)),
        Need("evaluation", evaluated * itemsize + 2 * tested),
    ]

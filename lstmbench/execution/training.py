"""Training, verified: the oracle trains too, and each contender is compared with it.

The losses of every step are compared with the oracle's own, and logits and digits of evaluation
with what the oracle computes from the contender's own parameters.
"""

from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np

from lstmbench.execution.workers import OracleWorker, WorkerFactory
from lstmbench.host import cpu
from lstmbench.parity import Comparison, Expected, losses
from lstmbench.parity.activations import Level
from lstmbench.parity.comparing import compare_arrays
from lstmbench.parity.known_failures import TrainingPart
from lstmbench.parity.losses import OracleLosses
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.messages import Evaluated, ExpectEvaluation, TrainOracle
from lstmbench.protocol.observations import (
    Epoch,
    OracleEpoch,
    OracleTrained,
    OracleVariant,
    Record,
    Trained,
    TrainingCheck,
)
from lstmbench.protocol.settings import Settings
from lstmbench.statistics import Estimate
from lstmbench.worker.verification import in_common

EXACT_EPOCHS = 10
"""For how many epochs the oracle trains in float64 where the run is in another dtype."""
ORACLE_SECONDS = 120.0
"""How long each of the oracle's trainings may take; what comes after is not compared."""


def train_oracle(
    factory: WorkerFactory, settings: Settings, approximate: bool, done: Iterable[Record]
) -> Iterator[Record]:
    """Yield the records of the oracle's own trainings, of those that are not yet among `done`.

    They run side by side on the cores that there are. `approximate` says whether a contender's
    activations are. Where trainings part, there are two more, to see how far honest ones do.
    """
    kept = list(done)
    wanted: list[OracleVariant] = ["plain", "accurate"]
    wanted += ["approximate"] if approximate else []
    wanted += ["exact"] if settings.dtype != "float64" else []
    for record in _train_all(factory, settings, wanted, kept):
        kept.append(record)
        yield record
    oracle = oracle_losses(kept, settings)
    if oracle.comparable_steps("accurate") < len(oracle.expected()):
        yield from _train_all(factory, settings, ["moved", "moved otherwise"], kept)


def _train_all(
    factory: WorkerFactory,
    settings: Settings,
    variants: list[OracleVariant],
    done: list[Record],
) -> Iterator[Record]:
    finished = {one.variant for one in done if isinstance(one, OracleTrained)}

    def train(variant: OracleVariant) -> list[Record]:
        epochs = EXACT_EPOCHS if variant == "exact" else settings.epochs
        request = TrainOracle(variant=variant, epochs=epochs, seconds=ORACLE_SECONDS)
        with factory.open_oracle(settings) as oracle:
            return oracle.collect(request, OracleTrained, OracleEpoch)

    missing = [partial(train, variant) for variant in variants if variant not in finished]
    for records in factory.side_by_side(missing, cpu.usable_cores()):
        yield from records


def check_evaluation(
    oracle: OracleWorker, contender: Contender, settings: Settings, level: Level, found: Evaluated
) -> Iterator[TrainingCheck]:
    """Yield what comes of comparing an evaluation with the oracle's at the same parameters."""

    def check(part: TrainingPart, result: Comparison) -> TrainingCheck:
        return TrainingCheck(contender=contender, check=part, epoch=found.epoch, result=result)

    if {name: array.shape for name, array in found.parameters.items()} != settings.model.shapes:
        result = Comparison(outcome="failed", array="parameters", note="of other names or shapes")
        yield check("logits", result)
        return
    request = ExpectEvaluation(parameters=found.parameters, sequences=found.sequences)
    expected = oracle.ask(request, Expected)
    parts: tuple[TrainingPart, ...] = ("logits", "digits")
    for part in parts:
        if part in found.arrays:
            one = in_common(expected, {part: found.arrays[part]})
            yield check(part, compare_arrays(*one, level))


def check_training(
    contender: Contender,
    settings: Settings,
    level: Level,
    epochs: list[Epoch],
    trained: Trained,
    records: Iterable[Record],
) -> Iterator[TrainingCheck]:
    """Yield what comes of comparing the losses of a training, and its accuracy, with the oracle's.

    `records` hold the oracle's trainings.
    """

    def check(part: TrainingPart, result: Comparison) -> TrainingCheck:
        return TrainingCheck(contender=contender, check=part, result=result)

    kept = list(records)
    oracle = oracle_losses(kept, settings)
    found = np.array([loss for epoch in epochs for loss in epoch.losses_nats or []])
    yield check("losses", losses.compare_steps(found, oracle, level))
    if oracle.comparable_steps(level) < len(found):
        means = losses.compare_epochs(found, oracle, level, settings.batches_per_epoch)
        if means:
            yield check("epoch means", means)
        accuracies = {
            r.variant: r.test_accuracy
            for r in kept
            if isinstance(r, OracleTrained) and r.test_accuracy is not None
        }
        plain = accuracies.pop("plain", None)
        if plain is not None and accuracies:
            ends = (trained.metrics[f"test_accuracy{end}"] or 0.0 for end in ("", "_low", "_high"))
            others = list(accuracies.values())
            yield check("accuracy", losses.compare_accuracy(Estimate(*ends), plain, others))


def oracle_losses(records: Iterable[Record], settings: Settings) -> OracleLosses:
    """Return the oracle's losses from the records of its trainings."""
    by_variant: dict[str, dict[int, list[float]]] = {}
    for record in records:
        if isinstance(record, OracleEpoch):
            told = [np.nan if loss is None else loss for loss in record.losses_nats]
            by_variant.setdefault(record.variant, {})[record.epoch] = told

    def of(variant: str) -> np.ndarray:
        epochs = by_variant.get(variant, {})
        values = np.array([loss for epoch in sorted(epochs) for loss in epochs[epoch]])
        return values[: np.argmax(~np.isfinite(values))] if np.isnan(values).any() else values

    return OracleLosses(
        plain=of("plain"),
        accurate=of("accurate"),
        approximate=of("approximate") if "approximate" in by_variant else None,
        exact=of("exact"),
        moved=tuple(of(v) for v in ("moved", "moved otherwise") if v in by_variant),
        precision=settings.arithmetic,
    )

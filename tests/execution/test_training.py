"""Training is compared with the oracle's: what is honest passes, and what is not is noticed."""

from functools import cache
from typing import Any, get_args

import numpy as np
import pytest
from cheats import CHEATS
from honest import displaced
from lstmbench_markov.task import Markov
from lstmbench_numpy.backend import NumpyBackend
from plain import Plain

from lstmbench import Backend
from lstmbench.execution import training as verified
from lstmbench.interface import parameters
from lstmbench.parity import Expected
from lstmbench.parity.oracle import Oracle
from lstmbench.parity.variants import Variants
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.messages import Evaluated, ExpectEvaluation, TrainOracle
from lstmbench.protocol.observations import Epoch, OracleVariant, Record, Trained, TrainingCheck
from lstmbench.protocol.settings import Settings
from lstmbench.worker import training
from lstmbench.worker.session import trained_variant
from lstmbench.worker.verification import BlockOracle

NAME = Contender(backend="one")
SETTINGS = Settings(
    hidden=12, layers=2, batch=16, seq_len=6, epochs=12, batches_per_epoch=10, clip=0.2
)
CHAOTIC = Settings(
    hidden=12, layers=2, batch=16, seq_len=6, epochs=12, batches_per_epoch=10, learning_rate=0.5
)


@cache
def oracles_trainings(settings: Settings) -> tuple[Record, ...]:
    """The records of the oracle's trainings, made in this process."""
    found: list[Record] = []
    names: tuple[OracleVariant, ...] = get_args(OracleVariant)
    for name in names:
        variant = trained_variant(Variants(Oracle, settings.options("cpu", 1)), name)
        backend = variant.make(variant.options)
        initial = parameters.draw(settings.seed, settings.model, settings.dtype)
        backend.load(variant.change(initial))
        epochs = verified.EXACT_EPOCHS if name == "exact" else settings.epochs
        request = TrainOracle(variant=name, epochs=epochs, seconds=60)
        found += training.train_oracle(backend, Markov(settings.seq_len), settings, request)
    return tuple(found)


class InThisProcess:
    """Answers as an oracle's worker does."""

    def __init__(self, settings: Settings) -> None:
        self.oracle = BlockOracle(settings.options("cpu", 1))

    def ask(self, request: ExpectEvaluation, answer: type[Expected]) -> Expected:
        return self.oracle.expect_evaluation(request.parameters, request.sequences)


def checks(
    make: type[Backend], settings: Settings = SETTINGS, approximate: bool = False
) -> list[TrainingCheck]:
    """What comes of training a backend and comparing it."""
    level: Any = "approximate" if approximate else "accurate"
    task, oracle = Markov(settings.seq_len), InThisProcess(settings)
    backend = make(settings.options("cpu", 1))
    backend.load(parameters.draw(settings.seed, settings.model, settings.dtype))
    replies = list(training.train(backend, task, settings, NAME))
    metrics, last = training.evaluate(backend, task, settings)
    trained = Trained(contender=NAME, metrics={**metrics}, peak_bytes=1, imported_bytes=1)
    found: list[TrainingCheck] = []
    for reply in [*replies, last]:
        if isinstance(reply, Evaluated):
            found += verified.check_evaluation(oracle, NAME, settings, level, reply)  # type: ignore[arg-type]
    epochs = [reply for reply in replies if isinstance(reply, Epoch)]
    records = oracles_trainings(settings)
    return found + list(verified.check_training(NAME, settings, level, epochs, trained, records))


def wrong(found: list[TrainingCheck]) -> set[str]:
    return {one.check for one in found if not one.result.passed}


@pytest.mark.parametrize("make", [NumpyBackend, Plain, displaced(4, 4), displaced(-4, 0)])
@pytest.mark.parametrize("settings", [SETTINGS, CHAOTIC])
def test_an_honest_training_passes(make: type[Backend], settings: Settings) -> None:
    found = checks(make, settings)
    assert not wrong(found)
    parts = {one.check for one in found}
    assert parts >= {"losses", "logits", "digits"}
    assert ("epoch means" in parts) == (settings is CHAOTIC)


def test_every_step_is_compared_unless_trainings_part() -> None:
    (losses,) = (one for one in checks(NumpyBackend) if one.check == "losses")
    assert losses.result.note == "of 120 of 120 steps"
    assert losses.result.error is not None and losses.result.error < 0.5
    (losses,) = (one for one in checks(NumpyBackend, CHAOTIC) if one.check == "losses")
    assert int(losses.result.note.split()[1]) < 100


def test_approximate_activations_need_the_wider_level() -> None:
    assert "logits" in wrong(checks(displaced(1, 1, 40)))
    assert not wrong(checks(displaced(1, 1, 12), approximate=True))
    coarse = displaced(1, 1, 16)
    found = [one.result for one in checks(coarse, approximate=True) if one.check == "logits"]
    assert all(one.approximate > one.tolerance for one in found)  # type: ignore[operator]
    assert all(one.passed for one in found)


TRAINED_CHEATS = [
    (place, cheat) for place in ("losses", "logits", "digits") for cheat in CHEATS[place]
]


@pytest.mark.parametrize(
    ("place", "cheat"), TRAINED_CHEATS, ids=[cheat.__name__ for _, cheat in TRAINED_CHEATS]
)
def test_a_cheat_in_training_is_noticed(place: str, cheat: type[Backend]) -> None:
    assert place in wrong(checks(cheat))


class RateHalved(NumpyBackend):
    """Trains half as fast: wrong from the first step, but as good in the end."""

    def __init__(self, options: Any) -> None:
        from dataclasses import replace

        super().__init__(replace(options, learning_rate=options.learning_rate / 2))


def test_a_wrong_training_is_noticed_before_and_after_trainings_part() -> None:
    assert "losses" in wrong(checks(RateHalved))
    assert wrong(checks(RateHalved, CHAOTIC)) & {"losses", "epoch means"}


class OtherParameters(NumpyBackend):
    """Names what it has otherwise once it was trained."""

    def parameters(self) -> Any:
        return {f"{name}_": array for name, array in super().parameters().items()}


def test_parameters_of_other_names_are_a_difference_and_no_crash() -> None:
    found = [one for one in checks(OtherParameters) if not one.result.passed]
    assert {one.result.note for one in found} == {"of other names or shapes"}


def test_losses_that_are_not_finite_end_what_is_known_of_the_oracle() -> None:
    from lstmbench.protocol.observations import OracleEpoch

    records: list[Record] = [
        OracleEpoch(variant="plain", epoch=0, losses_nats=[1.0, 2.0]),
        OracleEpoch(variant="plain", epoch=1, losses_nats=[3.0, None]),
        OracleEpoch(variant="accurate", epoch=0, losses_nats=[1.0, 2.0]),
    ]
    found = verified.oracle_losses(records, SETTINGS)
    np.testing.assert_array_equal(found.plain, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(found.accurate, [1.0, 2.0])
    assert found.approximate is None and not len(found.exact)

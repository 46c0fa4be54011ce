from typing import Any

import numpy as np
import pytest
from lstmbench_digits.task import Digits
from lstmbench_markov.task import Markov
from lstmbench_numpy.backend import NumpyBackend

from lstmbench import Options
from lstmbench.interface import parameters
from lstmbench.interface.parameters import random_generator
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import Epoch
from lstmbench.protocol.settings import Settings, from_mapping
from lstmbench.worker import training

NUMPY = Contender(backend="numpy")


def settings(**values: Any) -> Settings:
    small = {"hidden": 16, "layers": 1, "batch": 16, "seq_len": 6, "epochs": 3}
    return from_mapping({**small, "batches_per_epoch": 8, **values}, "test")


def train(s: Settings) -> tuple[NumpyBackend, list[Epoch]]:
    backend = NumpyBackend(Options(learning_rate=s.learning_rate))
    backend.load(parameters.draw(s.seed, s.model, s.dtype))
    return backend, list(training.train(backend, Markov(s.seq_len), s, NUMPY))


def test_training_learns_what_can_be_learned() -> None:
    s = settings(epochs=40, learning_rate=0.01, hidden=32)
    backend, epochs = train(s)
    assert epochs[-1].validation_accuracy > 0.975
    found = training.evaluate(backend, Markov(s.seq_len), s.seed)
    assert found["test_accuracy_share_of_bayes"] == pytest.approx(1, abs=0.002)
    assert found["agreement_with_best_guess"] > 0.999
    assert 0 < found["divergence_from_process_nats"] < 0.05
    assert found["test_accuracy_low"] < found["test_accuracy"] < found["test_accuracy_high"]
    right = -np.log(0.982)  # a greedy writer that has learned the rule never errs
    assert found["generated_cross_entropy_nats"] == pytest.approx(right, abs=1e-3)


def test_coins_are_the_designs() -> None:
    _, epochs = train(settings(teacher_forcing=0.3, epochs=4))
    coins = random_generator(0, 0, 4).random(32) >= 0.3
    assert [e.free_running_batches for e in epochs] == coins.reshape(4, 8).sum(1).tolist()


@pytest.mark.parametrize(("forcing", "missing"), [(1.0, "free_running"), (0.0, "teacher_forced")])
def test_a_loss_that_no_batch_had_is_none(forcing: float, missing: str) -> None:
    _, epochs = train(settings(teacher_forcing=forcing))
    for epoch in epochs:
        assert getattr(epoch, f"{missing}_loss_nats") is None
        assert epoch.loss_nats > 0


def test_the_mean_loss_is_that_of_all_batches() -> None:
    _, epochs = train(settings())
    for e in epochs:
        assert e.teacher_forced_loss_nats is not None
        assert e.free_running_loss_nats is not None
        total = (
            e.teacher_forced_loss_nats * e.teacher_forced_batches
            + e.free_running_loss_nats * e.free_running_batches
        )
        assert e.loss_nats == pytest.approx(total / 8)


def test_a_loss_that_is_not_finite_ends_the_training() -> None:
    s = settings()
    backend = NumpyBackend(Options())
    initial = parameters.draw(0, s.model, "float32")
    backend.load({name: array * np.nan for name, array in initial.items()})
    with pytest.raises(FloatingPointError, match="epoch 0"):
        list(training.train(backend, Markov(s.seq_len), s, NUMPY))


def test_the_survey_states_the_ceiling_of_digits() -> None:
    s = settings(seq_len=10, epochs=2)
    found = training.survey(Digits(10), "digits", s)
    assert found.bayes_accuracy == pytest.approx(0.982)
    assert found.entropy_floor_nats == pytest.approx(0.12970, abs=5e-6)
    assert found.test_bayes_accuracy == pytest.approx(0.982, abs=0.002)
    assert list(found.ngram_accuracy) == ["1", "2", "3", "4", "5"]

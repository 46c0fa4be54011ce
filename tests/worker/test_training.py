from typing import Any

import numpy as np
import pytest
from lstmbench_digits.task import Digits
from lstmbench_markov.task import Markov
from lstmbench_numpy.backend import NumpyBackend

from lstmbench import Options
from lstmbench.interface import parameters
from lstmbench.interface.parameters import random_generator
from lstmbench.parity.oracle import Oracle
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.messages import Evaluated, TrainOracle
from lstmbench.protocol.observations import Epoch, OracleEpoch, OracleTrained
from lstmbench.protocol.settings import Settings, from_mapping
from lstmbench.worker import training

NUMPY = Contender(backend="numpy")


def settings(**values: Any) -> Settings:
    small = {"hidden": 16, "layers": 1, "batch": 16, "seq_len": 6, "epochs": 3}
    return from_mapping({**small, "batches_per_epoch": 8, **values}, "test")


def train(s: Settings) -> tuple[NumpyBackend, list[Epoch]]:
    backend = NumpyBackend(Options(learning_rate=s.learning_rate))
    backend.load(parameters.draw(s.seed, s.model, s.dtype))
    replies = list(training.train(backend, Markov(s.seq_len), s, NUMPY))
    return backend, [reply for reply in replies if isinstance(reply, Epoch)]


def test_training_learns_what_can_be_learned() -> None:
    s = settings(epochs=40, learning_rate=0.01, hidden=32)
    backend, epochs = train(s)
    assert epochs[-1].validation_accuracy > 0.975
    found, _ = training.evaluate(backend, Markov(s.seq_len), s)
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


def test_a_loss_is_kept_of_every_step() -> None:
    s = settings()
    _, epochs = train(s)
    losses = [loss for epoch in epochs for loss in epoch.losses_nats or []]
    assert len(losses) == 3 * 8
    assert np.mean(losses[:8]) == pytest.approx(epochs[0].loss_nats)


def test_one_batch_is_shown_with_the_parameters_that_it_was_evaluated_with() -> None:
    s = settings()
    backend = NumpyBackend(Options())
    backend.load(parameters.draw(s.seed, s.model, s.dtype))
    replies = list(training.train(backend, Markov(s.seq_len), s, NUMPY))
    (shown,) = (reply for reply in replies if isinstance(reply, Evaluated))
    assert isinstance(replies[replies.index(shown) - 1], Epoch)
    assert replies[replies.index(shown) - 1].epoch == shown.epoch
    other = NumpyBackend(Options())
    other.load(shown.parameters)
    logits, _ = other.forward(shown.sequences["logits"])
    assert logits.shape == (500, 6, 10)
    np.testing.assert_array_equal(logits, shown.arrays["logits"])


def test_at_the_end_a_batch_and_some_generated_rows_are_shown() -> None:
    s = settings()
    backend, _ = train(s)
    _, shown = training.evaluate(backend, Markov(s.seq_len), s)
    assert shown.epoch == 2
    assert {name: a.shape for name, a in shown.sequences.items()} == {
        "logits": (500, 6),
        "digits": (20, 1),
    }
    digits = backend.generate(shown.sequences["digits"], 6)
    np.testing.assert_array_equal(digits, shown.arrays["digits"])


class NotANumberInEvaluation(NumpyBackend):
    def forward(self, inputs: Any, state: Any = None) -> Any:
        logits, state = super().forward(inputs, state)
        if len(inputs) > 100:
            logits = logits * np.nan
        return logits, state


def test_logits_that_are_not_finite_end_the_training() -> None:
    s = settings()
    backend = NotANumberInEvaluation(Options())
    backend.load(parameters.draw(s.seed, s.model, s.dtype))
    with pytest.raises(FloatingPointError, match="logits are not finite in evaluation"):
        list(training.train(backend, Markov(s.seq_len), s, NUMPY))
    with pytest.raises(FloatingPointError, match="logits are not finite in evaluation"):
        training.evaluate(backend, Markov(s.seq_len), s)


def oracle(s: Settings, epochs: int, seconds: float) -> tuple[list[OracleEpoch], OracleTrained]:
    backend = Oracle(s.options("cpu", 1))
    backend.load(parameters.draw(s.seed, s.model, s.dtype))
    request = TrainOracle(variant="plain", epochs=epochs, seconds=seconds)
    *found, last = training.train_oracle(backend, Markov(s.seq_len), s, request)
    assert isinstance(last, OracleTrained)
    return [one for one in found if isinstance(one, OracleEpoch)], last


def test_the_oracle_trains_on_the_very_same_batches() -> None:
    s = settings(learning_rate=0.01, dtype="float64")
    _, epochs = train(settings(learning_rate=0.01))
    found, last = oracle(s, 3, 60)
    for ours, theirs in zip(epochs, found, strict=True):
        np.testing.assert_allclose(ours.losses_nats or [], np.array(theirs.losses_nats), rtol=1e-4)
    assert last.test_accuracy is not None and last.test_accuracy > 0.1


def test_the_oracle_stops_after_so_many_epochs_or_seconds() -> None:
    found, last = oracle(settings(), 2, 60)
    assert [one.epoch for one in found] == [0, 1] and last.test_accuracy is None
    found, last = oracle(settings(), 3, 0.0)
    assert [len(one.losses_nats) for one in found] == [1] and last.test_accuracy is None

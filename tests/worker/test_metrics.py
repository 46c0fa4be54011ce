import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from lstmbench_digits.task import Digits
from lstmbench_lag.task import Lag
from lstmbench_markov.task import Markov
from scipy import special
from scipy import stats as scipy_stats

from lstmbench import Task
from lstmbench.worker import metrics
from lstmbench.worker.metrics import Predictions


@pytest.fixture
def truth() -> Predictions:
    random = np.random.default_rng(0)
    sequences = random.integers(0, 10, (6, 5), dtype=np.uint8)
    probabilities = random.dirichlet(np.ones(10), (6, 4))
    return Predictions(sequences, probabilities, np.array([False, True, True, False]))


@pytest.fixture
def model() -> np.ndarray:
    return metrics.log_softmax(np.random.default_rng(1).normal(0, 3, (6, 4, 10)))


def test_predictions_are_the_tasks_own() -> None:
    task = Lag(7)
    sequences = task.sequences(0, "test", 9)
    truth = metrics.predictions(task, sequences)
    np.testing.assert_array_equal(truth.targets, sequences[:, 1:])
    np.testing.assert_array_equal(truth.probabilities, task.probabilities(sequences))
    np.testing.assert_array_equal(truth.scored, task.scored())


@given(hnp.arrays(np.float64, (3, 10), elements=st.floats(-1e300, 1e300)))
def test_log_softmax_is_scipys_for_logits_of_any_size(logits: np.ndarray) -> None:
    ours = metrics.log_softmax(logits)
    np.testing.assert_allclose(ours, special.log_softmax(logits, axis=-1), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(np.exp(ours).sum(-1), 1, rtol=1e-12)


def test_log_softmax_computes_in_float64_and_leaves_its_input_alone() -> None:
    logits = np.array([[1e4, 0, -1e4], [3, 3, 3]], np.float32)
    before = logits.copy()
    result = metrics.log_softmax(logits)
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, [[0, -1e4, -2e4], [-np.log(3)] * 3], rtol=1e-15)
    np.testing.assert_array_equal(logits, before)


def test_cross_entropy_is_scipys_over_scored_targets(truth: Predictions, model: np.ndarray) -> None:
    one_hot = np.eye(10)[truth.targets]
    by_token = scipy_stats.entropy(one_hot, np.exp(model), axis=-1)  # KL from certainty
    assert metrics.cross_entropy(model, truth) == pytest.approx(by_token[:, 1:3].mean(), rel=1e-12)


def test_divergence_is_scipys_over_scored_contexts(truth: Predictions, model: np.ndarray) -> None:
    by_context = scipy_stats.entropy(truth.probabilities, np.exp(model), axis=-1)
    assert metrics.divergence(model, truth) == pytest.approx(by_context[:, 1:3].mean(), rel=1e-12)


def test_divergence_from_itself_is_zero(truth: Predictions) -> None:
    assert metrics.divergence(np.log(truth.probabilities), truth) == pytest.approx(0, abs=1e-15)


def test_cross_entropy_exceeds_the_processs_own_by_the_divergence() -> None:
    task = Markov(10)
    truth = metrics.predictions(task, task.sequences(0, "test", 20_000))
    bent = metrics.log_softmax(0.5 * np.log(truth.probabilities))
    excess = metrics.cross_entropy(bent, truth) - task.entropy_floor
    assert excess == pytest.approx(metrics.divergence(bent, truth), abs=0.01)


def test_hits_honour_the_mask(truth: Predictions) -> None:
    guesses = truth.targets.copy()
    guesses[:, 0] = (guesses[:, 0] + 1) % 10  # not scored
    guesses[2, 1] = (guesses[2, 1] + 1) % 10
    expected = np.ones((6, 2), bool)
    expected[2, 0] = False
    np.testing.assert_array_equal(metrics.hits(guesses, truth), expected)


def ngram_accuracy(fit: np.ndarray, truth: Predictions) -> dict[str, float]:
    """The accuracies of guesses, counted in two parts, one of them large and the other small."""
    counted = metrics.Ngrams()
    counted.count(fit[:-3])
    counted.count(fit[-3:])
    guesses = counted.guesses(truth.sequences)
    return {str(k): float(metrics.hits(found, truth).mean()) for k, found in guesses.items()}


def ngrams(task: Task, sequences: int) -> tuple[dict[str, float], float]:
    """The n-gram accuracies, and the best guess's accuracy on the same tokens."""
    truth = metrics.predictions(task, task.sequences(0, "test", 5_000))
    fit = task.sequences(0, "train", sequences)
    best = metrics.hits(truth.probabilities.argmax(-1), truth).mean()
    return ngram_accuracy(fit, truth), float(best)


def test_one_digit_is_enough_on_markov() -> None:
    accuracies, best = ngrams(Markov(10), 5_000)
    assert list(accuracies) == ["1", "2", "3", "4", "5"]
    assert accuracies["1"] == best


def test_lag_takes_all_five_digits() -> None:
    accuracies, best = ngrams(Lag(10), 150_000)
    assert all(accuracies[order] < 0.15 for order in "1234")
    assert accuracies["5"] == pytest.approx(best, abs=0.01)


def test_ngram_accuracy_on_digits_is_the_published_one() -> None:
    task = Digits(10)
    truth = metrics.predictions(task, task.sequences(0, "test", 10_000))
    fit = np.concatenate([task.sequences(0, "train", 25 * 64, epoch) for epoch in range(50)])
    accuracies = ngram_accuracy(fit, truth)
    expected = {"1": 0.638, "2": 0.847, "3": 0.911, "4": 0.950, "5": 0.961}
    assert accuracies == pytest.approx(expected, abs=0.006)


def test_ngram_accuracy_counts_a_missing_digit_as_a_symbol_of_its_own() -> None:
    # After (nothing, 0) comes 7; after (1, 0) comes 3, more often.
    fit = np.array([[0, 7, 7]] * 3 + [[1, 0, 3]] * 5, np.uint8)
    truth = Predictions(fit, np.full((8, 2, 10), 0.1), np.array([True, True]))
    accuracies = ngram_accuracy(fit, truth)
    assert accuracies["1"] == (3 + 2 * 5) / 16  # after 0 it says 3, and is wrong 3 times
    assert accuracies["2"] == 1

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
from lstmbench_arith.task import Arith
from lstmbench_digits.task import Digits
from lstmbench_lag.task import Lag
from lstmbench_markov.task import Markov

from lstmbench import Task, UsageError
from lstmbench.interface import Split

TASKS: list[Callable[[int], Task]] = [Digits, Markov, Arith, Lag]
SPLITS: list[Split] = ["train", "validation", "test"]
each_task = pytest.mark.parametrize("make", TASKS)


def digest(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()[:16]


def uniforms(seed: int, key: tuple[int, ...], shape: tuple[int, int]) -> np.ndarray:
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=key)
    return np.random.Generator(np.random.PCG64(sequence)).random(shape)


@pytest.fixture(scope="module")
def digits() -> Digits:
    return Digits(10)


def test_digits_validation_is_pinned(digits: Digits) -> None:
    assert digest(digits.sequences(0, "validation", 2_000)) == "34a0b93a9f46a8e0"


def test_digits_test_split_is_pinned(digits: Digits) -> None:
    assert digest(digits.sequences(0, "test", 10_000)) == "c0dbbb8b8ca3c21c"


def test_digits_training_is_pinned(digits: Digits) -> None:
    epochs = [digits.sequences(0, "train", 20 * 64, epoch) for epoch in range(50)]
    assert digest(np.concatenate(epochs)) == "a6b995dc7f61d109"


def test_digits_teacher_is_pinned(digits: Digits) -> None:
    assert digest(digits.recurrent, digits.output) == "28c4a0015a631678"


def test_digits_ceiling_and_floor_have_their_closed_forms(digits: Digits) -> None:
    assert digits.bayes_accuracy == pytest.approx(0.9820, abs=1e-12)
    assert digits.entropy_floor == pytest.approx(0.12970, abs=5e-6)


def teacher() -> tuple[np.ndarray, np.ndarray]:
    """W and Wo by the design's recipe."""
    sequence = np.random.SeedSequence(entropy=116, spawn_key=(0, 0))
    random = np.random.Generator(np.random.PCG64(sequence))
    recurrent = random.standard_normal((10, 32, 32)) * 4 / np.sqrt(32)
    output = random.standard_normal((10, 32)) / np.sqrt(32)
    return recurrent, output - output.mean(axis=1)[:, None]


def teacher_answers(digits_so_far: np.ndarray) -> np.ndarray:
    """The teacher's argmax after each digit of one sequence."""
    recurrent, output = teacher()
    hidden, answers = np.full(32, 0.5), []
    for digit in digits_so_far:
        hidden = 1 / (1 + np.exp(-np.einsum("ij,j->i", recurrent[digit], hidden)))
        answers.append(np.einsum("vj,j->v", output, hidden).argmax())
    return np.array(answers)


@pytest.mark.parametrize("length", [1, 10, 23])
def test_digits_are_those_of_the_recipe_written_out(length: int) -> None:
    drawn = Digits(length).sequences(5, "test", 30)
    u = uniforms(5, (0, 3), (30, 1 + 2 * length))
    for row, numbers in zip(drawn, u, strict=True):
        expected = [int(10 * numbers[0])]
        for t in range(length):
            answer = teacher_answers(np.array(expected))[-1]
            if numbers[1 + t] < 0.02:
                answer = int(10 * numbers[1 + length + t])
            expected.append(int(answer))
        assert row.tolist() == expected


def test_digits_probabilities_are_those_of_the_teacher(digits: Digits) -> None:
    sequences = digits.sequences(1, "validation", 20)
    for row, p in zip(sequences, digits.probabilities(sequences), strict=True):
        expected = 0.002 + 0.98 * np.eye(10)[teacher_answers(row[:-1])]
        np.testing.assert_allclose(p, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("split", "key"), [("train", (0, 1, 3)), ("validation", (0, 2)), ("test", (0, 3))]
)
def test_each_split_starts_from_the_uniforms_of_its_own_key(
    digits: Digits, split: Split, key: tuple[int, ...]
) -> None:
    first = digits.sequences(4, split, 100, epoch=3)[:, 0]
    np.testing.assert_array_equal(first, np.floor(10 * uniforms(4, key, (100, 21))[:, 0]))


@each_task
@pytest.mark.parametrize("split", SPLITS)
def test_a_row_does_not_depend_on_how_many_there_are(
    make: Callable[[int], Task], split: Split
) -> None:
    task = make(10)
    many, few = (task.sequences(2, split, n) for n in (500, 50))
    np.testing.assert_array_equal(many[:50], few)


@each_task
def test_sequences_are_uint8_digits_one_longer_than_the_targets(
    make: Callable[[int], Task],
) -> None:
    drawn = make(7).sequences(0, "train", 300)
    assert drawn.shape == (300, 8) and drawn.dtype == np.uint8
    assert set(np.unique(drawn)) == set(range(10))


@each_task
def test_splits_seeds_and_epochs_are_drawn_apart(make: Callable[[int], Task]) -> None:
    task = make(10)
    drawn = [
        task.sequences(0, "train", 50, 0),
        task.sequences(0, "train", 50, 1),
        task.sequences(1, "train", 50, 0),
        task.sequences(0, "validation", 50),
        task.sequences(0, "test", 50),
    ]
    assert len({digest(a) for a in drawn}) == len(drawn)


@each_task
def test_probabilities_are_positive_and_sum_to_one(make: Callable[[int], Task]) -> None:
    task = make(10)
    p = task.probabilities(task.sequences(0, "test", 200))
    assert p.shape == (200, 10, 10) and p.dtype == np.float64 and (p > 0).all()
    np.testing.assert_allclose(p.sum(-1), 1, rtol=1e-12)


@each_task
def test_probabilities_do_not_look_ahead(make: Callable[[int], Task]) -> None:
    task = make(10)
    sequences = task.sequences(0, "test", 100)
    changed = sequences.copy()
    changed[:, 7:] = (changed[:, 7:] + 3) % 10
    before, after = (task.probabilities(x)[:, :7] for x in (sequences, changed))
    np.testing.assert_array_equal(before, after)


def within(values: np.ndarray, expected: float, errors: float = 4) -> None:
    """The mean of independent rows is `expected`, to so many standard errors."""
    rows = values.reshape(len(values), -1).mean(axis=1)
    assert abs(rows.mean() - expected) < errors * rows.std() / np.sqrt(len(rows))


@each_task
def test_ceilings_are_what_the_best_guess_reaches(make: Callable[[int], Task]) -> None:
    task = make(10)
    sequences = task.sequences(8, "test", 20_000)
    p, targets = task.probabilities(sequences), sequences[:, 1:]
    scored = task.scored()
    within((p.argmax(-1) == targets)[:, scored], task.bayes_accuracy)
    chosen = np.take_along_axis(p, targets[..., None].astype(int), -1)[..., 0]
    within(-np.log(chosen[:, scored]), task.entropy_floor)


@each_task
def test_each_digit_comes_as_often_as_it_is_foretold(make: Callable[[int], Task]) -> None:
    task = make(10)
    sequences = task.sequences(9, "test", 20_000)
    surprise = np.eye(10)[sequences[:, 1:]] - task.probabilities(sequences)
    for digit in range(10):
        within(surprise[..., digit], 0, errors=4.5)


@pytest.mark.parametrize("make", [Digits, Markov])
def test_digits_and_markov_score_every_target_and_take_one_step(
    make: Callable[[int], Task],
) -> None:
    assert make(6).scored().tolist() == [True] * 6
    assert make(1).sequences(0, "test", 3).shape == (3, 2)


def test_markov_follows_one_permutation_and_looks_at_the_last_digit_alone() -> None:
    task = Markov(6)
    assert sorted(task.permutation) == list(range(10))
    sequences = task.sequences(0, "test", 500)
    p, last = task.probabilities(sequences), sequences[:, :-1]
    assert (p.argmax(-1) == task.permutation[last]).all()
    assert p.max() == pytest.approx(0.982)


def test_lag_repeats_the_digit_from_five_steps_ago() -> None:
    task = Lag(12)
    assert task.scored().tolist() == [False] * 4 + [True] * 8
    sequences = task.sequences(0, "test", 2_000)
    p = task.probabilities(sequences)
    assert (p[:, :4] == 0.1).all()
    assert (p[:, 4:].argmax(-1) == sequences[:, :-5]).all()
    within(sequences[:, 5:] == sequences[:, :-5], 0.982)


@pytest.mark.parametrize(("make", "shortest"), [(Lag, 5), (Arith, 2)])
def test_lengths_without_a_scored_target_are_refused(
    make: Callable[[int], Task], shortest: int
) -> None:
    name = make.__name__.lower()
    with pytest.raises(UsageError, match=f"{shortest - 1}.*{name!r}.*at least {shortest}"):
        make(shortest - 1)
    assert make(shortest).scored().tolist() == [False] * (shortest - 1) + [True]


def test_arith_sequences_are_progressions_with_noise() -> None:
    u = uniforms(3, (0, 3), (200, 2 + 2 * 8))
    for row, numbers in zip(Arith(7).sequences(3, "test", 200), u, strict=True):
        a, d = int(10 * numbers[0]), int(10 * numbers[1])
        clean = [(a + t * d) % 10 for t in range(8)]
        noise = [int(10 * x) for x in numbers[10:]]
        noisy = numbers[2:10] < 0.05
        assert row.tolist() == [
            w if is_noisy else c for c, w, is_noisy in zip(clean, noise, noisy, strict=True)
        ]


def arith_by_enumeration(context: list[int]) -> np.ndarray:
    """P(next digit) by the joint probability of the digits under every (a, d)."""
    joint = np.zeros(10)
    for a in range(10):
        for d in range(10):
            line = [(a + t * d) % 10 for t in range(len(context) + 1)]
            weight = 1 / 100
            for seen, meant in zip(context, line, strict=False):
                weight *= 0.95 * (seen == meant) + 0.05 / 10
            for digit in range(10):
                joint[digit] += weight * (0.95 * (digit == line[-1]) + 0.05 / 10)
    return np.asarray(joint / joint.sum())


def test_arith_posterior_is_that_of_enumeration() -> None:
    task = Arith(6)
    odd = np.array([[3, 3, 3, 3, 3, 3, 3], [0, 5, 1, 9, 9, 2, 4], [9, 8, 7, 0, 5, 4, 3]], np.uint8)
    sequences = np.concatenate([odd, task.sequences(0, "test", 5)])
    for row, p in zip(sequences, task.probabilities(sequences), strict=True):
        for t in range(6):
            np.testing.assert_allclose(
                p[t], arith_by_enumeration(row[: t + 1].tolist()), rtol=1e-11
            )


def test_arith_ceiling_does_not_score_the_first_target() -> None:
    task = Arith(10)
    assert task.scored().tolist() == [False] + [True] * 9
    assert task.bayes_accuracy == pytest.approx(0.935, abs=0.003)

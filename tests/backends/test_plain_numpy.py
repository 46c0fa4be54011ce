from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from lstmbench_numpy.backend import NumpyBackend
from scipy.special import log_softmax

from lstmbench import Backend, ModelSpec, Options
from lstmbench.interface import parameters
from lstmbench.parity.oracle import Oracle

Arrays = dict[str, np.ndarray]
GOLDEN = Path(__file__).parent / "golden" / "numpy_float64.safetensors"
EXACT = Options(dtype="float64", learning_rate=0.01)

# (B, T, H, L)
SHAPES = [(1, 1, 1, 1), (2, 4, 3, 2), (3, 2, 5, 1), (1, 3, 2, 3), (5, 7, 4, 2), (3, 1, 17, 2)]
each_shape = pytest.mark.parametrize(("batch", "length", "hidden", "layers"), SHAPES)


def weights(hidden: int, layers: int, seed: int = 0, spread: float = 0.7) -> Arrays:
    """Parameters of which none is zero, no two gates alike."""
    random = np.random.default_rng([seed, hidden, layers])
    shapes = ModelSpec(layers, hidden).shapes
    return {name: random.normal(0.1, spread, shape) for name, shape in shapes.items()}


def tokens(batch: int, length: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng([seed, batch, length])
    sequences = random.integers(0, 10, (batch, length + 1), dtype=np.uint8)
    return sequences[:, :-1], sequences[:, 1:]


MAKE: list[type[Backend]] = [NumpyBackend]
"""What is tested now."""


@pytest.fixture(autouse=True, params=[NumpyBackend, Oracle])
def made(request: pytest.FixtureRequest) -> type[Backend]:
    """The numpy backend, then the oracle: two plain implementations in NumPy."""
    MAKE[:] = [request.param]
    return MAKE[0]


def loaded(initial: Arrays, options: Options = EXACT) -> Backend:
    backend = MAKE[0](options)
    backend.load(initial)
    return backend


def same(actual: Arrays, expected: Arrays, rtol: float = 1e-10, atol: float = 1e-12) -> None:
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(actual[name], array, rtol=rtol, atol=atol, err_msg=name)


# By the formulas, written out


def sigmoid(z: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-z)))


def by_formula(
    p: Arrays, digits: np.ndarray, hidden: np.ndarray, cell: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits (B, T, V) and state after the last step, from states (L, B, H), as documented."""
    hidden, cell = hidden.copy(), cell.copy()
    logits = []
    for t in range(digits.shape[1]):
        x = np.eye(10)[digits[:, t]]
        for n in range(len(hidden)):
            z = x @ p[f"lstm.{n}.weight_ih"].T + hidden[n] @ p[f"lstm.{n}.weight_hh"].T
            z_i, z_f, z_g, z_o = np.split(z + p[f"lstm.{n}.bias"], 4, axis=1)
            cell[n] = sigmoid(z_f) * cell[n] + sigmoid(z_i) * np.tanh(z_g)
            x = hidden[n] = sigmoid(z_o) * np.tanh(cell[n])
        logits.append(x @ p["linear.weight"].T + p["linear.bias"])
    return np.stack(logits, axis=1), hidden, cell


@each_shape
@pytest.mark.parametrize("from_zero", [True, False])
def test_forward_is_the_documented_formula(
    batch: int, length: int, hidden: int, layers: int, from_zero: bool
) -> None:
    p, (x, _) = weights(hidden, layers), tokens(batch, length)
    state = np.random.default_rng(1).normal(0, 1, (2, layers, batch, hidden)) * (not from_zero)
    backend = loaded(p)
    logits, (h, c) = backend.forward(x, None if from_zero else (state[0], state[1]))
    for actual, expected in zip((logits, h, c), by_formula(p, x, *state), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-13)


@each_shape
def test_every_gradient_is_that_of_central_differences(
    batch: int, length: int, hidden: int, layers: int
) -> None:
    p, (x, y) = weights(hidden, layers), tokens(batch, length)
    zero = np.zeros((layers, batch, hidden))

    def loss() -> float:
        log_p = log_softmax(by_formula(p, x, zero, zero)[0], axis=-1)
        return float(-np.take_along_axis(log_p, y[..., None].astype(int), -1).mean())

    found, gradients = loaded(p).loss_and_gradients(x, y)
    assert found == pytest.approx(loss(), rel=1e-12)
    step = 1e-5
    for name, array in p.items():
        flat, slope = array.reshape(-1), np.empty(array.size)
        for k in range(flat.size):
            middle = flat[k]
            flat[k] = middle + step
            above = loss()
            flat[k] = middle - step
            below = loss()
            flat[k] = middle
            slope[k] = (above - below) / (2 * step)
        np.testing.assert_allclose(
            gradients[name].ravel(), slope, rtol=1e-6, atol=2e-10, err_msg=name
        )


# By PyTorch's own modules and autograd


def by_torch(p: Arrays, x: np.ndarray, y: np.ndarray) -> tuple[Arrays, Arrays]:
    """Logits, state and loss; and gradients, in float64, of nn.LSTM with bias_hh = 0."""
    torch = pytest.importorskip("torch")
    model = ModelSpec.of(p)
    vocabulary, hidden, layers = model.vocabulary, model.hidden, model.layers
    lstm = torch.nn.LSTM(vocabulary, hidden, layers, batch_first=True, dtype=torch.float64)
    linear = torch.nn.Linear(hidden, vocabulary, dtype=torch.float64)
    own = {"linear.weight": linear.weight, "linear.bias": linear.bias}
    for n in range(layers):
        own[f"lstm.{n}.weight_ih"] = getattr(lstm, f"weight_ih_l{n}")
        own[f"lstm.{n}.weight_hh"] = getattr(lstm, f"weight_hh_l{n}")
        own[f"lstm.{n}.bias"] = getattr(lstm, f"bias_ih_l{n}")
    with torch.no_grad():
        for name, array in p.items():
            own[name].copy_(torch.from_numpy(array))
        for n in range(layers):
            getattr(lstm, f"bias_hh_l{n}").zero_()
    one_hot = torch.nn.functional.one_hot(torch.tensor(x, dtype=torch.int64), vocabulary)
    out, (h, c) = lstm(one_hot.double())
    logits = linear(out)
    target = torch.tensor(y, dtype=torch.int64)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())
    loss.backward()
    values = {"logits": logits, "hidden": h, "cell": c, "loss": loss}
    return (
        {name: v.detach().numpy() for name, v in values.items()},
        {name: own[name].grad.numpy() for name in p},
    )


@each_shape
def test_logits_state_loss_and_gradients_are_torchs(
    batch: int, length: int, hidden: int, layers: int
) -> None:
    p, (x, y) = weights(hidden, layers), tokens(batch, length)
    backend = loaded(p)
    logits, (h, c) = backend.forward(x)
    loss, gradients = backend.loss_and_gradients(x, y)
    values, expected = by_torch(p, x, y)
    same({"logits": logits, "hidden": h, "cell": c, "loss": np.array(loss)}, values)
    same(gradients, expected)


def textbook_adam(
    p: Arrays, gradients: Iterator[Arrays], options: Options
) -> Iterator[tuple[Arrays, float]]:
    """Parameters after each step and the gradient's norm before clipping: algorithm 1, clipped."""
    m = {name: np.zeros_like(a) for name, a in p.items()}
    v = {name: np.zeros_like(a) for name, a in p.items()}
    for t, gradient in enumerate(gradients, start=1):
        norm = np.sqrt(sum((g**2).sum() for g in gradient.values()))
        for name in p:
            g = gradient[name] * min(1.0, options.clip_norm / norm)
            m[name] = options.beta1 * m[name] + (1 - options.beta1) * g
            v[name] = options.beta2 * v[name] + (1 - options.beta2) * g**2
            m_hat = m[name] / (1 - options.beta1**t)
            v_hat = v[name] / (1 - options.beta2**t)
            step = options.learning_rate * m_hat / (np.sqrt(v_hat) + options.epsilon)
            p = p | {name: p[name] - step}
        yield p, float(norm)


@pytest.mark.parametrize("clip_norm", [1e3, 0.05, 1e-6])
@pytest.mark.parametrize("beta1", [0.9, 0.5])
def test_training_is_textbook_adam_on_torchs_gradients(clip_norm: float, beta1: float) -> None:
    options = replace(EXACT, clip_norm=clip_norm, beta1=beta1)
    expected = weights(hidden=3, layers=2)
    backend = loaded(expected, options)
    batches = [tokens(4, 5, seed) for seed in range(6)]
    norms, losses = [], []

    def gradients() -> Iterator[Arrays]:
        for x, y in batches:
            values, gradient = by_torch(expected, x, y)
            losses.append(float(values["loss"]))
            yield gradient

    for (x, y), (after, norm) in zip(
        batches, textbook_adam(expected, gradients(), options), strict=True
    ):
        expected = after
        assert backend.train_step(x, y) == pytest.approx(losses[-1], rel=1e-9)
        same(backend.parameters(), expected, rtol=1e-8, atol=1e-9)
        norms.append(norm)
    assert all(norm > clip_norm for norm in norms) == (clip_norm < 1)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99, 1.01, 2.0])
def test_gradients_are_scaled_down_to_the_clip_norm_and_never_up(share: float) -> None:
    p, (x, y) = weights(3, 2), tokens(2, 4)
    _, gradients = loaded(p).loss_and_gradients(x, y)
    norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))
    # With epsilon far above the gradient, Adam's first step is the gradient times rate / epsilon.
    options = replace(EXACT, clip_norm=share * norm, epsilon=1e6, learning_rate=1e6)
    backend = loaded(p, options)
    backend.train_step(x, y)
    moves = {name: p[name] - after for name, after in backend.parameters().items()}
    scaled = {name: g * min(1, share) for name, g in gradients.items()}
    same(moves, scaled, rtol=3e-6, atol=1e-13)


# What runs through the model


def greedy(p: Arrays, prompts: np.ndarray, steps: int) -> np.ndarray:
    """Argmax after argmax, one whole forward pass for each, on a fresh backend."""
    path = prompts
    for _ in range(steps):
        logits, _ = loaded(p).forward(path)
        path = np.concatenate([path, logits[:, -1:].argmax(-1).astype(np.uint8)], axis=1)
    return path[:, prompts.shape[1] :]


@each_shape
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_generate_is_argmax_after_argmax(
    batch: int, length: int, hidden: int, layers: int, steps: int
) -> None:
    p, (x, _) = weights(hidden, layers, spread=1.5), tokens(batch, length)
    digits = loaded(p).generate(x, steps)
    assert digits.shape == (batch, steps) and digits.dtype == np.uint8
    np.testing.assert_array_equal(digits, greedy(p, x, steps))


@each_shape
def test_free_running_is_teacher_forcing_on_the_decoded_digits(
    batch: int, length: int, hidden: int, layers: int
) -> None:
    p, (x, y) = weights(hidden, layers, spread=1.5), tokens(batch, length)
    decoded = np.concatenate([x[:, :1], greedy(p, x[:, :1], length - 1)], axis=1)
    free, forced = loaded(p), loaded(p)
    noise = x.copy()
    noise[:, 1:] = (noise[:, 1:] + 1) % 10  # only the first digit is used
    assert free.train_step(noise, y, free_running=True) == pytest.approx(
        forced.train_step(decoded, y), rel=1e-12
    )
    same(free.parameters(), forced.parameters(), rtol=1e-9, atol=1e-11)


@each_shape
def test_state_carries_a_pass_over_halves(
    batch: int, length: int, hidden: int, layers: int
) -> None:
    p = weights(hidden, layers)
    backend = loaded(p)
    x, _ = tokens(batch, 2 * length)
    whole, state = backend.forward(x)
    first, half_way = backend.forward(x[:, :length])
    second, end = backend.forward(x[:, length:], half_way)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, rtol=1e-12)
    for actual, expected in zip(end, state, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-15)


def test_sequences_of_a_batch_do_not_touch_one_another() -> None:
    p, (x, _) = weights(4, 2), tokens(5, 6)
    together, _ = loaded(p).forward(x)
    for row, logits in zip(x, together, strict=True):
        np.testing.assert_allclose(loaded(p).forward(row[None])[0][0], logits, rtol=1e-12)


def test_a_training_step_starts_from_zero_whatever_ran_before() -> None:
    p, (x, y) = weights(3, 2), tokens(2, 4)
    backend = loaded(p)
    _, (h, c) = backend.forward(x)
    backend.forward(x, (h + 1, c + 1))
    backend.generate(x, 3)
    loss, gradients = backend.loss_and_gradients(x, y)
    fresh, expected = loaded(p).loss_and_gradients(x, y)
    assert loss == fresh
    same(gradients, expected, rtol=0, atol=0)


# What a backend owes its callers


def test_nothing_changes_its_inputs() -> None:
    p, (x, y) = weights(3, 2), tokens(2, 4)
    state = np.random.default_rng(0).normal(size=(2, 2, 2, 3))
    given = [*p.values(), x, y, state]
    before = [a.copy() for a in given]
    backend = loaded(p)
    backend.forward(x, (state[0], state[1]))
    backend.loss_and_gradients(x, y)
    backend.train_step(x, y)
    backend.train_step(x, y, free_running=True)
    backend.generate(x, 3)
    for now, then in zip(given, before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_results_stay_as_they_are_when_more_is_computed() -> None:
    p, (x, y) = weights(3, 2), tokens(2, 4)
    backend = loaded(p)
    logits, (h, c) = backend.forward(x)
    _, gradients = backend.loss_and_gradients(x, y)
    results = [logits, h, c, *gradients.values(), backend.generate(x, 3)]
    before = [a.copy() for a in results]
    other, target = tokens(2, 4, seed=1)
    backend.train_step(other, target)
    backend.forward(other, (h, c))
    backend.loss_and_gradients(other, target)
    backend.generate(other, 3)
    for now, then in zip(results, before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_load_and_parameters_copy() -> None:
    p = weights(3, 2)
    kept = {name: a.copy() for name, a in p.items()}
    backend = loaded(p)
    for array in p.values():
        array[...] = 7
    same(backend.parameters(), kept, rtol=0, atol=0)
    for array in backend.parameters().values():
        array[...] = 7
    same(backend.parameters(), kept, rtol=0, atol=0)


def test_load_forgets_the_optimiser() -> None:
    p, (x, y) = weights(3, 2), tokens(2, 4)
    used = loaded(p)
    for seed in range(3):
        used.train_step(*tokens(2, 4, seed))
    used.load(p)
    fresh = loaded(p)
    for _ in range(2):
        assert used.train_step(x, y) == fresh.train_step(x, y)
    same(used.parameters(), fresh.parameters(), rtol=0, atol=0)


def test_load_takes_another_size() -> None:
    backend = loaded(weights(3, 2))
    x, _ = tokens(2, 4)
    backend.forward(x)
    backend.load(weights(5, 1))
    np.testing.assert_array_equal(backend.forward(x)[0], loaded(weights(5, 1)).forward(x)[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_all_arithmetic_is_in_the_dtype_asked_for(dtype: str) -> None:
    backend = loaded(weights(3, 2), replace(EXACT, dtype=dtype))
    x, y = tokens(2, 4)
    logits, state = backend.forward(x)
    _, gradients = backend.loss_and_gradients(x, y)
    backend.train_step(x, y)
    arrays = [logits, *state, *gradients.values(), *backend.parameters().values()]
    assert {a.dtype for a in arrays} == {np.dtype(dtype)}


@pytest.mark.parametrize("name", ModelSpec(2, 3).shapes)
def test_one_nan_parameter_gives_nan_logits(name: str) -> None:
    p, (x, y) = weights(3, 2), tokens(4, 12)
    p[name][np.unravel_index(1, p[name].shape)] = np.nan
    backend = loaded(p)
    assert np.isnan(backend.forward(x)[0]).any()
    assert np.isnan(backend.loss_and_gradients(x, y)[0])


def test_huge_logits_give_a_finite_loss() -> None:
    p, (x, y) = weights(3, 1), tokens(2, 4)
    p["linear.bias"] = np.arange(10) * 1e4
    loss, gradients = loaded(p).loss_and_gradients(x, y)
    assert np.isfinite(loss) and all(np.isfinite(g).all() for g in gradients.values())
    expected, _ = by_torch(p, x, y)
    assert loss == pytest.approx(float(expected["loss"]), rel=1e-12)


def test_it_says_what_it_can_do_and_runs_on(made: type[Backend]) -> None:
    assert made.capabilities() == {
        "forward",
        "loss_and_gradients",
        "train_step",
        "generate",
    }
    assert made.devices() == ("cpu",)
    if made is NumpyBackend:
        assert made(EXACT).describe()["numpy"] == np.__version__


# Compared with the numbers of the past


def golden_values(initial: Arrays, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    backend = loaded(initial, replace(EXACT, clip_norm=0.5))
    logits, (h, c) = backend.forward(x)
    loss, gradients = backend.loss_and_gradients(x, y)
    values = {"logits": logits, "hidden": h, "cell": c, "loss": np.array([loss])}
    values |= {f"gradient {name}": g for name, g in gradients.items()}
    values["digits"] = backend.generate(x, 8)
    losses = [backend.train_step(x, y, free_running=bool(k % 2)) for k in range(4)]
    values["losses"] = np.array(losses)
    return values | {f"after {name}": p for name, p in backend.parameters().items()}


def golden_inputs() -> Arrays:
    x, y = tokens(3, 6)
    initial = parameters.draw(0, ModelSpec(layers=2, hidden=5))
    return {"inputs": x.copy(), "targets": y.copy()} | {
        f"initial {name}": p for name, p in initial.items()
    }


def write_golden() -> None:
    """Run `python tests/backends/test_plain_numpy.py` when the definition itself has changed."""
    inputs = golden_inputs()
    initial = parameters.draw(0, ModelSpec(layers=2, hidden=5))
    values = golden_values(initial, inputs["inputs"], inputs["targets"])
    GOLDEN.parent.mkdir(exist_ok=True)
    safetensors.numpy.save_file(inputs | values, GOLDEN)


def test_golden_inputs_are_bit_for_bit_what_is_drawn() -> None:
    golden = safetensors.numpy.load_file(GOLDEN)
    for name, array in golden_inputs().items():
        assert golden[name].tobytes() == array.tobytes(), name


def test_golden_values_are_computed_again() -> None:
    golden = safetensors.numpy.load_file(GOLDEN)
    prefix = "initial "
    initial = {n.removeprefix(prefix): a for n, a in golden.items() if n.startswith(prefix)}
    canonical = {name: initial[name] for name in ModelSpec(2, 5).shapes}
    for name, array in golden_values(canonical, golden["inputs"], golden["targets"]).items():
        np.testing.assert_allclose(array, golden[name], rtol=1e-12, atol=1e-15, err_msg=name)


if __name__ == "__main__":
    write_golden()

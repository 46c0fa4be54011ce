"""Every backend of ours that is installed, in this process.

Of other people's only the ladder is asked, by `lstmbench check`: they need not do everything.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import pytest

from lstmbench import Backend, ModelSpec, Options, parity
from lstmbench.host import gpu
from lstmbench.interface import CAPABILITIES, BatchShape
from lstmbench.parity import CASES, Case
from lstmbench.parity.comparing import relative_error
from lstmbench.parity.oracle import Oracle
from lstmbench.plugins import registry as plugins
from lstmbench.plugins.resolve import resolve

Arrays = dict[str, np.ndarray]
REGISTRY = plugins.discover()
NAMES = [
    name
    for name in REGISTRY.backends
    if REGISTRY.backends.distribution(name) == plugins.OURS
    and not plugins.unusable(REGISTRY.backends[name], REGISTRY.backends.distribution(name))
]
DEVICES = ["cpu", *(["cuda"] if gpu.has_cuda() else [])]
DTYPES = ["float32", "float64"]
each_backend = pytest.mark.parametrize("name", NAMES)


def factory(name: str, device: str = "cpu") -> type[Backend]:
    make: type[Backend] = resolve(REGISTRY.backends[name].factory)
    if device not in make.devices():
        pytest.skip(f"{name} has no {device} here")
    return make


def rows(wanted: Iterable[tuple[Any, ...]], often: set[tuple[Any, ...]]) -> list[Any]:
    """Every backend with every row; JAX, which compiles for each, often with a few alone."""
    return [
        pytest.param(
            name,
            *row,
            marks=[pytest.mark.slow] if name == "jax" and row not in often else [],
            id="-".join(map(str, (name, *row))),
        )
        for name in NAMES
        for row in wanted
    ]


# The parity ladder

RUN = parity.case("run", ModelSpec(2, 128), BatchShape(64, 10))
LADDERS = [
    (case, dtype, device)
    for case in [*CASES, "run"]
    for dtype in DTYPES
    for device in DEVICES
    if (case, dtype) != ("run", "float64")
]
OFTEN = {("odd", "float32", "cpu"), ("single", "float32", "cpu"), ("saturated", "float64", "cpu")}


@cache
def expected_at(case: str, dtype: str) -> list[parity.Expected]:
    options = Options(dtype=dtype)
    return list(parity.expect(Oracle, options, CASES.get(case, RUN)))


@pytest.mark.parametrize(("name", "case", "dtype", "device"), rows(LADDERS, OFTEN))
def test_the_ladder_is_climbed(name: str, case: str, dtype: str, device: str) -> None:
    options = Options(dtype=dtype, device=device)
    climb = parity.observe(factory(name, device), options, CASES.get(case, RUN))
    seen = {}
    for expected, observed in zip(expected_at(case, dtype), climb, strict=True):
        if observed.claimed:
            assert not observed.traceback, observed.traceback
            seen[observed.rung] = parity.compare(expected, observed)
    assert [(rung, found) for rung, found in seen.items() if not found.passed] == []
    assert {"forward", "gradients", "step", "generate"} <= seen.keys()


# Shapes beyond the cases, directly against the oracle in float64

# (B, T, H, L)
SHAPES = [
    (1, 1, 1, 1),
    (1, 17, 8, 2),
    (1, 3, 33, 3),
    (2, 1, 33, 1),
    (2, 17, 1, 2),
    (2, 3, 8, 3),
    (5, 3, 1, 1),
    (5, 17, 33, 2),
    (5, 1, 8, 3),
    (64, 1, 1, 2),
    (64, 3, 8, 1),
    (64, 17, 33, 3),
]
SHAPES_OFTEN = {((5, 17, 33, 2), "float64"), ((1, 1, 1, 1), "float32")}
# None at its default, and epsilon large enough that Adam does not enlarge what rounding does.
UNUSUAL = {
    "learning_rate": 0.03,
    "clip_norm": 0.3,
    "beta1": 0.8,
    "beta2": 0.95,
    "epsilon": 1e-3,
    "threads": 2,
}
TOLERANCE = {"float32": 3e-5, "float64": 1e-12}


def observe(backend: Backend, case: Case) -> Arrays:
    """What a backend, loaded, makes of the case's tokens: everything that it can do."""
    batches = [(backend.stage(s[:, :-1]), backend.stage(s[:, 1:])) for s in case.tokens(4)]
    x, y = batches[0]
    claims = backend.capabilities()
    results: dict[str, Any] = {}
    if "forward" in claims:
        results["logits"], state = backend.forward(x)
        results["further"], (results["hidden"], results["cell"]) = backend.forward(
            batches[1][0], state
        )
    if "loss_and_gradients" in claims:
        results["loss"], gradients = backend.loss_and_gradients(x, y)
        results |= {f"gradient {name}": g for name, g in gradients.items()}
    if "generate" in claims:
        results["digits"] = backend.generate(x, 7)
    found = {key: np.array(backend.fetch(array)) for key, array in results.items()}
    if "train_step" in claims:
        before = backend.parameters()
        free = [False, True, False, False]
        losses = [backend.train_step(*pair, f) for pair, f in zip(batches, free, strict=True)]
        found["losses"] = np.array([float(backend.fetch(loss)) for loss in losses])
        after = backend.parameters()
        found |= {f"move {key}": after[key] - array for key, array in before.items()}
    return found


def loaded(make: type[Backend], case: Case, dtype: str, rounded: str) -> Backend:
    backend = make(Options(dtype=dtype, **UNUSUAL))  # type: ignore[arg-type]  # of many types
    initial = case.parameters(rounded)
    backend.load({key: array.astype(dtype) for key, array in initial.items()})
    return backend


SHAPE_CASES = [(shape, dtype) for shape in SHAPES for dtype in DTYPES]


def case_of(shape: tuple[int, int, int, int]) -> Case:
    batch, length, hidden, layers = shape
    return Case("any", ModelSpec(layers, hidden), BatchShape(batch, length), spread=1.5)


@pytest.mark.parametrize(("name", "shape", "dtype"), rows(SHAPE_CASES, SHAPES_OFTEN))
def test_any_shape_is_computed_as_by_the_oracle_in_float64(
    name: str, shape: tuple[int, int, int, int], dtype: str
) -> None:
    case = case_of(shape)
    backend = loaded(factory(name), case, dtype, dtype)
    backend.compile(case.shape.batch, case.shape.length)
    actual = observe(backend, case)
    expected = observe(loaded(Oracle, case, "float64", dtype), case)
    for key, array in actual.items():
        assert array.shape == expected[key].shape, key
        if key == "digits":
            other = (array != expected[key]).any(axis=1).sum()
            assert other <= len(array) // 64 * (dtype == "float32")  # a tie within rounding
        else:
            scale = 10 if key.startswith(("move", "losses")) else 1
            assert relative_error(array, expected[key]) < scale * TOLERANCE[dtype], key


@each_backend
def test_one_backend_takes_any_shape_after_any_other(name: str) -> None:
    case = CASES["odd"]
    backend = loaded(factory(name), case, "float64", "float64")
    oracle = loaded(Oracle, case, "float64", "float64")
    random = np.random.default_rng(0)
    backend.compile(3, 5)
    for batch, length in [(3, 5), (1, 2), (6, 9), (3, 5)]:
        tokens = random.integers(0, 10, (batch, length), dtype=np.uint8)
        logits = backend.fetch(backend.forward(backend.stage(tokens))[0])
        assert relative_error(logits, oracle.forward(tokens)[0]) < 1e-13


# What a backend owes its callers


@pytest.fixture
def odd() -> Case:
    return CASES["odd"]


@each_backend
def test_it_says_what_it_is(name: str) -> None:
    make = factory(name)
    assert make.capabilities() <= set(CAPABILITIES)
    assert make.devices()[-1] == "cpu"
    assert set(make.devices()) <= set(REGISTRY.backends[name].devices)
    description = make(Options()).describe()
    assert description.keys() >= {"path"} and all(description.values())


@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_names_the_kernels_that_run(dtype: str, odd: Case) -> None:
    torch = pytest.importorskip("torch")
    backend = factory("torch")(odd.options(Options(dtype=dtype)))
    backend.load(odd.parameters(dtype))
    inputs = backend.stage(odd.tokens(1)[0])
    with torch.profiler.profile() as profile:
        backend.forward(inputs)
    ran = any("mkldnn_rnn" in event.key for event in profile.key_averages())
    assert ("oneDNN" in backend.describe()["path"]) == ran


@each_backend
def test_ours_can_do_everything(name: str) -> None:
    assert factory(name).capabilities() == set(CAPABILITIES)


def train(backend: Backend, case: Case, free_running: bool = False) -> list[float]:
    losses = [
        backend.train_step(backend.stage(s[:, :-1]), backend.stage(s[:, 1:]), free_running)
        for s in case.tokens(3)
    ]
    return [float(backend.fetch(loss)) for loss in losses]


@each_backend
def test_load_after_training_resets_everything(name: str, odd: Case) -> None:
    backend = loaded(factory(name), odd, "float64", "float64")
    initial = backend.parameters()
    first, moved = train(backend, odd), backend.parameters()
    train(backend, odd, free_running=True)
    backend.load(initial)
    for key, array in backend.parameters().items():
        np.testing.assert_array_equal(array, initial[key])
    assert train(backend, odd) == first
    for key, array in backend.parameters().items():
        np.testing.assert_array_equal(array, moved[key])
        assert not np.array_equal(array, initial[key])


@each_backend
def test_parameters_go_in_and_come_out_as_copies(name: str, odd: Case) -> None:
    backend = loaded(factory(name), odd, "float32", "float32")
    given = odd.parameters("float32")
    kept = {key: array.copy() for key, array in given.items()}
    backend.load(given)
    for array in given.values():
        array[...] = 7
    first = backend.parameters()
    assert {key: array.shape for key, array in first.items()} == {
        key: array.shape for key, array in kept.items()
    }
    for key, array in first.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, kept[key])
        array[...] = 8
    train(backend, odd)
    for key, array in first.items():
        assert (array == 8).all()
        assert not (backend.parameters()[key] == 8).any()


@each_backend
def test_nothing_changes_what_was_staged_or_returned(name: str, odd: Case) -> None:
    backend = loaded(factory(name), odd, "float32", "float32")
    tokens = odd.tokens(1)[0]
    kept = tokens.copy()
    x, y = backend.stage(tokens[:, :-1]), backend.stage(tokens[:, 1:])
    staged = [backend.fetch(a).copy() for a in (x, y)]
    logits, (h, c) = backend.forward(x)
    loss, gradients = backend.loss_and_gradients(x, y)
    digits = backend.generate(x, 4)
    returned = [logits, h, c, loss, digits, *gradients.values()]
    before = [np.array(backend.fetch(a)) for a in returned]
    backend.train_step(x, y)
    backend.forward(x, (h, c))
    backend.train_step(x, y, free_running=True)
    backend.loss_and_gradients(y, x)
    backend.generate(y, 4)
    backend.synchronize()
    np.testing.assert_array_equal(tokens, kept)
    for now, then in zip((x, y), staged, strict=True):
        np.testing.assert_array_equal(backend.fetch(now), then)
    for now, then in zip(returned, before, strict=True):
        np.testing.assert_array_equal(backend.fetch(now), then)


@each_backend
def test_gradients_are_scaled_down_to_the_clip_norm_and_never_up(name: str, odd: Case) -> None:
    p = odd.parameters("float64")
    tokens = odd.tokens(1)[0]
    oracle = loaded(Oracle, odd, "float64", "float64")
    _, gradients = oracle.loss_and_gradients(tokens[:, :-1], tokens[:, 1:])
    norm = float(np.sqrt(sum((g**2).sum() for g in gradients.values())))
    for share in (0.9, 1.1):
        # With epsilon far above the gradient, Adam's first step is the gradient.
        options = Options(dtype="float64", clip_norm=share * norm, epsilon=1e6, learning_rate=1e6)
        backend = factory(name)(options)
        backend.load(p)
        backend.train_step(backend.stage(tokens[:, :-1]), backend.stage(tokens[:, 1:]))
        for key, array in backend.parameters().items():
            assert relative_error(p[key] - array, gradients[key] * min(1, share)) < 1e-5, key


@each_backend
def test_compiling_changes_nothing_that_can_be_seen(name: str, odd: Case) -> None:
    plain, compiled = (loaded(factory(name), odd, "float64", "float64") for _ in range(2))
    train(plain, odd), train(compiled, odd)
    compiled.compile(odd.shape.batch, odd.shape.length)
    for key, array in compiled.parameters().items():
        np.testing.assert_array_equal(array, plain.parameters()[key])
    assert train(compiled, odd) == train(plain, odd)


@each_backend
def test_a_nan_parameter_does_not_go_unnoticed(name: str, odd: Case) -> None:
    backend = loaded(factory(name), odd, "float32", "float32")
    broken = odd.parameters("float32")
    broken["lstm.1.weight_hh"][2, 3] = np.nan
    backend.load(broken)
    assert np.isnan(train(backend, odd)).all()


@each_backend
def test_float32_stays_float32_after_a_float64_backend(name: str, odd: Case) -> None:
    loaded(factory(name), odd, "float64", "float64")
    backend = loaded(factory(name), odd, "float32", "float32")
    x = backend.stage(odd.tokens(1)[0, :, :-1])
    logits, state = backend.forward(x)
    assert {backend.fetch(a).dtype for a in (logits, *state)} == {np.dtype("float32")}
    train(backend, odd)
    assert {a.dtype for a in backend.parameters().values()} == {np.dtype("float32")}


@each_backend
def test_the_order_of_the_parameters_means_nothing(name: str, odd: Case) -> None:
    backend = factory(name)(odd.options(Options(threads=1)))
    x = odd.tokens(1)[0]
    seen = []
    for order in (list, reversed):
        backend.load(dict(order(list(odd.parameters("float32").items()))))
        _, gradients = backend.loss_and_gradients(backend.stage(x[:, :-1]), backend.stage(x[:, 1:]))
        seen.append({name: backend.fetch(array) for name, array in gradients.items()})
    for name, array in seen[0].items():
        np.testing.assert_allclose(seen[1][name], array, rtol=1e-4, atol=1e-7)


# A batch that several devices share


@pytest.fixture(scope="module")
def shared() -> tuple[Case, dict[int, Backend]]:
    """JAX on one device and on two, and 65 rows: more than the ladder has, and no even number."""
    pytest.importorskip("jax")
    case, make = Case("shared", ModelSpec(2, 8), BatchShape(65, 3)), factory("jax")
    backends = {n: make(case.options(Options(threads=n))) for n in (1, 2)}
    if len(backends[2].stage(case.tokens(1)[0]).parts) < 2:
        pytest.skip("JAX has one CPU device here")
    return case, backends


@pytest.mark.parametrize("free_running", [False, True])
def test_jax_devices_share_a_step_in_unequal_parts(
    shared: tuple[Case, dict[int, Backend]], free_running: bool
) -> None:
    case, backends = shared
    losses, after = {}, {}
    for count, backend in backends.items():
        backend.load(case.parameters("float32"))
        batches = [(backend.stage(s[:, :-1]), backend.stage(s[:, 1:])) for s in case.tokens(3)]
        steps = [backend.train_step(*batch, free_running) for batch in batches]
        losses[count] = [float(backend.fetch(loss)) for loss in steps]
        after[count] = backend.parameters()
    assert losses[1] == pytest.approx(losses[2], rel=1e-6)
    for name, array in after[1].items():
        np.testing.assert_allclose(after[2][name], array, rtol=1e-4, atol=1e-6)


def test_jax_devices_share_a_pass_and_its_gradients(
    shared: tuple[Case, dict[int, Backend]],
) -> None:
    case, backends = shared
    first, second = case.tokens(2)
    results = {}
    for count, backend in backends.items():
        backend.load(case.parameters("float32"))
        x, y = backend.stage(first[:, :-1]), backend.stage(second[:, :-1])
        _, state = backend.forward(x)
        on_host = tuple(backend.fetch(array) for array in state)
        assert on_host[0].shape == (2, 65, 8)
        again = [backend.forward(y, given)[0] for given in (state, on_host)]
        loss, gradients = backend.loss_and_gradients(x, y)
        backend.train_step(x, y)
        moved, _ = backend.forward(x)
        arrays = *again, *on_host, loss, *gradients.values(), moved
        results[count] = [backend.fetch(array) for array in arrays]
    for one, two in zip(results[1], results[2], strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-6)

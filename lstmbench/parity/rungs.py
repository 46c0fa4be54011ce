"""The rungs: what is looked at on each, first things first."""

import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from lstmbench.interface import Backend, Options, Parameters
from lstmbench.interface.errors import NotSupported, headline, out_of_memory
from lstmbench.parity.cases import Fixture

TRAJECTORY_STEPS = 12
GENERATED_DIGITS = 16
REPEATED_CALLS = 10
ACTIVE_CLIP = 1e-3
DROWNED: dict[str, Any] = {"epsilon": 1e16, "learning_rate": 1e22, "beta1": 0.0, "beta2": 0.0}
"""Options that make a step of Adam proportional to the clipped gradient, and far larger than the
parameters: beside this epsilon the root of the second moment is nothing."""
UNBOUNDED = 1e30
LESSONS = 5
LESSON_STEPS = 30

Make = Callable[[Options], Backend]
Arrays = dict[str, np.ndarray]


class Climb:
    """One backend on one fixture; each rung starts from fresh copies of parameters and inputs."""

    def __init__(
        self, make: Make, options: Options, fixture: Fixture, initial: Parameters | None
    ) -> None:
        self.make, self.fixture = make, fixture
        self.options = fixture.options(options)
        self.backend = make(self.options)
        self.initial = initial or fixture.parameters(options.dtype)
        self.start()

    def start(self) -> None:
        self.load(self.backend)
        self.sequences = self.fixture.tokens(TRAJECTORY_STEPS)
        self.staged = self.stage(self.sequences)

    def load(self, backend: Backend) -> None:
        backend.load({name: array.copy() for name, array in self.initial.items()})

    def stage(self, sequences: np.ndarray) -> list[tuple[Any, Any]]:
        """Inputs and targets of each batch of `sequences` (n, B, T + 1)."""
        return [(self.backend.stage(x[:, :-1]), self.backend.stage(x[:, 1:])) for x in sequences]

    def fetch(self, arrays: Mapping[str, Any]) -> Arrays:
        return {name: np.array(self.backend.fetch(a)) for name, a in arrays.items()}

    def stack(self, results: list[Any]) -> np.ndarray:
        """What several calls returned, fetched only now: none may have overwritten another's."""
        return np.stack([np.array(self.backend.fetch(result)) for result in results])

    def moves(self, losses: list[Any]) -> Arrays:
        """How far each parameter has moved since it was loaded, and the losses on the way."""
        stacked = self.stack(losses)
        after = self.backend.parameters()
        return {name: after[name] - before for name, before in self.initial.items()} | {
            "loss": stacked
        }

    def drowned_step(self, clip_norm: float) -> Arrays:
        """How far one step moves each parameter (float64) where it shows the clipped gradient."""
        other = self.make(replace(self.options, clip_norm=clip_norm, **DROWNED))
        self.load(other)
        other.train_step(*self.staged[0])
        after = other.parameters()
        return {
            name: after[name].astype(np.float64) - before for name, before in self.initial.items()
        }


def _shapes(climb: Climb) -> Arrays:
    """One call of all that is claimed; held against the expected by shape and dtype alone.

    The first word of a name is the method that returned it.
    """
    backend, (inputs, targets) = climb.backend, climb.staged[0]

    def forward() -> dict[str, Any]:
        logits, (hidden, cell) = backend.forward(inputs)
        return {"logits": logits, "hidden": hidden, "cell": cell}

    def loss_and_gradients() -> dict[str, Any]:
        loss, gradients = backend.loss_and_gradients(inputs, targets)
        return {"loss": loss, **gradients}

    def train_step() -> dict[str, Any]:
        return {"loss": backend.train_step(inputs, targets)}

    def generate() -> dict[str, Any]:
        several = backend.generate(inputs, GENERATED_DIGITS)
        return {"digits": several, "digit": backend.generate(inputs, 1)}

    found = {f"parameters {name}": array for name, array in backend.parameters().items()}
    for method in (forward, loss_and_gradients, train_step, generate):
        if method.__name__ in backend.capabilities():
            with suppress(NotSupported):
                arrays = climb.fetch(method())
                found |= {f"{method.__name__} {name}": array for name, array in arrays.items()}
    return found


def _parameters(climb: Climb) -> Arrays:
    return climb.backend.parameters()


def _forward(climb: Climb) -> Arrays:
    """Two batches, each from a zero state."""
    return {"logits": climb.stack([climb.backend.forward(x)[0] for x, _ in climb.staged[:2]])}


def _state(climb: Climb) -> Arrays:
    """The state is handed on from one call to the next, which leaves it as it was."""
    _, first = climb.backend.forward(climb.staged[0][0])
    logits, (hidden, cell) = climb.backend.forward(climb.staged[1][0], first)
    return climb.fetch(
        {
            "logits": logits,
            "hidden": hidden,
            "cell": cell,
            "first hidden": first[0],
            "first cell": first[1],
        }
    )


def _loss(climb: Climb) -> Arrays:
    calls = [climb.backend.loss_and_gradients(*pair) for pair in climb.staged[:2]]
    return {"loss": climb.stack([loss for loss, _ in calls])}


def _gradients(climb: Climb) -> Arrays:
    """Of two batches: nothing is left over from one in the other."""
    calls = [climb.backend.loss_and_gradients(*pair)[1] for pair in climb.staged[:2]]
    return {name: climb.stack([call[name] for call in calls]) for name in calls[0]}


def _clip(climb: Climb) -> Arrays:
    """The clipped gradient in units of the norm of the unclipped one."""
    unclipped = climb.drowned_step(UNBOUNDED)
    norm = np.sqrt(sum(float((move**2).sum()) for move in unclipped.values()))
    return {name: move / norm for name, move in climb.drowned_step(ACTIVE_CLIP).items()}


def _step(climb: Climb) -> Arrays:
    return climb.moves([climb.backend.train_step(*climb.staged[0])])


def _steps(climb: Climb) -> Arrays:
    """Bias correction shows at the second step, the carried moments at the third."""
    return climb.moves([climb.backend.train_step(*pair) for pair in climb.staged[:3]])


def _trajectory(climb: Climb) -> Arrays:
    return climb.moves([climb.backend.train_step(*pair) for pair in climb.staged])


def _free_running(climb: Climb) -> Arrays:
    """One free-running step, and one after it that is not."""
    first = climb.backend.train_step(*climb.staged[0], free_running=True)
    return climb.moves([first, climb.backend.train_step(*climb.staged[1])])


def _generate(climb: Climb) -> Arrays:
    """After two batches of prompts, each from a zero state."""
    prompts = [x for x, _ in climb.staged[:2]]
    calls = [climb.backend.generate(x, GENERATED_DIGITS) for x in prompts]
    return {"digits": np.concatenate(climb.stack(calls))}


def _again(climb: Climb) -> Arrays:
    """The first batch many times, another shape in between."""
    inputs, forward = climb.staged[0][0], climb.backend.forward
    other = np.concatenate([climb.sequences[0], climb.sequences[1]])
    calls = [forward(inputs)[0] for _ in range(REPEATED_CALLS // 2)]
    reshaped = climb.fetch({"logits of another shape": forward(climb.backend.stage(other))[0]})
    calls += [forward(inputs)[0] for _ in range(REPEATED_CALLS // 2)]
    return reshaped | {"logits": climb.stack(calls)}


def _after_training(climb: Climb) -> Arrays:
    """All that reads the parameters reads the trained ones."""
    for pair in climb.staged[:2]:
        climb.backend.train_step(*pair)
    return climb.fetch({"logits": climb.backend.forward(climb.staged[0][0])[0]})


def _reload(climb: Climb) -> Arrays:
    """Nothing of what was there before survives a `load`, whatever is done to what was loaded."""
    other = climb.fixture.parameters(climb.options.dtype, draw=1)
    climb.backend.forward(climb.staged[0][0])
    climb.backend.load(other)
    for array in [*other.values(), *climb.backend.parameters().values()]:
        if array.flags.writeable:
            array[...] = 0
    return climb.fetch({"logits": climb.backend.forward(climb.staged[0][0])[0]})


def _accuracy(climb: Climb) -> Arrays:
    """Share of right guesses after some training on what can be learned, for each of some seeds."""
    shares = []
    for seed in range(LESSONS):
        climb.backend.load(climb.fixture.parameters(climb.options.dtype, draw=seed))
        *lessons, test = climb.fixture.lesson(seed, LESSON_STEPS + 1)
        for pair in climb.stage(np.stack(lessons)):
            climb.backend.train_step(*pair)
        ((inputs, _),) = climb.stage(test[None])
        logits = climb.backend.fetch(climb.backend.forward(inputs)[0])
        shares.append((logits.argmax(-1) == test[:, 1:]).mean())
    return {"accuracy": np.array(shares)}


@dataclass(frozen=True)
class Rung:
    """A rung's name, the capabilities that it needs, and what it observes."""

    name: str
    needs: tuple[str, ...]
    look: Callable[[Climb], Arrays]


LADDER = (
    Rung("shapes", (), _shapes),
    Rung("parameters", (), _parameters),
    Rung("forward", ("forward",), _forward),
    Rung("state", ("forward",), _state),
    Rung("loss", ("loss_and_gradients",), _loss),
    Rung("gradients", ("loss_and_gradients",), _gradients),
    Rung("clip", ("train_step",), _clip),
    Rung("step", ("train_step",), _step),
    Rung("steps", ("train_step",), _steps),
    Rung("trajectory", ("train_step",), _trajectory),
    Rung("free-running", ("train_step",), _free_running),
    Rung("generate", ("generate",), _generate),
    Rung("again", ("forward",), _again),
    Rung("after-training", ("train_step", "forward"), _after_training),
    Rung("reload", ("forward",), _reload),
)
ACCURACY = Rung("accuracy", ("train_step", "forward"), _accuracy)
LEARNS = "wide"
"""The fixture on which accuracy is compared: large enough to learn something."""


ORDER = (*(rung.name for rung in LADDER), ACCURACY.name)
"""The names of all rungs, from below."""


def rungs(fixture: str) -> tuple[str, ...]:
    """The names of the rungs of a fixture, from below."""
    return tuple(rung.name for rung in _ladder(fixture))


def _ladder(fixture: str) -> tuple[Rung, ...]:
    return (*LADDER, ACCURACY) if fixture == LEARNS else LADDER


class Observation(NamedTuple):
    """Named arrays of one rung; none if the backend does not claim it, or raised `error`."""

    rung: str
    arrays: Arrays
    claimed: bool = True
    error: str = ""
    traceback: str = ""


def observe(
    make: Make, options: Options, fixture: Fixture, initial: Parameters | None = None
) -> Iterator[Observation]:
    """Climb the ladder of a fixture with one backend, rung by rung; inputs are looked at on each.

    `initial` are the fixture's own parameters unless given. What a backend raises on a rung is
    that rung's observation, but for memory that ran out; what its constructor raises is raised.
    """
    climb = Climb(make, options, fixture, initial)
    claims = climb.backend.capabilities()
    for rung in _ladder(fixture.name):
        if set(rung.needs) <= claims:
            yield _look(climb, rung)
        else:
            yield Observation(rung.name, {}, claimed=False)


def _look(climb: Climb, rung: Rung) -> Observation:
    try:
        climb.start()
        arrays = rung.look(climb)
        return Observation(rung.name, arrays | {"inputs": climb.sequences})
    except NotSupported:
        return Observation(rung.name, {}, claimed=False)
    except Exception as error:
        if out_of_memory(error):
            raise
        told = traceback.format_exc()
        return Observation(rung.name, {}, error=headline(error), traceback=told)

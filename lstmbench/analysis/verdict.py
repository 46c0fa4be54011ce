"""The verdict on a contender: the one answer to "is this result good?", with reasons."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from lstmbench.parity import Comparison
from lstmbench.parity.cases import RUN_SEEN, VISIBLE_RATE
from lstmbench.parity.known_failures import TIMED, TRAINED, KnownFailures
from lstmbench.parity.rungs import ORDER, RUNGS
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import (
    BlockCheck,
    Failure,
    Record,
    RungResult,
    TrainingCheck,
)

Status = Literal["passed", "passed as approximate", "failed", "not claimed", "not run"]

Compared = RungResult | BlockCheck | TrainingCheck
"""The records of comparisons with the oracle."""
Evidence = Compared | Failure
"""The records that a verdict is made from."""


@dataclass(frozen=True)
class Verdict:
    """What is to be thought of a contender, and why.

    "passed as approximate": it needed the wider tolerance of approximate activations. "not
    claimed": it offers nothing that could be compared. "not run": it was never compared.
    """

    status: Status
    reasons: tuple[str, ...] = ()
    """What is wrong, in words, the first difference first; empty where nothing is."""
    excused: tuple[str, ...] = ()
    """Differences that were known beforehand: the places, and the reason why, in words."""
    unseen: tuple[str, ...] = ()
    """What could not be compared, in words."""

    @property
    def passed(self) -> bool:
        """Whether its times may be ranked."""
        return self.status in ("passed", "passed as approximate")


def verdict_on(
    evidence: Iterable[Evidence],
    known: KnownFailures | None = None,
    too_fast: Iterable[str] = (),
) -> Verdict:
    """Return the verdict on one contender.

    `evidence` is of that contender; `known` are the differences that are expected of it, by place.
    `too_fast` says, in words, which of its times are beyond what a machine can do.
    """
    known = known or {}
    kept = list(evidence)
    failed = [one for one in kept if not isinstance(one, Failure) and not one.result.passed]
    unexpected = [one for one in failed if place(one) not in known]
    reasons = [
        *(failure_in_words(one) for one in kept if isinstance(one, Failure)),
        *_differences(unexpected),
        *too_fast,
    ]
    excused = _excused(dict.fromkeys(place(one) for one in failed), known)
    status = "failed" if reasons else _status(kept)
    return Verdict(status, tuple(reasons), excused, tuple(_unseen(kept)))


def _unseen(evidence: Iterable[Evidence]) -> Iterator[str]:
    """Yield what could not be compared: on a rung, neither at the run's own learning rate."""
    compared = [one for one in evidence if not isinstance(one, Failure)]
    visible = {
        one.rung
        for one in compared
        if isinstance(one, RungResult) and one.case == RUN_SEEN and one.result.outcome != "not seen"
    }
    for one in compared:
        if one.result.outcome == "not seen":
            text = f"{place(one)}: {one.result.array}: {one.result.note}"
            if isinstance(one, RungResult) and one.rung in visible:
                text += f" (compared at a learning rate of {VISIBLE_RATE:g} too)"
            yield text


def _excused(places: Iterable[str], known: KnownFailures) -> tuple[str, ...]:
    """Return the known places, put together by their reason."""
    by_reason = defaultdict(list)
    for where in places:
        if where in known:
            by_reason[known[where]].append(where)
    return tuple(f"{', '.join(where)}: {reason}" for reason, where in by_reason.items())


class Ledger:
    """The evidence so far, by contender, as records are made; `known` failures are by backend."""

    def __init__(self, known: Mapping[str, KnownFailures] | None = None) -> None:
        self.known = known or {}
        self._evidence: dict[Contender, list[Evidence]] = defaultdict(list)

    def add(self, record: Record) -> None:
        """Take in a record; those that are no evidence are passed over."""
        if isinstance(record, Evidence):
            self._evidence[record.contender].append(record)

    def verdict(self, contender: Contender) -> Verdict:
        """Return the verdict on a contender so far."""
        return verdict_on(self._evidence[contender], self.known.get(contender.backend))


def _status(evidence: Iterable[Evidence]) -> Status:
    """Return the status of a contender of which nothing is wrong."""
    results = [one for one in evidence if isinstance(one, RungResult)]
    outcomes = {one.result.outcome for one in evidence if not isinstance(one, Failure)}
    if not results:
        return "not run"
    if all(one.result.outcome == "not claimed" for one in results if RUNGS[one.rung].needs):
        return "not claimed"
    return "passed as approximate" if "passed as approximate" in outcomes else "passed"


def _differences(failed: list[Compared]) -> Iterator[str]:
    """Yield the first difference of the ladder, inside the clock, and in training, in words."""
    if first := first_difference(failed):
        yield rung_in_words(first)
    checks = [one for one in failed if isinstance(one, BlockCheck)]
    if checks:
        yield check_in_words(checks[0])
    trained = [one for one in failed if isinstance(one, TrainingCheck)]
    if trained:
        yield training_in_words(trained[0])


def first_difference(evidence: Iterable[Evidence]) -> RungResult | None:
    """Return the lowest rung that failed, at the first case at which it did."""
    failed = (one for one in evidence if isinstance(one, RungResult) and not one.result.passed)
    return min(failed, key=lambda one: ORDER.index(one.rung), default=None)


def place(one: Compared) -> str:
    """Return the place of a comparison, as it stands in a file of known failures."""
    match one:
        case RungResult():
            return one.place
        case BlockCheck():
            return f"{TIMED}/{one.workload}"
        case TrainingCheck():
            return f"{TRAINED}/{one.check}"


def what_differs(result: Comparison) -> str:
    """Return the worst array of a comparison and by how much it is wrong, in words."""
    size = "" if result.error is None else f"{result.error:.3g} × tolerance"
    named = ", ".join(part for part in (result.note, size) if part)
    return f"{result.array}: {named}" if result.array else named


def rung_in_words(one: RungResult) -> str:
    """Return where a backend departs from the oracle."""
    return f"differs from the float64 oracle at {one.place}: {what_differs(one.result)}"


def check_in_words(one: BlockCheck) -> str:
    """Return in which block a backend computed something else than the oracle."""
    return (
        f"what it computed inside the clock ({one.workload}, launch {one.launch}, round "
        f"{one.round}) differs from the float64 oracle: {what_differs(one.result)}"
    )


def training_in_words(one: TrainingCheck) -> str:
    """Return what of a training departs from the oracle's."""
    when = "" if one.epoch is None else f" after epoch {one.epoch + 1}"
    return (
        f"in training, {one.check}{when} differs from the float64 oracle: "
        f"{what_differs(one.result)}"
    )


def failure_in_words(one: Failure) -> str:
    """Return in which phase a contender failed, and how."""
    return f"{one.kind} in {one.phase}: {one.message}"

"""The conformance check: the parity ladder for some backends, each in a process of its own."""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from lstmbench.analysis.verdict import Verdict, first_difference, verdict_on
from lstmbench.execution import parity
from lstmbench.execution.workers import WorkerFactory, WorkerFailed
from lstmbench.experiment import planning
from lstmbench.parity.known_failures import KnownFailures
from lstmbench.plugins import registry as plugins
from lstmbench.plugins.registry import Registry
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import Failure, RungResult
from lstmbench.protocol.settings import Settings, from_mapping
from lstmbench.records.folder import Header


@dataclass
class CheckResult:
    """Every rung that a contender reached, and why it went no further if it did not."""

    contender: Contender
    rungs: list[RungResult] = field(default_factory=list)
    failure: Failure | None = None
    known: KnownFailures = field(default_factory=dict)
    """Differences that are expected, by place."""

    @property
    def verdict(self) -> Verdict:
        """What is to be thought of the contender, with reasons."""
        return verdict_on([*self.rungs, *([self.failure] if self.failure else [])], self.known)

    @property
    def first_difference(self) -> RungResult | None:
        """The lowest rung on which the contender differs from the oracle."""
        return first_difference(self.rungs)

    @property
    def passed(self) -> bool:
        """Whether all that the contender claims agrees with the oracle."""
        return self.verdict.passed


def check(*names: str, **settings: Any) -> list[CheckResult]:
    """Climb the parity ladder with each backend named, in a process of its own.

    `settings` are those of a run (`dtype="float64"`, `hidden=96`, `threads=1`, ...). Raises
    UsageError if a name or a setting is unknown, or a backend cannot be used here.
    """
    registry = plugins.discover()
    header = plan(registry, *names, **settings)
    return list(climb(header.contenders, header.settings, registry))


def plan(registry: Registry, *names: str, **settings: Any) -> Header:
    """Return which contenders `check` will climb with, at which settings; raises as it does."""
    given = from_mapping({**settings, "backend": list(names)}, "settings")
    return planning.plan(given, registry)


def climb(
    contenders: list[Contender],
    settings: Settings,
    registry: Registry,
    known: dict[str, KnownFailures] | None = None,
    factory: WorkerFactory | None = None,
) -> Iterator[CheckResult]:
    """Yield the result of each contender, as it is reached; `known` failures are by backend.

    With a `factory`, workers share the compiled code of others that it has started.
    """
    with nullcontext(factory) if factory else WorkerFactory(registry) as workers:
        expected = parity.expectations(workers, settings)
        for contender in contenders:
            found = CheckResult(contender, known=(known or {}).get(contender.backend, {}))
            try:
                with workers.open(contender, settings) as worker:
                    for result in parity.climb(worker, contender, expected):
                        found.rungs.append(result)
            except WorkerFailed as error:
                found.failure = Failure(
                    contender=contender,
                    phase="parity",
                    kind=error.kind,
                    message=error.message,
                    traceback=error.traceback,
                )
            yield found

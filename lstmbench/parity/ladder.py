"""Climbing the ladder at a case: with a backend that is judged, and with the oracle."""

import traceback
from collections.abc import Iterator

from lstmbench.interface import Options, Parameters
from lstmbench.interface.errors import NotSupported, headline, out_of_memory
from lstmbench.parity.cases import NAMES, Case
from lstmbench.parity.climb import Climb, Make
from lstmbench.parity.oracle_runs import OracleRuns
from lstmbench.parity.rungs import RUNGS, Rung, rungs
from lstmbench.parity.values import Comparison, Expected, Observation

PLACES = tuple(f"{case}/{rung.name}" for case in NAMES for rung in rungs(case))
"""Every rung of every case, as "case/rung"."""


def observe(
    make: Make, options: Options, case: Case, initial: Parameters | None = None
) -> Iterator[Observation]:
    """Climb the ladder of a case with one backend, rung by rung.

    `initial` are the case's own parameters unless given. What a backend raises on a rung is that
    rung's observation, except that memory ran out; what its constructor raises is raised.
    """
    climb = Climb(make, options, case, initial)
    claims = climb.backend.capabilities()
    for rung in rungs(case.name):
        if set(rung.needs) <= claims:
            yield _observe(climb, rung)
        else:
            yield Observation(rung=rung.name, claimed=False)


def _observe(climb: Climb, rung: Rung) -> Observation:
    try:
        climb.start()
        arrays = rung.observe(climb)
        changed = climb.inputs_changed()
        return Observation(rung=rung.name, arrays=arrays, inputs_changed=changed)
    except NotSupported:
        return Observation(rung=rung.name, claimed=False)
    except Exception as error:
        if out_of_memory(error):
            raise
        told = traceback.format_exc()
        return Observation(rung=rung.name, error=headline(error), traceback=told)


def expect(oracle: Make, options: Options, case: Case) -> Iterator[Expected]:
    """Yield what every backend must show in `options.dtype` on each rung of a case."""
    runs = OracleRuns(oracle, options, case)
    for rung in rungs(case.name):
        yield rung.expect(runs)


def compare(expected: Expected, observed: Observation) -> Comparison:
    """Return what comes of comparing a backend's observation with the expected values."""
    return RUNGS[expected.name].compare(expected, observed)

"""Climbing the ladder at a case: with a backend that is judged, and with the oracle."""

import time
from collections.abc import Iterator
from typing import Any

from lstmbench.interface import Options
from lstmbench.interface.errors import NotSupported, headline, out_of_memory, told_traceback
from lstmbench.parity.cases import NAMES, RUN_SEEN, Case
from lstmbench.parity.climb import Climb
from lstmbench.parity.oracle import Oracle
from lstmbench.parity.oracle_runs import OracleRuns
from lstmbench.parity.rungs import RUNGS, Rung, rungs
from lstmbench.parity.values import Comparison, Expected, Observation
from lstmbench.parity.variants import Make

ALL_PLACES = tuple(f"{case}/{rung.name}" for case in NAMES for rung in rungs(case))
"""Every rung of every case, as "case/rung"."""
PLACES = tuple(place for place in ALL_PLACES if not place.startswith(f"{RUN_SEEN}/"))
"""Those that are always climbed."""


def observe(make: Make, options: Options, case: Case) -> Iterator[Observation]:
    """Climb the ladder of a case with one backend, rung by rung.

    What a backend raises on a rung is that rung's observation, except that memory ran out; what its
    constructor raises is raised.
    """
    climb = Climb(make, options, case)
    for rung in rungs(case.name):
        if climb.claims(*rung.needs):
            yield _observe(climb, rung)
        else:
            yield Observation(rung=rung.name, claimed=False)


def _observe(climb: Climb, rung: Rung) -> Observation:
    start = time.perf_counter()

    def observation(**fields: Any) -> Observation:
        return Observation(rung=rung.name, seconds=time.perf_counter() - start, **fields)

    try:
        climb.start()
        arrays = rung.observe(climb)
        return observation(arrays=arrays, changed=climb.changed())
    except NotSupported:
        return observation(claimed=False)
    except Exception as error:
        if out_of_memory(error):
            raise
        return observation(error=headline(error), traceback=told_traceback())


def expect(oracle: type[Oracle], options: Options, case: Case) -> Iterator[Expected]:
    """Yield what every backend must show in `options.dtype` on each rung of a case."""
    runs = OracleRuns(oracle, options, case)
    for rung in rungs(case.name):
        yield rung.expect(runs)


def compare(expected: Expected, observed: Observation) -> Comparison:
    """Return what comes of comparing a backend's observation with the expected values."""
    return RUNGS[expected.name].compare(expected, observed)

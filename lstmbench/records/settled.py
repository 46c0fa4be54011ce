"""Which records count: what was begun before a run was killed, and done again after, does not."""

from collections.abc import Iterable

from lstmbench.protocol.observations import (
    Block,
    BlockCheck,
    Disturbance,
    Epoch,
    Failure,
    Finished,
    MachinePeaks,
    Record,
    Retried,
    RungResult,
    Startup,
    Stopped,
    Trained,
    TrainingCheck,
)

OfLaunch = Block | BlockCheck | Disturbance | MachinePeaks | Startup


def settled(records: Iterable[Record]) -> list[Record]:
    """Return the records without those that others have taken the place of.

    A rung that a contender climbed twice counts as it was last. A launch that was broken off does
    not count once there is a later one. What was tried again counts as it was found then.
    """
    kept: list[Record] = []
    for record in records:
        if isinstance(record, Retried):
            kept = [one for one in kept if not _replaced(one, record)]
        kept.append(record)
    whole = {one.launch for one in kept if isinstance(one, Finished) and one.phase == "timing"}
    last = max((one.launch for one in kept if isinstance(one, Block)), default=0)
    rungs = {(one.contender, one.place): one for one in kept if isinstance(one, RungResult)}

    def counts(one: Record) -> bool:
        if isinstance(one, RungResult):
            return rungs[one.contender, one.place] is one
        if not isinstance(one, OfLaunch):
            return True
        # Launch 0 is the start in which nothing is compiled yet: it is no launch of the timing.
        return not one.launch or one.launch in whole or one.launch >= last

    return [one for one in kept if counts(one)]


def _replaced(one: Record, retried: Retried) -> bool:
    """Return whether a record was made before a contender was tried again, and is made anew."""
    if isinstance(one, RungResult | BlockCheck | TrainingCheck) and not one.result.passed:
        return False
    timed_anew = retried.phase != "training"
    if timed_anew and _of_timing(one):
        return True
    if getattr(one, "contender", None) != retried.contender:
        return False
    if isinstance(one, RungResult | Startup):
        return retried.phase == "parity"
    if isinstance(one, Finished):
        return one.phase in (retried.phase, "training")
    return isinstance(one, Failure | Epoch | Trained | TrainingCheck)


def _of_timing(one: Record) -> bool:
    if isinstance(one, Finished):
        return one.phase == "timing"
    return isinstance(one, Stopped) or (isinstance(one, OfLaunch) and one.launch > 0)

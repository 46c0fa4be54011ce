"""Which records count: what was begun before a run was killed, and done again after, does not."""

from collections.abc import Iterable

from lstmbench.protocol.observations import (
    Block,
    BlockCheck,
    Disturbance,
    Finished,
    MachinePeaks,
    Record,
    RungResult,
    Startup,
)


def settled(records: Iterable[Record]) -> list[Record]:
    """Return the records without those that others have taken the place of.

    A rung that a contender climbed twice counts as it was last. A launch that was broken off does
    not count once there is a later one.
    """
    kept = list(records)
    whole = {one.launch for one in kept if isinstance(one, Finished) and one.phase == "timing"}
    last = max((one.launch for one in kept if isinstance(one, Block)), default=0)
    rungs = {(one.contender, one.place): one for one in kept if isinstance(one, RungResult)}

    def counts(one: Record) -> bool:
        if isinstance(one, RungResult):
            return rungs[one.contender, one.place] is one
        if not isinstance(one, Block | BlockCheck | Disturbance | MachinePeaks | Startup):
            return True
        # Launch 0 is the start in which nothing is compiled yet: it is no launch of the timing.
        return not one.launch or one.launch in whole or one.launch >= last

    return [one for one in kept if counts(one)]

"""Known failures: places where a backend is expected to differ, each with the reason.

A place is a rung of a case, "odd/clip", a timed workload, "timed/train", or something that is
compared in training, "training/losses".
"""

from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal, get_args

from lstmbench.host import files
from lstmbench.interface.errors import UsageError
from lstmbench.interface.workloads import WORKLOADS
from lstmbench.parity.cases import NAMES
from lstmbench.parity.ladder import ALL_PLACES
from lstmbench.parity.rungs import ORDER

TIMED, TRAINED = "timed", "training"
TrainingPart = Literal["losses", "epoch means", "accuracy", "logits", "digits"]
"""What of a training is compared."""
COMPARED_IN_TRAINING: tuple[TrainingPart, ...] = get_args(TrainingPart)
KNOWABLE = (
    *ALL_PLACES,
    *(f"{TIMED}/{name}" for name in WORKLOADS),
    *(f"{TRAINED}/{name}" for name in COMPARED_IN_TRAINING),
)

LARGEST = 1_000_000
"""Bytes of a file of known failures."""

KnownFailures = dict[str, str]
"""The reason by place."""


def read(path: str | Path) -> KnownFailures:
    """Return the reason why each place listed in a file is known to fail.

    A line is a place, such as `odd/clip` or `*/clip`, and the reason after a `#`; an empty line,
    or one with a `#` alone, says nothing. Raises UsageError if the file cannot be read or a line
    matches no place.
    """
    try:
        lines = files.read(Path(path), LARGEST).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"known failures {str(path)!r} cannot be read: {error}") from None
    return parse(lines, str(path))


def parse(lines: Iterable[str], source: str) -> KnownFailures:
    """Return the reasons by place of lines as in a file; `source` is named in errors."""
    known: KnownFailures = {}
    for number, line in enumerate(lines, 1):
        pattern, _, reason = (part.strip() for part in line.partition("#"))
        matches = [place for place in KNOWABLE if fnmatch(place, pattern)]
        if pattern and not matches:
            raise UsageError(
                f"{source}, line {number}: no rung matches {pattern!r} (cases: "
                f"{', '.join(NAMES)}; rungs: {', '.join(ORDER)}; or {TIMED}/WORKLOAD, "
                f"{TRAINED}/{'|'.join(COMPARED_IN_TRAINING)})"
            )
        known |= dict.fromkeys(matches, reason or "known failure")
    return known

"""The conformance kit for authors of backends; see `lstmbench.experiment.conformance`."""

from lstmbench.experiment.conformance import (
    PLACES,
    Verdicts,
    check,
    ladder_tests,
    read_known_failures,
)

__all__ = ["PLACES", "Verdicts", "check", "ladder_tests", "read_known_failures"]

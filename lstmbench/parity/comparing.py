"""Comparing what a backend computed with what is expected."""

from typing import NamedTuple

import numpy as np

from lstmbench.parity.activations import Level
from lstmbench.parity.values import Arrays, Comparison, Expected, Outcome

INFINITE = float("inf")
WIDEST = 0.5
"""No array passes by a wider tolerance: one of zeros, whose error is 1, hardly would fail."""
TOO_SMALL = "too small to see"
TOO_SENSITIVE = "too sensitive to rounding to be compared"
SEEN = 8
"""An array is seen if its norm is at least so many times what storing its numbers may change."""


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    """Return ||actual - expected|| / ||expected||, or ||actual|| where all expected are zero.

    Infinite for another shape or a number that is not finite.
    """
    if actual.shape != expected.shape or not np.isfinite(actual).all():
        return INFINITE
    difference, norm = _distance(actual, expected), _norm(expected)
    return difference / norm if norm else difference


def largest_error(actual: np.ndarray, expected: np.ndarray, by_call: bool) -> float:
    """Return the relative error, by call the largest over the first axis."""
    if not by_call or actual.shape != expected.shape:
        return relative_error(actual, expected)
    return max(map(relative_error, actual, expected), default=0.0)


class Found(NamedTuple):
    """One array's error, as a multiple of its tolerance: at most 1 is close enough.

    `approximate_error` is the multiple of the tolerance of approximate activations.
    """

    error: float
    note: str = ""
    tolerance: float | None = None
    approximate: float | None = None
    approximate_error: float = INFINITE
    seen: bool = True

    def outcome(self, level: Level) -> Outcome:
        """Return what comes of it for a contender whose activations are that good."""
        if not self.seen:
            return "not seen"
        if self.error <= 1:
            return "passed"
        if level == "approximate" and self.approximate_error <= 1:
            return "passed as approximate"
        return "failed"


RANKS: tuple[Outcome, ...] = ("passed", "passed as approximate", "not seen", "failed")


def compare_arrays(expected: Expected, actual: Arrays, level: Level = "approximate") -> Comparison:
    """Compare named arrays with expected ones, each by relative error or as greedy digits.

    At the level "accurate" the tolerances of approximate activations are not granted.
    """
    found = {name: Found(INFINITE, "unknown") for name in actual.keys() - expected.arrays.keys()}
    for name in expected.tolerances:
        if name not in actual:
            found[name] = Found(INFINITE, "missing")
        else:
            found[name] = _compare(expected, name, actual[name])
    return worst(found, level)


def worst(found: dict[str, Found], level: Level = "approximate") -> Comparison:
    """Return the comparison of the array that is furthest off."""

    def badness(one: Found) -> tuple[int, float]:
        return RANKS.index(one.outcome(level)), one.error

    none = ("", Found(0.0))
    name, one = max(found.items(), key=lambda item: badness(item[1]), default=none)
    return Comparison(
        outcome=one.outcome(level),
        error=one.error if one.error < INFINITE else None,
        tolerance=one.tolerance,
        approximate=one.approximate,
        array=name,
        note=one.note,
    )


def wrong_shape(value: np.ndarray, expected: np.ndarray) -> Found | None:
    """Return what is wrong with an array's shape, or None."""
    if value.shape == expected.shape:
        return None
    return Found(INFINITE, f"shape {value.shape}, expected {expected.shape}")


def _compare(expected: Expected, name: str, value: np.ndarray) -> Found:
    wanted, tolerance = expected.arrays[name], expected.tolerances[name]
    approximate = expected.approximate_tolerances.get(name, tolerance)
    if other_shape := wrong_shape(value, wanted):
        return other_shape
    if not np.isfinite(value).all():
        return Found(INFINITE, "not finite")
    if name in expected.margins:
        allowed = expected.digit_tolerances.get(name, ([tolerance], [approximate]))
        return _compare_digits(value, wanted, expected.margins[name], *allowed)
    resolution = expected.resolutions.get(name, 0.0)
    pairs = list(zip(value, wanted, strict=True)) if expected.by_call else [(value, wanted)]
    found = [_compare_reals(a, b, resolution, tolerance, approximate) for a, b in pairs]
    return max(found, key=lambda one: (one.seen, one.error))


def _compare_reals(
    value: np.ndarray, wanted: np.ndarray, resolution: float, tolerance: float, approximate: float
) -> Found:
    distance, size = _distance(value, wanted), _norm(wanted)
    error, approximate_error = (
        distance / (allowed * (size or 1.0) + resolution) for allowed in (tolerance, approximate)
    )
    note = _unseen(wanted, resolution, tolerance)
    if approximate >= WIDEST and error > 1:
        note = TOO_SENSITIVE
    if approximate_error > 1:  # what is further off than honest arithmetic ever is can be seen
        note = ""
    return Found(error, note, tolerance, approximate, approximate_error, seen=not note)


def _unseen(wanted: np.ndarray, resolution: float, tolerance: float) -> str:
    """Return why an array cannot be compared, or nothing."""
    if 0 < _norm(wanted) < SEEN * resolution:
        return TOO_SMALL
    return TOO_SENSITIVE if tolerance >= WIDEST else ""


def unseen(expected: Expected) -> list[str]:
    """Return the names of the arrays that cannot be compared."""
    return [
        name
        for name, tolerance in expected.tolerances.items()
        if _unseen(expected.arrays[name], expected.resolutions.get(name, 0.0), tolerance)
    ]


def _compare_digits(
    digits: np.ndarray,
    expected: np.ndarray,
    margins: np.ndarray,
    tolerances: list[float],
    approximates: list[float],
) -> Found:
    """Compare greedy digits (..., n): what follows the first mismatch of a sequence is free.

    A first mismatch counts where the oracle's choice was clear, by the tolerance at that digit, of
    which there is one for each or for all.
    """
    length = digits.shape[-1]
    allowed, wider = (np.broadcast_to(one, length) for one in (tolerances, approximates))
    differs = (digits != expected).reshape(-1, length)
    first = np.argmax(differs, axis=1)
    rows = np.flatnonzero(differs.any(axis=1))
    at = first[rows]
    lead = margins.reshape(differs.shape)[rows, at]
    errors = [float((lead / one[at]).max()) if len(rows) else 0.0 for one in (allowed, wider)]
    determined = int((allowed < WIDEST).sum())
    note = f"{len(rows)} of {len(differs)} sequences differ"
    if determined < length:
        note += f"; the first {determined} of {length} digits are determined"
    found = Found(errors[0], note, float(allowed[0]), float(wider[0]), errors[1])
    if not determined and found.approximate_error <= 1:
        return found._replace(note=TOO_SENSITIVE, seen=False)
    return found


def _norm(array: np.ndarray) -> float:
    return float(np.linalg.norm(array.astype(np.float64).ravel()))


def _distance(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm((actual.astype(np.float64) - expected).ravel()))


def effective_precision(error: float) -> str:
    """Return the arithmetic that a relative error of the logits gives away.

    Bounds lie half way, in decades, between the roundings: 2^-53 for float64, 2^-24 for float32,
    2^-11 for TF32 and float16, which keep the same number of bits, 2^-8 for bfloat16.
    """
    for bound, name in (
        (3e-12, "float64"),
        (5e-6, "float32"),
        (1.4e-3, "TF32 or float16"),
    ):
        if error < bound:
            return name
    return "bfloat16" if error < 3e-2 else "less than bfloat16"

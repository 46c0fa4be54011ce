"""Comparing what a backend computed with what is expected."""

from typing import NamedTuple

import numpy as np

from lstmbench.parity.values import Arrays, Comparison, Expected

INFINITE = float("inf")


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    """Return ||actual - expected|| / ||expected||, or ||actual|| where all expected are zero.

    Infinite for another shape or a number that is not finite.
    """
    if actual.shape != expected.shape or not np.isfinite(actual).all():
        return INFINITE
    difference = float(np.linalg.norm((actual.astype(np.float64) - expected).ravel()))
    norm = float(np.linalg.norm(expected.astype(np.float64).ravel()))
    return difference / norm if norm else difference


class Found(NamedTuple):
    """One array's error, as a multiple of its tolerance: at most 1 is close enough."""

    error: float
    note: str = ""
    tolerance: float | None = None


def compare_arrays(expected: Expected, actual: Arrays) -> Comparison:
    """Compare named arrays with expected ones, each by relative error or as greedy digits."""
    found = {name: Found(INFINITE, "unknown") for name in actual.keys() - expected.arrays.keys()}
    for name, tolerance in expected.tolerances.items():
        if name not in actual:
            found[name] = Found(INFINITE, "missing")
        else:
            found[name] = _compare(expected, name, actual[name], tolerance)
    return worst(found)


def worst(found: dict[str, Found]) -> Comparison:
    """Return the comparison of the array that is furthest off."""
    name, one = max(found.items(), key=lambda item: item[1].error, default=("", Found(0.0)))
    return Comparison(
        outcome="passed" if one.error <= 1 else "failed",
        error=one.error if one.error < INFINITE else None,
        tolerance=one.tolerance,
        array=name,
        note=one.note,
    )


def wrong_shape(value: np.ndarray, expected: np.ndarray) -> Found | None:
    """Return what is wrong with an array's shape, or None."""
    if value.shape == expected.shape:
        return None
    return Found(INFINITE, f"shape {value.shape}, expected {expected.shape}")


def _compare(expected: Expected, name: str, value: np.ndarray, tolerance: float) -> Found:
    wanted = expected.arrays[name]
    if other_shape := wrong_shape(value, wanted):
        return other_shape
    if not np.isfinite(value).all():
        return Found(INFINITE, "not finite")
    if name in expected.margins:
        return _compare_digits(value, wanted, expected.margins[name], tolerance)
    return Found(relative_error(value, wanted) / tolerance, "", tolerance)


def _compare_digits(
    digits: np.ndarray, expected: np.ndarray, margins: np.ndarray, tolerance: float
) -> Found:
    """Compare greedy digits (..., n): what follows the first mismatch of a sequence is free.

    A first mismatch counts where the oracle's choice was clear.
    """
    differs = (digits != expected).reshape(-1, digits.shape[-1])
    first = np.argmax(differs, axis=1)
    rows = np.flatnonzero(differs.any(axis=1))
    lead = margins.reshape(differs.shape)[rows, first[rows]]
    furthest = float(lead.max()) if len(rows) else 0.0
    return Found(furthest / tolerance, f"{len(rows)} of {len(differs)} sequences differ")


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

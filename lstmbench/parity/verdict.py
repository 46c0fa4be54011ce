"""Holding what a backend computed against what is expected."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from lstmbench import statistics
from lstmbench.parity.rungs import Arrays

INFINITE = float("inf")


def error(actual: np.ndarray, expected: np.ndarray) -> float:
    """||actual - expected|| / ||expected||; infinite for another shape or a number not finite.

    Where all that is expected is zero, ||actual||.
    """
    if actual.shape != expected.shape or not np.isfinite(actual).all():
        return INFINITE
    difference = float(np.linalg.norm((actual.astype(np.float64) - expected).ravel()))
    norm = float(np.linalg.norm(expected.astype(np.float64).ravel()))
    return difference / norm if norm else difference


class Reference(NamedTuple):
    """Expected arrays of a rung, float64 for numbers, and the relative error allowed in each."""

    rung: str
    arrays: Arrays
    bands: dict[str, float]


class Verdict(NamedTuple):
    """The worst tensor of a rung and its error as a multiple of its band; at most 1 agrees."""

    error: float
    tensor: str
    note: str
    band: float = float("nan")

    @property
    def agrees(self) -> bool:
        return self.error <= 1


def compare(expected: Reference, actual: Arrays) -> Verdict:
    """Hold what a backend computed on a rung against what is expected."""
    return max(_verdicts(expected, actual), key=lambda verdict: verdict.error)


def _verdicts(expected: Reference, actual: Arrays) -> Iterator[Verdict]:
    methods = {name.split()[0] for name in actual}
    for name in actual.keys() - expected.arrays.keys():
        yield Verdict(INFINITE, name, "unknown")
    for name, band in expected.bands.items():
        truth = expected.arrays[name]
        if expected.rung == "shapes" and name.split()[0] not in methods:
            continue  # of a method that is not claimed
        if name not in actual:
            yield Verdict(INFINITE, name, "missing")
            continue
        value = actual[name]
        if value.shape != truth.shape:
            yield Verdict(INFINITE, name, f"shape {value.shape}, expected {truth.shape}")
        elif name == "inputs":
            changed = not np.array_equal(value, truth)
            yield Verdict(INFINITE if changed else 0.0, name, "changed" if changed else "")
        elif expected.rung == "shapes":
            yield _compare_dtypes(name, value.dtype, truth.dtype)
        elif not np.isfinite(value).all():
            yield Verdict(INFINITE, name, "not finite")
        elif name == "digits":
            yield _compare_digits(value, truth, expected.arrays["margin"], band)
        elif name == "accuracy":
            yield _compare_accuracies(value, truth, band)
        else:
            yield Verdict(error(value, truth) / band, name, "", band)


def _compare_dtypes(name: str, dtype: np.dtype, wanted: np.dtype) -> Verdict:
    """Digits may be any kind of integer, a loss any kind of float."""
    returned = name.split()[-1]
    if returned in ("digits", "digit"):
        good = dtype.kind in "iu"
    elif returned == "loss":
        good = dtype.kind == "f"
    else:
        good = dtype == wanted
    note = "" if good else f"dtype {dtype}, expected {wanted}"
    return Verdict(0.0 if good else INFINITE, name, note)


def _compare_digits(
    digits: np.ndarray, truth: np.ndarray, margin: np.ndarray, band: float
) -> Verdict:
    """A first mismatch counts where the oracle's choice was clear; what follows one is free."""
    differs = digits != truth
    first = np.argmax(differs, axis=1)
    rows = np.flatnonzero(differs.any(axis=1))
    worst = float(margin[rows, first[rows]].max()) if len(rows) else 0.0
    return Verdict(worst / band, "digits", f"{len(rows)} of {len(digits)} sequences differ")


def _compare_accuracies(shares: np.ndarray, truth: np.ndarray, margin: float) -> Verdict:
    """Two one-sided tests: equivalent if the interval of the mean difference is within the margin.

    `shares` and `truth` are of the same seeds, (n,); the margin is what another seed changes.
    Schuirmann, https://doi.org/10.1007/BF01068419; at 95 % rather than 90 %.
    """
    difference = statistics.mean((shares - truth).tolist())
    furthest = max(abs(difference.low), abs(difference.high))
    note = f"differs by {100 * difference.value:.1f} points of {len(truth)} seeds' mean"
    return Verdict(furthest / margin, "accuracy", note, margin)


def precision_of(forward_error: float) -> str:
    """The arithmetic that a relative error of the logits gives away.

    Bounds lie half way, in decades, between the roundings: 2^-53 for float64, 2^-24 for float32,
    2^-11 for TF32 and float16, which keep the same number of bits, 2^-8 for bfloat16.
    """
    for bound, name in (
        (3e-12, "float64"),
        (5e-6, "float32"),
        (1.4e-3, "TF32 or float16"),
    ):
        if forward_error < bound:
            return name
    return "bfloat16" if forward_error < 3e-2 else "less than bfloat16"

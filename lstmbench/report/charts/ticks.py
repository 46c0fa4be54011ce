"""Where a logarithmic axis has its labels."""

import math

MOST, LEAST = 7, 3
"""How many labels there are."""


def log_ticks(low: float, high: float) -> list[float]:
    """Return round numbers from `low` to `high`, both positive, for a logarithmic axis."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        found = [digit * 10.0**decade for decade in decades for digit in digits]
        found = [_exact(tick) for tick in found if low <= tick <= high]
        if LEAST <= len(found) <= MOST:
            return found
    return _even(low, high)


def _even(low: float, high: float) -> list[float]:
    """Return round numbers in even steps, for an axis of less than a decade."""
    least = (high - low) / MOST
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * digit for digit in (1, 2, 5, 10) if power * digit >= least)
    first = math.ceil(low / step)
    return [_exact(step * n) for n in range(first, math.floor(high / step) + 1)]


def _exact(value: float) -> float:
    """Return a number without what rounding has added to it."""
    return float(f"{value:.10g}")

"""Rounding the factors of products as shorter kinds of numbers have them.

NumPy has neither TF32 nor bfloat16; both are float32 with a shorter mantissa.
"""

import numpy as np

from lstmbench.interface.model import PRECISION_BITS, Products


def rounded(values: np.ndarray, products: Products) -> np.ndarray:
    """Return values, in their dtype, rounded to the nearest of a shorter kind; ties to even.

    Values are of float32 and finite. Where `products` is empty they are returned as they are.
    """
    if not products:
        return values
    dropped = PRECISION_BITS["float32"] - PRECISION_BITS[products]
    bits = np.ascontiguousarray(values).view(np.uint32)
    last = (bits >> dropped) & 1  # of what is kept: a tie goes up if it is odd
    half = np.uint32(2 ** (dropped - 1) - 1) + last
    kept = np.uint32(2**32 - 2**dropped)
    return ((bits + half) & kept).view(np.float32)

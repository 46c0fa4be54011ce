"""How the package's functions are compiled, where compiled code is kept, and how work is shared.

Division by zero gives inf instead of raising, and a product and a sum may be fused into one
instruction; nothing else may change. Of the compiled functions only the parallel ones, which hold
all others, are kept on disk.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit, types
from numba.core.caching import FunctionCache
from numba.extending import intrinsic


def _digest(folder: Path) -> str:
    """Return the hash of all sources in a folder."""
    sources = b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))
    return hashlib.sha256(sources).hexdigest()


SOURCES = _digest(Path(__file__).parent)
"""What tells versions of this package apart: kept code is used only by the version that made it."""


class _Cache(FunctionCache):  # type: ignore[misc]  # Numba is untyped
    """Numba's cache of a function, keyed by the sources of every function that it may hold.

    By itself Numba notices a change of the file that the function is in, and of no other.
    """

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return (*super()._index_key(sig, codegen), SOURCES)


compiled = njit(error_model="numpy", fastmath={"contract"})
"""Compile a function into those that call it."""

_parallel = njit(error_model="numpy", fastmath={"contract"}, parallel=True, nogil=True)


def compiled_parallel(function: Callable[..., Any]) -> Any:
    """Compile a function whose `prange` loops run on several threads, and keep it on disk."""
    dispatcher = _parallel(function)
    dispatcher._cache = _Cache(function)
    return dispatcher


@intrinsic
def outlined(typingctx: Any) -> Any:
    """Keep the calling function from being inlined, and so compiled anew, into its callers."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), codegen


@compiled
def part(count: int, parts: int, index: int, unit: int) -> tuple[int, int]:
    """Return [start, stop) of one of `parts` parts of `count`, in whole units except at the end."""
    units = -(-count // unit)
    return index * units // parts * unit, min((index + 1) * units // parts * unit, count)

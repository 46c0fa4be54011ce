"""Decorators that compile functions with Numba, and the cache of compiled kernels on disk.

A kernel is a function that Python calls. Numba compiles it together with every function that it
calls, from all modules of this package, and keeps the machine code on disk. By itself Numba takes
the kept code to be up to date as long as the kernel's own file is unchanged, and would so run old
code after a change to another module. The cache here depends on all sources of the package.

Where the cache lies is left to Numba: in `NUMBA_CACHE_DIR` if that is set, else in `__pycache__`
beside the package, else in a folder of the user.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache, IndexDataCacheFile

# With NumPy's error model a division by zero gives inf instead of raising an exception. "contract"
# lets LLVM fuse a product and a sum into one instruction, and change nothing else.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}}

# Compiles a function that is called by kernels alone. It is kept on disk as a part of them.
compiled = njit(**_OPTIONS)


def compiled_parallel(function: Callable[..., Any]) -> Any:
    """Return `function` as a kernel that may use `prange` and is kept on disk."""
    return kept_on_disk(njit(parallel=True, nogil=True, **_OPTIONS)(function))


def kept_on_disk(dispatcher: Any) -> Any:
    """Have a function that `njit` returned, not yet compiled, use the cache of this package."""
    dispatcher._cache = _PackageCache(dispatcher.py_func)
    return dispatcher


def source_digest() -> str:
    """Return a digest of the names and the contents of all Python files of this package."""
    result = hashlib.sha256()
    folder = Path(__file__).parent
    for path in sorted(folder.rglob("*.py")):
        content = path.read_bytes()
        result.update(f"{path.relative_to(folder)} {len(content)}\n".encode() + content)
    return result.hexdigest()


class _PackageCache(FunctionCache):  # type: ignore[misc]  # Numba is untyped
    """Numba's cache of one function, emptied whenever a source of this package has changed.

    Numba stores a stamp with the compiled code and discards the code if the stamp is not that of
    the function as it is now. This class adds the digest of the package to the stamp.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        stamp = self._impl.locator.get_source_stamp(), source_digest()
        self._cache_file = IndexDataCacheFile(self._cache_path, self._impl.filename_base, stamp)

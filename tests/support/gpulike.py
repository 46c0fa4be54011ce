"""A backend that believes to be on a GPU: NumPy's, with what only those on a GPU tell."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from lstmbench_numpy.backend import NumpyBackend


class GpuLike(NumpyBackend):
    def __init__(self, options: Any) -> None:
        super().__init__(options)
        assert options.device == "cuda", "the first of those that it sees"

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        return ("cuda",)

    def describe(self) -> dict[str, str]:
        return {"sees": os.environ["CUDA_VISIBLE_DEVICES"], "process": str(os.getpid())}

    def elementary(self, work: str, size: int) -> Callable[[], Any] | None:
        if work == "copy":
            source = np.zeros(size, np.uint8)
            return source.copy
        side = 64 if work == "product" else 1  # smaller than it says, not to take long
        matrix = np.ones((side, side), self.options.dtype)
        return lambda: matrix @ matrix

    def device_bytes(self) -> int | None:
        return 7 << 20


class TellsNothing(GpuLike):
    """A library that counts no bytes, and has no work to measure a device by."""

    def elementary(self, work: str, size: int) -> Callable[[], Any] | None:
        return None

    def device_bytes(self) -> int | None:
        return None

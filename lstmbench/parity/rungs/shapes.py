"""The rung that compares shapes and dtypes alone."""

from contextlib import suppress
from typing import Any

import numpy as np

from lstmbench.interface.errors import NotSupported
from lstmbench.parity.climb import Climb
from lstmbench.parity.comparing import INFINITE, Found, worst, wrong_shape
from lstmbench.parity.oracle_runs import OracleRuns
from lstmbench.parity.rungs.base import Rung
from lstmbench.parity.values import Arrays, Comparison, Expected


class Shapes(Rung):
    """One call of every claimed method; compared by shape and dtype alone.

    The first word of an array's name is the method that returned it.
    """

    name = "shapes"

    def observe(self, climb: Climb) -> Arrays:
        found = {f"parameters {n}": array for n, array in climb.backend.parameters().items()}
        for method in (self._forward, self._loss_and_gradients, self._train_step, self._generate):
            capability = method.__name__.removeprefix("_")
            if climb.claims(capability):
                with suppress(NotSupported):
                    arrays = climb.fetch(method(climb))
                    found |= {f"{capability} {n}": array for n, array in arrays.items()}
        return found

    @staticmethod
    def _forward(climb: Climb) -> dict[str, Any]:
        logits, (hidden, cell) = climb.backend.forward(climb.staged[0][0])
        return {"logits": logits, "hidden": hidden, "cell": cell}

    @staticmethod
    def _loss_and_gradients(climb: Climb) -> dict[str, Any]:
        loss, gradients = climb.backend.loss_and_gradients(*climb.staged[0])
        return {"loss": loss, **gradients}

    @staticmethod
    def _train_step(climb: Climb) -> dict[str, Any]:
        return {"loss": climb.backend.train_step(*climb.staged[0])}

    @staticmethod
    def _generate(climb: Climb) -> dict[str, Any]:
        inputs = climb.staged[0][0]
        several = climb.backend.generate(inputs, climb.case.digits)
        return {"digits": several, "digit": climb.backend.generate(inputs, 1)}

    def expect(self, runs: OracleRuns) -> Expected:
        arrays = {
            name: array.astype(runs.options.dtype) if array.dtype.kind == "f" else array
            for name, array in runs.observe(self.observe).items()
        }
        return Expected(name=self.name, arrays=arrays, tolerances={})

    def compare_arrays(self, expected: Expected, actual: Arrays) -> Comparison:
        methods = {name.split()[0] for name in actual}
        found = {n: Found(INFINITE, "unknown") for n in actual.keys() - expected.arrays.keys()}
        for name, wanted in expected.arrays.items():
            if name.split()[0] in methods:  # the others' methods are not claimed
                found[name] = self._compare(name, actual.get(name), wanted)
        return worst(found)

    @staticmethod
    def _compare(name: str, value: np.ndarray | None, wanted: np.ndarray) -> Found:
        """Compare shape and dtype: digits may be any kind of integer, a loss any kind of float."""
        if value is None:
            return Found(INFINITE, "missing")
        if other_shape := wrong_shape(value, wanted):
            return other_shape
        returned = name.split()[-1]
        if returned in ("digits", "digit"):
            good = value.dtype.kind in "iu"
        elif returned == "loss":
            good = value.dtype.kind == "f"
        else:
            good = value.dtype == wanted.dtype
        if good:
            return Found(0.0)
        return Found(INFINITE, f"dtype {value.dtype}, expected {wanted.dtype}")

"""Tasks that do one thing wrong, for workers: put this folder on their PYTHONPATH."""

from typing import Any

from lstmbench_digits.task import Digits


class RaisesInSequences(Digits):
    def sequences(self, *args: Any, **named: Any) -> Any:
        raise RuntimeError("no data today")


class RaisesOnConstruction(Digits):
    def __init__(self, length: int) -> None:
        raise RuntimeError("no such file")

"""The class that tasks derive from: sources of digit sequences.

Shapes are written with T = time steps and V = vocabulary (digits: 10).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np

Split: TypeAlias = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class TaskInfo:
    """What a plugin says about a task; `factory` is "package.module:Class"."""

    name: str
    factory: str
    summary: str = ""


class Task(ABC):
    """A source of digit sequences whose process, and so whose ceiling, is known exactly.

    `length` is T, the number of targets in a sequence.
    """

    def __init__(self, length: int) -> None:
        self.length = length

    @property
    @abstractmethod
    def bayes_accuracy(self) -> float:
        """Expected accuracy of the best possible guess, over the scored positions."""

    @property
    @abstractmethod
    def entropy_floor(self) -> float:
        """Expected cross-entropy of the process itself in nats, over the scored positions."""

    @abstractmethod
    def sequences(self, seed: int, split: Split, count: int, epoch: int = 0) -> np.ndarray:
        """Return digits (count, T + 1), uint8: x[:, :-1] is the input and x[:, 1:] the target."""

    @abstractmethod
    def probabilities(self, sequences: np.ndarray) -> np.ndarray:
        """Return the exact P(x[t+1] | x[0..t]), (n, T, V) float64, for sequences (n, T + 1)."""

    def scored(self) -> np.ndarray:
        """Return which of the T targets are scored, (T,) bool: those that could be known at all."""
        import numpy as np

        return np.ones(self.length, dtype=bool)

"""The nonlinear functions of the model, exact ones and ones that err to one side.

The activations of a fast library are good to some units in the last place, and may err to the same
side always. What that does to a result is found by displacing every activation of the oracle.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lstmbench.interface.model import Products
from lstmbench.parity.rounding import rounded

Level = Literal["accurate", "approximate"]
"""How good activations are: to one unit in the last place, eps times their value; or to that and
APPROXIMATE_UNITS eps besides, whatever their value, as fast approximations on GPUs are."""

APPROXIMATE_UNITS = 2
"""The kernels that cuDNN 9.19 has for small sizes use up to 0.8 of what this allows, as seen on an
H100: their h is off by 3.7e-6, 31 eps. What half an eps would allow they exceed up to 1.8 times."""


class Activations:
    """The sigmoid and tanh of the gates, and the exp and log of the loss."""

    def sigmoid(self, z: np.ndarray) -> np.ndarray:
        """Return 1 / (1 + exp(-z)); exp(-z) may be infinite, and the result 0."""
        return np.asarray(1 / (1 + np.exp(-z)))

    def tanh(self, z: np.ndarray) -> np.ndarray:
        """Return the hyperbolic tangent."""
        return np.asarray(np.tanh(z))

    def kept(self, values: np.ndarray) -> np.ndarray:
        """Return what is kept of a state's values until the next step."""
        return values

    def exp(self, z: np.ndarray) -> np.ndarray:
        """Return the exponential."""
        return np.asarray(np.exp(z))

    def log(self, z: np.ndarray) -> np.ndarray:
        """Return the natural logarithm."""
        return np.asarray(np.log(z))


@dataclass(frozen=True)
class Displaced(Activations):
    """Activations that all err to one side.

    `sigmoid_sign` and `tanh_sign` say to which side, or 0 for not at all; exp goes with the
    sigmoid and log with the tanh. A value a becomes a (1 + sign `relative`) + sign `absolute`.
    """

    sigmoid_sign: int
    tanh_sign: int
    relative: float
    absolute: float = 0.0

    def sigmoid(self, z: np.ndarray) -> np.ndarray:
        return self._displace(super().sigmoid(z), self.sigmoid_sign)

    def tanh(self, z: np.ndarray) -> np.ndarray:
        return self._displace(super().tanh(z), self.tanh_sign)

    def exp(self, z: np.ndarray) -> np.ndarray:
        return self._displace(super().exp(z), self.sigmoid_sign)

    def log(self, z: np.ndarray) -> np.ndarray:
        return self._displace(super().log(z), self.tanh_sign)

    def _displace(self, values: np.ndarray, sign: int) -> np.ndarray:
        kind = values.dtype.type
        return np.asarray(values * kind(1 + sign * self.relative) + kind(sign * self.absolute))


@dataclass(frozen=True)
class Short(Activations):
    """Exact activations of which only a shorter kind of number is kept, as of states."""

    products: Products

    def kept(self, values: np.ndarray) -> np.ndarray:
        return rounded(values, self.products)

    def sigmoid(self, z: np.ndarray) -> np.ndarray:
        return self.kept(super().sigmoid(z))

    def tanh(self, z: np.ndarray) -> np.ndarray:
        return self.kept(super().tanh(z))


SIGNS = ((1, 1), (1, 0), (0, 1), (1, -1))
"""The sides to which sigmoid and tanh err. The other four are these with all signs turned, which
turns the sign of the change in the result and, in first order, nothing else."""


def displacements(level: Level, eps: float) -> list[Displaced]:
    """Return the activations that are still good at a level, and err the most."""
    absolute = APPROXIMATE_UNITS * eps if level == "approximate" else 0.0
    return [Displaced(sigmoid, tanh, eps, absolute) for sigmoid, tanh in SIGNS]

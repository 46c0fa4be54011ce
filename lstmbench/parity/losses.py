"""Comparing the losses of a whole training with the oracle's.

Honest trainings part: rounding changes a gradient a little, and what follows a little more. How
fast they do is seen from two runs of the oracle in the contenders' dtype, of which one sums in
another order and has its activations displaced. A contender's loss of each step may be off by a
multiple of how far these two have been apart so far. Once that is more than PARTED, steps tell
nothing any more; from there on the means of epochs are compared, by an equivalence test.

How far means of honest trainings are apart varies itself. In 14 trainings of each of five settings
at which they part, the interval of one was less than 4 times as far from the first as the furthest
of three others in 99 % of all choices (from 2.3 to 4.1 times, by setting).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lstmbench import statistics
from lstmbench.interface import Precision
from lstmbench.parity.activations import Level
from lstmbench.parity.comparing import TOO_SENSITIVE, WIDEST, Found, worst
from lstmbench.parity.tolerances import honest_factor, loss_of_step
from lstmbench.parity.values import Comparison
from lstmbench.statistics import Estimate

PARTED = 1e-2
"""Up to this tolerance, in nats, losses are compared step by step."""
POINT = 0.01
"""One percentage point of accuracy."""
EPOCHS_FACTOR = 4
"""How many times further the means of an honest training may be than those of three others."""
FEWEST_EPOCHS = 5
"""The means of fewer epochs say too little of how far they vary."""


@dataclass(frozen=True)
class OracleLosses:
    """The oracle's losses of each step, in nats, one array for each way to compute.

    `plain` and `accurate` are in the contenders' dtype; the second sums in another order, with
    activations displaced as far as accurate ones may err. `approximate`, if it is there, has them
    displaced as far as approximate ones may, and `exact`, of fewer steps, is in float64. `moved`
    are further ones, from parameters that are moved by one unit in the last place.
    """

    plain: np.ndarray
    accurate: np.ndarray
    approximate: np.ndarray | None
    exact: np.ndarray
    precision: Precision
    moved: tuple[np.ndarray, ...] = ()

    def expected(self) -> np.ndarray:
        """Return the losses that are expected: those in float64 as far as they go."""
        result = self._shared(self.plain).copy()
        result[: len(self.exact)] = self.exact[: len(result)]
        return result

    def tolerance(self, level: Level) -> np.ndarray:
        """Return how far off the loss of each step may be, in nats.

        Of a loss of more than one nat, as a share of it.
        """
        expected = self.expected()
        found = [self.plain, self.accurate]
        if level == "approximate" and self.approximate is not None:
            found.append(self.approximate)
        apart = np.max([abs(self._shared(one) - expected) for one in found], axis=0)
        furthest = np.maximum.accumulate(apart / np.maximum(1, abs(expected)))
        steps = np.arange(1, len(expected) + 1)
        factor = honest_factor(self.precision)
        least = self.precision.stored_eps * np.sqrt(steps)
        if self.precision.products:  # the oracle's runs round alike, and may both be right by luck
            least = np.maximum(least, self.precision.eps / factor)
        return np.asarray(factor * np.maximum(furthest, least))

    def comparable_steps(self, level: Level) -> int:
        """Return how many steps can be compared one by one."""
        parted = self.tolerance(level) > PARTED
        return int(np.argmax(parted)) if parted.any() else len(parted)

    def _shared(self, losses: np.ndarray) -> np.ndarray:
        """Return the losses of the steps that all of the oracle's runs have made."""
        others = [self.plain, self.accurate]
        if self.approximate is not None:
            others.append(self.approximate)
        return losses[: min(map(len, others))]


def compare_steps(losses: np.ndarray, oracle: OracleLosses, level: Level) -> Comparison:
    """Compare the loss of each step, as far as honest runs have not parted."""
    steps = min(len(losses), oracle.comparable_steps(level))
    expected, tolerance = oracle.expected()[:steps], oracle.tolerance(level)[:steps]
    difference = abs(losses[:steps] - expected) / np.maximum(1, abs(expected))
    note = f"of {steps} of {len(losses)} steps"
    if not steps:
        return Comparison(outcome="not seen", array="loss", note=TOO_SENSITIVE)
    errors = difference / tolerance
    step = int(np.argmax(errors))
    found = Found(float(errors[step]), note, float(tolerance[step]))
    return worst({loss_of_step(step + 1): found})


def compare_epochs(
    losses: np.ndarray, oracle: OracleLosses, level: Level, per_epoch: int
) -> Comparison | None:
    """Compare the mean losses of the epochs in which honest runs have parted; None without any.

    Equivalent if the 95 % interval of the mean difference lies within PARTED, or within
    EPOCHS_FACTOR times that of the oracle's own; Schuirmann, https://doi.org/10.1007/BF01068419.
    """
    others = [oracle.accurate, *oracle.moved]
    if level == "approximate" and oracle.approximate is not None:
        others.append(oracle.approximate)
    whole = min(map(len, (losses, oracle.plain, *others))) // per_epoch
    first = -(-oracle.comparable_steps(level) // per_epoch)
    if first >= whole:
        return None
    if whole - first < FEWEST_EPOCHS:
        note = f"honest trainings part, and {whole - first} epochs are too few to compare"
        return Comparison(outcome="not seen", array="epoch means", note=note)

    def means(values: np.ndarray) -> np.ndarray:
        return np.asarray(values[: whole * per_epoch].reshape(whole, per_epoch).mean(1)[first:])

    plain = means(oracle.plain)
    honest = max(_furthest(means(other) - plain) for other in others)
    found = _furthest(means(losses) - plain)
    margin = max(PARTED, EPOCHS_FACTOR * honest)
    note = f"mean of {whole - first} epochs differs by up to {found:.2g} nats"
    one = Found(found / margin, note, margin)
    if honest >= WIDEST:
        one = one._replace(seen=False, note=TOO_SENSITIVE)
    return worst({"epoch means": one})


def _furthest(differences: np.ndarray) -> float:
    """Return the end of the mean's 95 % interval that is further from 0."""
    mean = statistics.mean(differences.tolist())
    return max(abs(mean.low), abs(mean.high))


def compare_accuracy(accuracy: Estimate, plain: float, others: Sequence[float]) -> Comparison:
    """Compare a test accuracy, with its 95 % interval, with those of the oracle's trainings.

    Equivalent if the whole interval is within one point of the first, `plain`, or within twice its
    own half-width, or within EPOCHS_FACTOR times what the `others` differ by.
    """
    half_width = (accuracy.high - accuracy.low) / 2
    apart = max(abs(other - plain) for other in others)
    margin = max(POINT, 2 * half_width, EPOCHS_FACTOR * apart)
    off = max(abs(accuracy.low - plain), abs(accuracy.high - plain))
    note = f"{100 * (accuracy.value - plain):+.2f} points from the oracle's"
    one = Found(off / margin, note, margin)
    if margin >= WIDEST:
        one = one._replace(seen=False, note=TOO_SENSITIVE)
    return worst({"test accuracy": one})

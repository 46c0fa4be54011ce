"""What an A/A run showed: the numbers, and the words for them."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lstmbench import statistics
from lstmbench.protocol.settings import Settings
from lstmbench.report.document import DISTURBED_SHARE, interval
from lstmbench.statistics import Estimate

NOMINAL = 1 - statistics.CONFIDENCE


@dataclass
class Comparisons:
    """Ratios between equal things, each with its interval."""

    ratios: list[Estimate] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def excluding_one(self) -> int:
        """How many intervals said that equal things differ."""
        return sum(not r.low <= 1 <= r.high for r in self.ratios)

    @property
    def half_width(self) -> float:
        """The median half-width, as a share of the ratio."""
        return float(np.median([r.half_width for r in self.ratios]))

    @property
    def largest(self) -> float:
        """The largest difference from 1 that a ratio showed."""
        return max(abs(math.expm1(abs(math.log(r.value)))) for r in self.ratios)


@dataclass
class Result:
    """What an A/A run showed.

    `launches` is how many each experiment took. `slowed` are the ratios of the row that was slowed
    on purpose, one an experiment; `planted` is the ratio that it truly has.
    """

    backend: str
    settings: Settings
    planted: float
    launches: list[int] = field(default_factory=list)
    paired: Comparisons = field(default_factory=Comparisons)
    sequential: Comparisons = field(default_factory=Comparisons)
    slowed: list[Estimate] = field(default_factory=list)
    other_share: float = 0.0

    @property
    def found(self) -> int:
        """In how many experiments the slowdown was seen as one."""
        return sum(ratio.high < 1 for ratio in self.slowed)

    @property
    def sound(self) -> bool:
        """Whether intervals hold what they promise, and what was planted was found.

        The share that exclude 1 may be NOMINAL by its own 95 % interval, and the slowdown was
        seen in most experiments.
        """
        excluded = _excluded(self.paired)
        return excluded.low <= NOMINAL and 2 * self.found > len(self.slowed)


def _excluded(comparisons: Comparisons) -> Estimate:
    return statistics.share_of(comparisons.excluding_one, len(comparisons.ratios))


def plain(result: Result) -> dict[str, Any]:
    """The result for programs; ratios and widths are shares, times in seconds."""

    def part(comparisons: Comparisons) -> dict[str, Any]:
        return {
            "ratios": [r._asdict() for r in comparisons.ratios],
            "excluding_one": comparisons.excluding_one,
            "comparisons": len(comparisons.ratios),
            "median_half_width": comparisons.half_width,
            "largest_difference": comparisons.largest,
            "seconds": comparisons.seconds,
        }

    return {
        "backend": result.backend,
        "launches": result.launches,
        "sound": result.sound,
        "paired": part(result.paired),
        "sequential": part(result.sequential),
        "planted_ratio": result.planted,
        "slowed_ratios": [r._asdict() for r in result.slowed],
        "slowdown_found_in": result.found,
        "highest_share_of_other_processes": result.other_share,
    }


def show(result: Result, out: Console) -> None:
    """Print an A/A run's answer."""
    s = result.settings
    out.print(Text(f"lstmbench selftest: {result.backend} against itself", style="bold"))
    table = Table()
    for column in ("", "turn by turn, fresh processes", "one process after the other"):
        table.add_column(column, overflow="fold")
    both = (result.paired, result.sequential)
    rows = {
        "comparisons of equal things": [str(len(c.ratios)) for c in both],
        "95 % intervals that exclude 1, % (5 is right)": [
            interval(_excluded(c), 100) for c in both
        ],
        "median half-width of an interval, %": [f"{100 * c.half_width:.2f}" for c in both],
        "largest difference seen between equals, %": [f"{100 * c.largest:.2f}" for c in both],
        "time taken, s": [f"{c.seconds:.0f}" for c in both],
    }
    for name, cells in rows.items():
        table.add_row(name, *cells)
    out.print(table)
    ratios = ", ".join(interval(r) for r in result.slowed)
    for line in (
        f"Noise floor here, at {_span(result.launches)} launches of {s.rounds} rounds, "
        f"threads: {s.threads}: a difference below about "
        f"{result.paired.half_width:.1%} cannot be seen. Each experiment went on until every "
        f"interval was within ± {s.precision:.1%}, or for about {s.time_budget:g} s.",
        f"Planted slowdown, true ratio {result.planted:.4f}: seen in {result.found} of "
        f"{len(result.slowed)} experiments; ratios {ratios}.",
        f"Other processes used up to {result.other_share:.0%} of the cores' time during a launch"
        + ("; this machine was disturbed." if result.other_share > DISTURBED_SHARE else "."),
        "[low, high] is a 95 % confidence interval.",
    ):
        out.print(Text(line))


def _span(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"

"""The noise floor of an A/A run in the terminal."""

from rich.console import Console
from rich.table import Table

from lstmbench.analysis.noise import SelfTestResult
from lstmbench.report.columns import interval
from lstmbench.report.terminal import shown
from lstmbench.report.warnings import DISTURBED_SHARE


def show(result: SelfTestResult, out: Console) -> None:
    """Print the answer of an A/A run."""
    s = result.settings
    out.print(shown(f"lstmbench selftest: {result.backend} against itself", "bold"))
    table = Table()
    for column in ("", "interleaved, fresh processes", "one process after the other"):
        table.add_column(column, overflow="fold")
    both = (result.paired, result.sequential)
    rows = {
        "comparisons of equal things": [str(len(c.ratios)) for c in both],
        "95 % intervals that exclude 1, % (5 is right)": [
            interval(c.share_excluding_one, 100) for c in both
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
        f"Injected slowdown, true ratio {result.injected:.4f}: seen in {result.found} of "
        f"{len(result.slowed)} experiments; ratios {ratios}.",
        f"Other processes used up to {result.other_share:.0%} of the cores' time during a launch"
        + ("; this machine was disturbed." if result.other_share > DISTURBED_SHARE else "."),
        "[low, high] is a 95 % confidence interval.",
    ):
        out.print(shown(line))


def _span(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"

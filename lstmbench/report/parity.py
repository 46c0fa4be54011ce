"""The parity ladder of one contender in the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from lstmbench.analysis.verdict import (
    Verdict,
    failure_in_words,
    first_difference,
    rung_in_words,
    what_differs,
)
from lstmbench.parity.rungs import ORDER
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import Failure, RungResult
from lstmbench.protocol.settings import Settings
from lstmbench.report.signs import SIGNS
from lstmbench.report.terminal import show_grid, shown, shown_lines

STYLES = {
    "passed": "green",
    "passed as approximate": "yellow",
    "failed": "bold red",
    "not seen": "yellow",
    "not claimed": "dim",
}
SHOWN = 8


def show(
    contender: Contender,
    settings: Settings,
    verdict: Verdict,
    rungs: Sequence[RungResult],
    failure: Failure | None,
    out: Console,
) -> None:
    """Print a line for each rung with its result at every case, and what they come to."""
    by_place = {(one.rung, one.case): one for one in rungs}
    cases = list(dict.fromkeys(one.case for one in rungs))
    rows = []
    for name in ORDER:
        cells = [_cell(by_place.get((name, case))) for case in cases]
        if any(cells):
            rows.append([shown(name), *cells])
    if rungs:
        show_grid(contender.label, ["rung", *cases], rows, out)
    held = f"{settings.dtype}, {contender.device}, {settings.threads} threads"
    lines = [*_differences(contender, rungs), *_conclusion(contender, verdict, rungs, failure)]
    out.print(*lines, shown(f"  held for: {held}"), sep="\n")


def _cell(one: RungResult | None) -> Text:
    if one is None:
        return Text()
    result = one.result
    size = "" if result.error is None or result.tolerance is None else f" {result.error:.2g}"
    return shown(SIGNS[result.outcome] + size, style=STYLES[result.outcome])


def _differences(contender: Contender, rungs: Sequence[RungResult]) -> list[Text]:
    """Return what to know of the table, and the first thing to mend."""
    wrong = [one for one in rungs if not one.result.passed]
    unclaimed = sorted({one.rung for one in rungs if one.result.outcome == "not claimed"})
    lines = [shown("Numbers: error as a multiple of its tolerance; at most 1 passes.")]
    if unclaimed:
        lines.append(shown(f"– not claimed: {', '.join(unclaimed)}"))
    if approximate := [one for one in rungs if one.result.outcome == "passed as approximate"]:
        text = (
            f"≈ within the wider tolerance of approximate activations on {len(approximate)} rungs, "
            f"the first {approximate[0].place}"
        )
        lines.append(shown(text, STYLES["passed as approximate"]))
    if first := first_difference(rungs):
        lines.append(shown(f"✗ {contender.label} {rung_in_words(first)}", STYLES["failed"]))
        if first.traceback:
            lines.append(shown_lines(first.traceback.rstrip()))
        for one in [one for one in wrong if one is not first][:SHOWN]:
            lines.append(shown(f"  also {one.place}: {what_differs(one.result)}"))
        if len(wrong) > SHOWN + 1:
            lines.append(shown(f"  and {len(wrong) - SHOWN - 1} rungs more"))
    return lines


def _conclusion(
    contender: Contender,
    verdict: Verdict,
    rungs: Sequence[RungResult],
    failure: Failure | None,
) -> list[Text]:
    lines = [shown(f"expected to differ at {excused}") for excused in verdict.excused]
    lines += [shown(f"? not seen: {unseen}", STYLES["not seen"]) for unseen in verdict.unseen]
    if failure:
        text = f"✗ {contender.label}: {failure_in_words(failure)}"
        lines.append(shown(text, STYLES["failed"]))
        if failure.traceback:
            lines.append(shown_lines(failure.traceback.rstrip()))
    elif verdict.passed:
        agreed = sum(one.result.outcome.startswith("passed") for one in rungs)
        how = ", as approximate" if verdict.status == "passed as approximate" else ""
        text = (
            f"{SIGNS[verdict.status]} {contender.label} agrees with the float64 oracle on all "
            f"{agreed} rungs claimed{how}"
        )
        lines.append(shown(text, STYLES[verdict.status]))
    elif verdict.status != "failed":
        lines.append(shown(f"– {contender.label}: {verdict.status}", STYLES["not claimed"]))
    return lines

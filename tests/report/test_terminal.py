"""The answer in terminals of any width: numbers stay whole, and lines within it."""

import io
import re
from itertools import pairwise

import pytest
from made_up_answer import answer, with_a_failure
from rich.cells import cell_len
from rich.console import Console

from lstmbench.analysis.results import RunResult
from lstmbench.parity.rungs import ORDER
from lstmbench.report import document, parity, summary, terminal
from lstmbench.report.columns import interval

WIDTHS = (30, 40, 60, 80, 100, 120, 200)
NUMBER = re.compile(r"[\d.,]+ \[[\d.e+-]+, [\d.e+-]+\]")
RULE = "─"


def short(run: RunResult, width: int) -> list[str]:
    out = Console(width=width, file=io.StringIO(), record=True, color_system=None)
    terminal.show_summary(summary.summary(run), out)
    return out.export_text().splitlines()


def detailed(run: RunResult, width: int) -> list[str]:
    out = Console(width=width, file=io.StringIO(), record=True, color_system=None)
    terminal.show(document.document(run), out)
    return out.export_text().splitlines()


def rows(lines: list[str], run: RunResult) -> list[str]:
    """The lines of the short table's body."""
    rule = next(n for n, line in enumerate(lines) if line.strip().startswith(RULE))
    return lines[rule + 1 : rule + 1 + len(run.contenders)]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("run", [answer(1), answer(4), with_a_failure()], ids=["1", "4", "failed"])
def test_no_line_is_longer_than_the_terminal(run: RunResult, width: int) -> None:
    for lines in (short(run, width), detailed(run, width)):
        assert max(cell_len(line) for line in lines) <= width


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_every_row_of_the_short_table_is_one_line_with_whole_numbers(width: int) -> None:
    run = answer(4)
    for line, one in zip(rows(short(run, width), run), run.contenders, strict=True):
        assert line.startswith(one.contender.label)
        if "[" in line:
            assert NUMBER.search(line) and line.count("[") == line.count("]")


def test_at_80_columns_there_are_seven_columns_at_most_and_the_finding_comes_first() -> None:
    run = answer(4)
    lines = short(run, 80)
    assert lines[1].startswith("All 4 contenders agree")
    body = rows(lines, run)[0]
    assert 5 <= len(re.split(r"\s{2,}", body.strip())) <= 7
    assert "--details" in " ".join(lines)


def columns(run: RunResult, width: int) -> set[str]:
    """Words of the headings that are shown."""
    lines = short(run, width)
    rule = next(n for n, line in enumerate(lines) if line.strip().startswith(RULE))
    blank = max(n for n, line in enumerate(lines[:rule]) if not line.strip())
    return set(" ".join(lines[blank:rule]).split())


def test_narrower_terminals_drop_columns_in_the_order_of_rank() -> None:
    run = answer(4)
    shown = [columns(run, width) for width in range(30, 140, 3)]
    for narrow, wide in pairwise(shown):
        assert narrow <= wide
    assert {"contender", "agrees", "speed"} <= columns(run, 45)
    assert "tokens/s" not in columns(run, 80) and "tokens/s" in columns(run, 125)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_name_is_repeated_where_a_table_goes_on_below_and_nothing_is_left_out(
    width: int,
) -> None:
    widths = [12, 5, 30, 8, 17, 17, 60, 3]
    parts = terminal.split(widths, width)
    assert all(part[0] == 0 for part in parts)
    assert [place for part in parts for place in part[1:]] == list(range(1, len(widths)))
    for part in parts:
        taken = 1 + sum(terminal.FRAME + widths[place] for place in part)
        assert taken <= width or len(part) == 2, "what is too wide stands alone"


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_ladder_in_a_terminal_breaks_no_number(width: int) -> None:
    run = answer(1)
    one = run["backend00"]
    out = Console(width=width, file=io.StringIO(), record=True, color_system=None)
    parity.show(one.contender, run.settings, one.verdict, one.rungs, None, out)
    text = out.export_text()
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "free-running-after-training" in text and "…" not in text
    assert text.count("✓ 0.001") == 2 * (len(ORDER) - 1)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_details_break_no_number(width: int) -> None:
    text = "\n".join(detailed(answer(4), width))
    ratio = answer(4)["backend00"].speed_ratio["train"]
    assert interval(ratio) in text


def test_a_long_name_is_folded_and_costs_no_number() -> None:
    run = answer(3)
    told = summary.summary(run)
    told.rows[0][0] = "a" * 70
    out = Console(width=60, file=io.StringIO(), record=True, color_system=None)
    terminal.show_summary(told, out)
    text = out.export_text()
    assert text.count("a" * 20) >= 3 and NUMBER.search(text)


def test_many_warnings_are_counted_and_not_all_shown() -> None:
    run = with_a_failure()
    run.header.skipped.update({f"plugin{n}": "broken" for n in range(30)})
    told = summary.summary(run).warnings
    assert len(told) == summary.MOST_WARNINGS + 1 and told[-1].endswith("more: see --details")


def test_without_a_terminal_columns_says_how_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert terminal.console(width=80).width == 80
    monkeypatch.setenv("COLUMNS", "61")
    assert terminal.console(width=80).width == 61

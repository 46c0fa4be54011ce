"""What plugins, exceptions and files hold is shown, and does nothing."""

import csv
import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_run import CONTENDERS, FAST, result_of
from rich.console import Console

from lstmbench import api
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import Failure
from lstmbench.report import document, terminal
from lstmbench.report.text import UNSEEN, clean

HOSTILE = [
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\r\nnew line",
    "\u202etxt.exe",
    "\u2028",
    "\x00",
    "\ud800",
    "<script>alert(1)</script>",
    "<!-- hidden",
    "&lt;",
    "[a link](https://example.org)",
    "![image](x)",
    "https://example.org www.example.org",
    "a | b",
    "=1+1",
    "@SUM(A1)",
    "+1",
    "-1",
    "[bold]markup[/bold]",
]


@given(st.text(st.characters(exclude_categories=())))
def test_clean_text_steers_nothing_and_loses_nothing_that_can_be_seen(text: str) -> None:
    found = clean(text)
    assert not any(unicodedata.category(c) in UNSEEN for c in found)
    assert "\n" not in found and clean(text, lines=True).count("\n") == text.count("\n")
    seen = [c for c in text if unicodedata.category(c) not in UNSEEN]
    rest = iter(found)
    assert all(c in rest for c in seen), "in the same order"
    assert clean(found) == found


@pytest.mark.parametrize("text", HOSTILE, ids=repr)
def test_hostile_messages_are_shown_and_do_nothing(text: str) -> None:
    failure = Failure(contender=FAST, phase="timing", kind="raised", message=text)
    result = result_of(CONTENDERS, failure)
    out = io.StringIO()
    terminal.show(document.document(result), Console(file=out, width=500, force_terminal=False))
    markdown, table = api.render(result, "markdown"), api.render(result, "csv")
    for shown in (out.getvalue(), markdown, table):
        assert not any(unicodedata.category(c) in UNSEEN for c in shown.replace("\n", ""))
    assert "<" not in markdown.replace("<=", "") and "](" not in markdown
    assert "https://example" not in markdown and "www.example" not in markdown
    lines = out.getvalue().splitlines()
    assert any(clean(text).strip() in line for line in lines), "it can be seen"
    assert len([line for line in markdown.splitlines() if "fast: raised in timing" in line]) == 1


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_a_name_is_no_formula(text: str) -> None:
    odd = Contender(backend=text)
    rows = list(csv.DictReader(io.StringIO(api.render(result_of({odd: 0.01}), "csv"))))
    assert rows[0]["backend"] == f"'{text}"
    assert float(rows[0]["seconds_per_step"]) > 0, "numbers stay as they are"

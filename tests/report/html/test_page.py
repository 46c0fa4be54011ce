"""Pages are one file that asks for nothing, escapes everything, and shows every contender."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import altair
import pytest
from made_up_answer import HOSTILE, answer, with_a_failure

from lstmbench.analysis.comparison import compare
from lstmbench.analysis.results import RunResult
from lstmbench.api import open_run
from lstmbench.report import formats
from lstmbench.report.charts import drawing, of_run
from lstmbench.report.charts.chart import Cast
from lstmbench.report.html import of_comparison
from lstmbench.report.html.page import breakable

SCHEMA_1 = Path(__file__).parents[2] / "records" / "schema-1"


class Elements(HTMLParser):
    """The elements of a page, with their attributes, and its text."""

    VOID = ("meta", "input", "br", "wbr")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def page(run: RunResult) -> str:
    return formats.render(run, "html")


def comparison(before: RunResult, after: RunResult) -> str:
    return of_comparison.page(compare(before, after), before, after, 0.05)


PAGES = {
    "one": page(answer(1)),
    "four": page(answer(4)),
    "failed": page(with_a_failure()),
    "comparison": comparison(answer(4), with_a_failure()),
}


@pytest.mark.parametrize("name", list(PAGES))
def test_a_page_is_whole_and_asks_for_nothing(name: str) -> None:
    elements = Elements(PAGES[name])
    assert not elements.open, "every element is closed"
    for tag, attributes in elements.found:
        assert tag not in ("script", "link", "iframe", "object", "embed", "img")
        assert not any(key.startswith("on") for key in attributes)
        assert not {"src", "srcset", "action"} & attributes.keys()
        assert (attributes.get("href") or "#").startswith("#")
        assert "style" not in attributes or tag in ("path", "g", "svg", "text")
    style = PAGES[name].split("<style>")[1].split("</style>")[0]
    assert "url(" not in style and "@import" not in style and "http" not in style


@pytest.mark.parametrize("name", list(PAGES))
def test_names_of_elements_are_unique_and_references_have_their_element(name: str) -> None:
    elements = Elements(PAGES[name])
    names = [a["id"] for _, a in elements.found if "id" in a]
    assert len(names) == len(set(names))
    references = re.findall(r"url\(#([^)]*)\)", PAGES[name])
    references += [
        a["href"][1:] for _, a in elements.found if (a.get("href") or "").startswith("#")
    ]
    assert set(references) <= set(names)


def test_every_chart_has_a_text_and_its_numbers() -> None:
    elements = Elements(PAGES["four"])
    pictures = [a for tag, a in elements.found if tag == "svg" and a.get("class") == "chart"]
    assert len(pictures) >= 18
    assert all(a["role"] == "img" and len(a["aria-label"] or "") > 40 for a in pictures)
    sections = of_run.sections(answer(4), Cast.of(answer(4)))
    assert all(chart.numbers.rows for section in sections for chart in section.charts)
    for section in sections:
        for chart in section.charts:
            if ", log" in json.dumps(chart.picture):
                assert "log ax" in chart.title, chart.name


def test_marks_of_every_contender_can_be_hidden_in_every_chart() -> None:
    run = answer(4)
    cast = Cast.of(run)
    for section in of_run.sections(run, cast):
        for chart in section.charts:
            picture = drawing.inline(chart)
            for tag in cast.tags.values():
                assert f'class="{tag}"' in picture, (chart.name, tag)
    for tag in cast.tags.values():
        assert f'id="show-{tag}"' in PAGES["four"]
        assert f"#show-{tag}:not(:checked)" in PAGES["four"]


def test_what_plugins_write_is_text() -> None:
    told = PAGES["failed"]
    assert "<b onload" not in told and "\x1b" not in told and "\u202e" not in told
    shown = Elements(told).text
    for part in ("</script><b onload=alert(1)>", "\\x1b[31m", "\\u202e"):
        assert part in shown
    assert HOSTILE not in told


def test_one_that_failed_has_its_place_and_reason() -> None:
    shown = Elements(PAGES["failed"]).text
    assert "not ranked: failed" in PAGES["failed"]
    assert "raised in timing" in shown and "odd/gradients" in shown


def test_a_chart_is_right_by_vega_lites_own_schema() -> None:
    for run in (answer(2, 2, 2, 2), with_a_failure()):
        for section in of_run.sections(run, Cast.of(run)):
            for chart in section.charts:
                altair.Chart.from_dict(chart.picture)


def test_a_page_of_twenty_contenders_is_small() -> None:
    told = page(answer(20, launches=20, rounds=20, epochs=50))
    assert len(told.encode()) < 3e6


def test_a_run_of_schema_1_has_a_page_that_says_what_it_lacks() -> None:
    shown = Elements(page(open_run(SCHEMA_1))).text
    assert "written in schema 1" in shown and "it lacks" in shown
    assert "times of staging" in shown


def test_a_run_with_nothing_in_it_has_a_page() -> None:
    run = answer(2)
    run.run.records.clear()
    from lstmbench.analysis.analyse import analyse

    shown = Elements(page(analyse(run.run))).text
    assert "not run" in shown and "not finished" in shown


def test_long_words_may_be_broken_and_are_escaped() -> None:
    told = str(breakable("<" + "a" * 40 + " b"))
    assert told.startswith("&lt;a") and told.count("<wbr>") == 3 and told.endswith(" b")


@pytest.mark.parametrize("form", ["svg", "png", "pdf"])
def test_figures_are_of_their_kind_and_have_a_legend(form: str, tmp_path: Path) -> None:
    run = answer(3)
    sections = of_run.sections(run, Cast.of(run, legend=True))
    (chart,) = (c for s in sections for c in s.charts if c.name == "accuracy-by-epoch")
    drawing.write(chart, tmp_path)
    content = (tmp_path / f"accuracy-by-epoch.{form}").read_bytes()
    assert content.startswith({"svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF"}[form])
    if form == "svg":
        assert content.count(b">backend02<") == 1, "the name stands in the legend"

"""Pages in a real browser: Chromium, without a window, in light, dark, print and without scripts.

LSTMBENCH_REQUIRES_BROWSER=1 makes a missing browser a failure.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from made_up_answer import answer, with_a_failure
from playwright.sync_api import Browser, Page, Route, sync_playwright

from lstmbench.analysis.comparison import compare
from lstmbench.report import formats, site
from lstmbench.report.html import of_comparison

pytestmark = pytest.mark.slow

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PAGES = ("one", "four", "failed", "twenty", "comparison", "site")
JENKINS = "sandbox; default-src 'none'; img-src 'self'; style-src 'self';"
"""What Jenkins sends with the files that it shows."""

Scheme = Literal["light", "dark"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        message = f"no browser ({', '.join(NAMES)})"
        if os.environ.get("LSTMBENCH_REQUIRES_BROWSER"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All kinds of pages, by name."""
    result = tmp_path_factory.mktemp("pages")
    failed, four = with_a_failure(), answer(4)
    pages = {
        "one": formats.render(answer(1), "html"),
        "four": formats.render(four, "html"),
        "failed": formats.render(failed, "html"),
        "twenty": formats.render(answer(20, launches=20, rounds=20, epochs=50), "html"),
        "comparison": of_comparison.page(compare(four, failed), four, failed, 0.05),
    }
    site.write([four, failed], result / "site")
    pages["site"] = (result / "site" / "index.html").read_text()
    for name, content in pages.items():
        (result / f"{name}.html").write_text(content)
    return result


class Visit:
    """A page that is open, what it asked for, and what went wrong on it."""

    def __init__(self, browser: Browser, path: Path, width: int, **context: Any) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, **context)
        self.page: Page = self.context.new_page()
        self.asked: list[str] = []
        self.wrong: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.goto(path.as_uri())

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def fits(self, width: int) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth") <= width)


def violations(page: Page) -> list[str]:
    return [
        f"{found['id']}: {found['nodes'][0]['html'][:200]}"
        for found in Axe().run(page).response["violations"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_asks_for_nothing_and_is_accessible(
    browser: Browser, folder: Path, name: str, width: int, scheme: Scheme
) -> None:
    with Visit(browser, folder / f"{name}.html", width, color_scheme=scheme) as visit:
        assert visit.fits(width)
        assert violations(visit.page) == []
        assert visit.wrong == [] and len(visit.asked) == 1


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_where_scripts_are_barred(
    browser: Browser, folder: Path, name: str, width: int
) -> None:
    path = folder / f"{name}.html"
    with Visit(browser, path, width, java_script_enabled=False) as visit:
        assert visit.fits(width) and visit.wrong == []
        charts = visit.page.locator("svg.chart")
        assert charts.count() >= 3
        for number in range(charts.count()):
            box = charts.nth(number).bounding_box()
            assert box and box["width"] > 200 and box["x"] + box["width"] <= width
    assert "<script" not in path.read_text(), "so axe has seen the page without scripts"


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_where_styles_are_barred_too(
    browser: Browser, folder: Path, name: str, width: int
) -> None:
    content = (folder / f"{name}.html").read_text()

    def answered(route: Route) -> None:
        headers = {"Content-Security-Policy": JENKINS}
        route.fulfill(body=content, content_type="text/html", headers=headers)

    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    page.route("**/*", answered)
    page.goto("http://jenkins.test/report.html")
    body = page.evaluate("getComputedStyle(document.body).marginTop")
    assert body == "8px", "the style sheet is barred"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    hidden = "[...document.querySelectorAll('[hidden]')].map(e => e.tagName)"
    assert set(page.evaluate(hidden)) <= {"INPUT", "FIELDSET"}, (
        "switches alone, which are of no use"
    )
    for number in range(page.locator("svg.chart").count()):
        box = page.locator("svg.chart").nth(number).bounding_box()
        assert box and 200 < box["width"] <= width
    context.close()


def shown(page: Page, tag: str) -> int:
    """How many elements of a contender take up room."""
    count = (
        f"[...document.querySelectorAll('.{tag}')].filter(e => e.getClientRects().length).length"
    )
    return int(page.evaluate(count))


@pytest.mark.parametrize("name", ["four", "failed", "twenty", "comparison"])
def test_contenders_can_be_hidden_and_shown_again(
    browser: Browser, folder: Path, name: str
) -> None:
    with Visit(browser, folder / f"{name}.html", 1280) as visit:
        page = visit.page
        before = shown(page, "contender-0"), shown(page, "contender-1")
        # One that is in one of two compared runs alone is in their tables, and in no chart.
        assert min(before) >= (3 if name == "comparison" else 10)
        page.locator("#show-contender-0").uncheck()
        assert (shown(page, "contender-0"), shown(page, "contender-1")) == (0, before[1])
        page.locator("#show-contender-0").check()
        assert (shown(page, "contender-0"), shown(page, "contender-1")) == before


@pytest.mark.parametrize("system", ["light", "dark"])
def test_colours_can_be_chosen_whatever_the_system_has(
    browser: Browser, folder: Path, system: Scheme
) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    mark = "getComputedStyle(document.querySelector('.symbol path')).fill"
    with Visit(browser, folder / "four.html", 1280, color_scheme=system) as visit:
        page, found = visit.page, {}
        for choice in ("light", "dark"):
            page.locator(f"#{choice}").check()
            found[choice] = page.evaluate(ground), page.evaluate(mark)
            assert violations(page) == []
        assert found["light"] == ("rgb(253, 253, 253)", "rgb(0, 103, 165)")
        assert found["dark"] == ("rgb(22, 22, 22)", "rgb(108, 184, 239)")


@pytest.mark.parametrize("name", PAGES)
def test_print_is_light_and_has_every_chart_and_no_switches(
    browser: Browser, folder: Path, name: str
) -> None:
    with Visit(browser, folder / f"{name}.html", 800, color_scheme="dark") as visit:
        page = visit.page
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
            "rgb(253, 253, 253)"
        )
        assert page.locator("fieldset.theme").is_hidden()
        assert page.locator("svg.chart").first.is_visible()
        assert visit.fits(800)
        assert page.pdf(format="A4").startswith(b"%PDF")


def test_the_sites_links_open_from_disk(browser: Browser, folder: Path) -> None:
    with Visit(browser, folder / "site" / "index.html", 1280) as visit:
        visit.page.locator("main a").first.click()
        assert visit.page.url.startswith("file://") and visit.page.url.endswith("report.html")
        assert visit.page.locator("svg.chart").count() > 5


def test_a_page_of_twenty_contenders_opens_with_every_one_of_them(
    browser: Browser, folder: Path
) -> None:
    with Visit(browser, folder / "twenty.html", 1440) as visit:
        assert visit.page.locator("section.contenders li").count() == 20
        assert visit.page.locator("svg.chart").count() >= 17

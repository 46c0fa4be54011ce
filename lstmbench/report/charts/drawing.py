"""Charts as files (SVG, PNG, PDF), and as the SVG inside a page."""

import re
from pathlib import Path
from xml.etree import ElementTree

import vl_convert

from lstmbench.records import folder as folders
from lstmbench.report.charts.chart import Chart

SVG = "http://www.w3.org/2000/svg"
REFERENCE = re.compile(r"url\(#([^)]*)\)")
SCALE = 3
"""Pixels of a PNG for each of the chart's own."""


def svg(chart: Chart) -> str:
    """Return a chart as an SVG file."""
    return str(vl_convert.vegalite_to_svg(chart.picture))


def png(chart: Chart) -> bytes:
    """Return a chart as a PNG file, on white."""
    return bytes(vl_convert.vegalite_to_png({**chart.picture, "background": "white"}, scale=SCALE))


def pdf(chart: Chart) -> bytes:
    """Return a chart as a PDF file."""
    return bytes(vl_convert.vegalite_to_pdf(chart.picture))


def write(chart: Chart, folder: Path) -> list[Path]:
    """Write a chart as SVG, PNG and PDF into a folder, and return the files."""
    files: dict[str, str | bytes] = {"svg": svg(chart), "png": png(chart), "pdf": pdf(chart)}
    paths = {folder / f"{chart.name}.{ending}": content for ending, content in files.items()}
    for path, content in paths.items():
        folders.write(path, content)
    return list(paths)


def inline(chart: Chart) -> str:
    """Return a chart as the element `svg` of a page.

    A screen reader sees one picture with a text. Marks of a contender have its tag as their class,
    and names inside the picture are unique within the page.
    """
    root = ElementTree.fromstring(svg(chart))
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{SVG}}}")
        _name_apart(element, chart.name)
        _classify(element)
    root.attrib.pop("xmlns", None)
    root.set("class", "chart")
    root.set("role", "img")
    root.set("aria-label", chart.alternative)
    return ElementTree.tostring(root, encoding="unicode")


def _name_apart(element: ElementTree.Element, prefix: str) -> None:
    if "id" in element.attrib:
        element.set("id", f"{prefix}-{element.get('id')}")
    for key, value in element.attrib.items():
        element.set(key, REFERENCE.sub(rf"url(#{prefix}-\1)", value))


def _classify(element: ElementTree.Element) -> None:
    """Leave of what Vega tells screen readers, and of its own classes, only the contender's tag."""
    label = element.attrib.pop("aria-label", "")
    for name in ("role", "aria-roledescription", "aria-hidden", "class"):
        element.attrib.pop(name, None)
    if label.startswith("contender-"):
        element.set("class", label)

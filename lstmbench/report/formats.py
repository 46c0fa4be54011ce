"""The formats of the answer of a run, by name; each is one file of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from lstmbench.report import extras

if TYPE_CHECKING:
    from lstmbench.analysis.comparison import RunComparison
    from lstmbench.analysis.results import RunResult

Format = Literal["markdown", "csv", "json", "html", "bencher", "github-action-benchmark", "junit"]
ComparisonFormat = Literal["markdown", "html", "json"]
COMPARISON_FORMATS: tuple[ComparisonFormat, ...] = get_args(ComparisonFormat)
FORMATS: tuple[Format, ...] = get_args(Format)


def render(run: RunResult, form: Format) -> str:
    """Return the answer of a run as text.

    Raises UsageError if a library that the format needs is not installed.
    """
    match form:
        case "markdown":
            from lstmbench.report import document, markdown

            return markdown.render(document.document(run))
        case "csv":
            from lstmbench.report import csv

            return csv.render(run)
        case "json":
            from lstmbench.report import json

            return json.render(json.run(run)) + "\n"
        case "html":
            extras.need("report", "format 'html'")
            from lstmbench.report.html import of_run

            return of_run.page(run)
        case "bencher":
            from lstmbench.report.exports import bencher

            return bencher.render(run)
        case "github-action-benchmark":
            from lstmbench.report.exports import github_action_benchmark

            return github_action_benchmark.render(run)
        case "junit":
            from lstmbench.report.exports import junit

            return junit.render(run)


def render_comparison(
    found: RunComparison,
    before: RunResult,
    after: RunResult,
    gate: float,
    form: ComparisonFormat,
) -> str:
    """Return the comparison of two runs as text; `gate` is by how much one may be slower.

    Raises UsageError if a library that the format needs is not installed.
    """
    match form:
        case "markdown":
            from lstmbench.report import comparison, markdown

            return markdown.render_comparison(comparison.document(found, gate))
        case "html":
            extras.need("report", "format 'html'")
            from lstmbench.report.html import of_comparison

            return of_comparison.page(found, before, after, gate)
        case "json":
            from lstmbench.report import json

            return json.render(json.comparison(found, gate)) + "\n"

"""All charts of a run, in the order in which a reader asks."""

from lstmbench.analysis.results import RunResult
from lstmbench.report.charts import blocks, forest, latency, learning, parity, roofline, step
from lstmbench.report.charts.chart import Cast, Section


def sections(run: RunResult, cast: Cast) -> list[Section]:
    """Return the charts by section; sections without any are left out."""
    found = [
        Section(
            "How much faster, and where the time goes",
            [*forest.speeds(run, cast), *step.charts(run, cast)],
        ),
        Section("Latency and limits", [*latency.charts(run, cast), *roofline.charts(run, cast)]),
        Section(
            "Do they agree, do they learn", [*parity.charts(run, cast), *learning.charts(run, cast)]
        ),
        Section("Every block", blocks.charts(run, cast)),
    ]
    return [one for one in found if one.charts]

"""What the harness's own numbers are worth: coverage of its intervals, its cost, its neighbours.

    pip install -c constraints.txt '.[benchmarks]'
    python benchmarks/harness.py [--experiments 4] [--comparisons 6] [--disturb] [--json FILE]

Every tool times the same function, one training step of the NumPy backend on one thread, against
itself, so that every difference that it reports is an error of its own.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from lstmbench.analysis.noise import SelfTestResult
from lstmbench.execution.workers import WorkerFactory
from lstmbench.experiment import selftest
from lstmbench.experiment.planning import plan
from lstmbench.host import environment
from lstmbench.plugins import registry as plugins
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.messages import Measure, Prepare
from lstmbench.protocol.observations import Block, Startup
from lstmbench.protocol.settings import Settings, from_mapping
from lstmbench.report import json as report_json
from lstmbench.report import noise
from lstmbench.report.columns import interval
from lstmbench.statistics import share_of

NEIGHBOURS = Path(__file__).parent / "neighbours"
GATE = 0.05
BLOCKS = 20


@dataclass
class Findings:
    """What one tool said of equal things: the ratios, how often it saw a difference, its time."""

    tool: str
    rule: str
    ratios: list[float] = field(default_factory=list)
    differences: int = 0
    seconds: float = 0.0

    def add(self, ratio: float, differs: bool, seconds: float) -> None:
        self.ratios.append(ratio)
        self.differences += differs
        self.seconds += seconds


@contextmanager
def disturbance(wanted: bool) -> Iterator[None]:
    """Have another process keep the first core busy for as long as the context lasts."""
    if not wanted:
        yield
        return
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def twice(command: list[str], names: tuple[Path, Path]) -> float:
    """Run a tool once for each file, one after the other; the seconds that took."""
    start = time.monotonic()
    for name in names:
        name.unlink(missing_ok=True)
        subprocess.run([*command, str(name)], check=True, stdout=subprocess.DEVNULL, cwd=NEIGHBOURS)
    return time.monotonic() - start


def try_pyperf(found: Findings, folder: Path) -> None:
    """Two runs, and pyperf's own word on whether they differ."""
    a, b = files = folder / "a.json", folder / "b.json"
    seconds = twice([sys.executable, "with_pyperf.py", "--quiet", "-o"], files)
    compare = [sys.executable, "-m", "pyperf", "compare_to", str(a), str(b)]
    said = subprocess.run(compare, check=True, capture_output=True, text=True).stdout
    medians = [_pyperf_median(json.loads(file.read_text(encoding="utf-8"))) for file in files]
    found.add(medians[0] / medians[1], "not significant" not in said.lower(), seconds)


def _pyperf_median(suite: dict[str, Any]) -> float:
    runs = suite["benchmarks"][0]["runs"]
    return float(statistics.median(value for run in runs for value in run.get("values", [])))


def try_pytest_benchmark(found: Findings, folder: Path) -> None:
    """Two runs, and whether their means are further apart than a gate of GATE."""
    files = folder / "a.json", folder / "b.json"
    command = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider"]
    seconds = twice([*command, "with_pytest_benchmark.py", "--benchmark-json"], files)
    stats = [
        json.loads(file.read_text(encoding="utf-8"))["benchmarks"][0]["stats"] for file in files
    ]
    differs = abs(stats[1]["mean"] / stats[0]["mean"] - 1) > GATE
    found.add(stats[0]["median"] / stats[1]["median"], differs, seconds)


def try_ours(result: SelfTestResult) -> list[Findings]:
    """Return what A/A runs said, interleaved in fresh processes and one after the other."""
    kinds = {
        "lstmbench": (result.paired, "95 % interval over launches excludes 1"),
        "blocks one after the other": (result.sequential, "Welch's 95 % interval excludes 1"),
    }
    return [
        Findings(name, rule, [r.value for r in part.ratios], part.excluding_one, part.seconds)
        for name, (part, rule) in kinds.items()
    ]


def block_overhead(settings: Settings) -> list[float]:
    """Return the seconds that each of BLOCKS blocks took beyond those inside the clock."""
    contender = Contender(backend="numpy")
    result = []
    with (
        WorkerFactory(plugins.discover()) as factory,
        factory.open(contender, settings) as worker,
    ):
        calls = worker.ask(Prepare(launch=1, workloads=["train"]), Startup).calls["train"]
        for n in range(BLOCKS):
            request = Measure(launch=1, round=n, position=0, workload="train", calls=calls)
            start = time.perf_counter()
            block = worker.ask(request, Block)
            result.append(time.perf_counter() - start - sum(block.seconds))
    return result


def show(
    found: list[Findings], result: SelfTestResult, overhead: list[float], out: Console
) -> None:
    """Print all that was found."""
    noise.show(result, out)
    table = Table(title="The same step against itself, by each tool", title_justify="left")
    for column in (
        "tool",
        "says that they differ if",
        "comparisons",
        "said so, %",
        "largest difference of medians, %",
        "s a comparison",
    ):
        table.add_column(column, overflow="fold")
    for one in found:
        count = len(one.ratios)
        table.add_row(
            one.tool,
            one.rule,
            str(count),
            interval(share_of(one.differences, count), 100),
            f"{100 * max(max(r, 1 / r) - 1 for r in one.ratios):.1f}",
            f"{one.seconds / count:.0f}",
        )
    out.print(table)
    out.print(
        f"A timed block costs the harness {1e3 * statistics.median(overhead):.1f} ms beyond the "
        f"{1e3 * result.settings.block_seconds:.0f} ms or so inside its clock (median of "
        f"{len(overhead)}): loading parameters, staging inputs, a pause, two warm-up calls, the "
        "pipe.\n[low, high] is a 95 % confidence interval (Wilson's).",
        markup=False,
    )


@click.command()
@click.option("--experiments", type=click.IntRange(1, 1000), default=4, show_default=True)
@click.option("--comparisons", type=click.IntRange(1, 1000), default=6, show_default=True)
@click.option("--time-budget", type=float, default=90.0, show_default=True, help="s an experiment")
@click.option("--disturb", is_flag=True, help="Keep the first core busy all the while.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the findings there.")
def main(
    experiments: int, comparisons: int, time_budget: float, disturb: bool, file: Path | None
) -> None:
    """Time one function by several tools, each against itself.

    EXPERIMENTS of ours, of three comparisons each, then COMPARISONS of each other tool.
    """
    registry = plugins.discover()
    given = {"backend": "numpy", "device": "cpu", "threads": 1, "time_budget": time_budget}
    settings = plan(from_mapping(given, "harness"), registry).settings
    pyperf = Findings("pyperf", "compare_to calls it significant")
    pytest = Findings("pytest-benchmark", f"means differ by over {GATE:.0%}")
    with (
        disturbance(disturb),
        tempfile.TemporaryDirectory() as folder,
        Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress,
    ):
        result = selftest.run(settings, registry, experiments)
        for _ in progress.track(range(comparisons), description="neighbours"):
            try_pyperf(pyperf, Path(folder))
            try_pytest_benchmark(pytest, Path(folder))
        overhead = block_overhead(settings)
    found = [*try_ours(result), pyperf, pytest]
    show(found, result, overhead, Console(width=None if sys.stdout.isatty() else 160))
    if file:
        answer = {
            "environment": msgspec.to_builtins(
                environment.describe(["numpy", "pyperf", "pytest-benchmark"])
            ),
            "disturbed_on_purpose": disturb,
            "selftest": report_json.selftest(result),
            "tools": [asdict(one) for one in found],
            "block_overhead_seconds": overhead,
        }
        file.write_text(json.dumps(answer, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Our backends beside LSTMs as a user of each library would write them.

    pip install -c constraints.txt '.[all,peers]'
    python benchmarks/peers.py [--sweep] [--backend numba,jax] [--peer flax-plain] [--batch 64] …

Peers and backends are rows of one run: held against the float64 reference by the same ladder,
timed in the same rounds by the same kind of worker.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import msgspec
from lstmbench_peers import PEERS, TRAINING
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from lstmbench import UsageError
from lstmbench.analysis.results import Line, summarise
from lstmbench.execution import launch as pairing
from lstmbench.execution import parity as ladder
from lstmbench.execution.workers import Bench, WorkerFailed
from lstmbench.experiment import conformance
from lstmbench.experiment.planning import plan
from lstmbench.plugins import registry as plugins
from lstmbench.protocol.messages import Checked, Failure, Record, Row, Rung, Workload
from lstmbench.protocol.settings import from_mapping
from lstmbench.records import folder as store
from lstmbench.report.document import beyond_limits, interval
from lstmbench.report.terminal import console

BY_NAME = {peer.info.name: peer for peer in PEERS}
OURS = ("numpy", "numba", "torch", "jax")
WORKLOADS: dict[Workload, tuple[str, str, float]] = {
    "train": ("Training step", "ms", 1e3),
    "forward": ("Forward pass", "ms", 1e3),
    "generate": ("Generated digit, batch 1", "µs", 1e6),
}
SWEEP: tuple[dict[str, Any], ...] = (
    {},
    {"batch": 1},
    {"batch": 1024},
    {"hidden": 32},
    {"hidden": 512},
    {"hidden": 1024},
    {"seq_len": 100},
    {"seq_len": 500},
    {"layers": 1},
    {"layers": 4},
    {"dtype": "float64"},
    {"batch": 1, "hidden": 1024},
    {"batch": 1024, "hidden": 32},
)
"""What each shape of a sweep changes of the settings given: one thing to its ends, then two."""
CLIFF = 1 / 3
SETTINGS = ("batch", "hidden", "seq_len", "layers", "dtype", "device", "threads")


@dataclass
class Result:
    """One shape: what was to be done and what was observed; `excused` is what a peer may fail."""

    name: str
    header: store.Header
    records: list[Record] = field(default_factory=list)
    excused: list[Rung | Checked] = field(default_factory=list)

    def add(self, record: Record) -> None:
        """Keep what was observed; a difference that is a peer's own optimiser, apart."""
        if isinstance(record, Rung | Checked) and record.verdict == "differs" and own(record):
            self.excused.append(record)
        else:
            self.records.append(record)

    def fail(self, row: Row, reason: Any, message: str) -> None:
        self.add(Failure(row=row, phase="timing", reason=reason, message=message))

    def against(self, baseline: str) -> dict[str, Line]:
        """Every row's numbers by backend, with ratios to `baseline`, as a run's report has them."""
        settings = msgspec.structs.replace(self.header.settings, baseline=baseline)
        header = msgspec.structs.replace(self.header, settings=settings)
        return {n.row.backend: n for n in summarise(store.Run(header, self.records)).lines}

    @property
    def lines(self) -> dict[str, Line]:
        return self.against(self.header.settings.baseline)

    @property
    def peers(self) -> list[str]:
        return [row.backend for row in self.header.rows if row.backend in BY_NAME]


def own(record: Rung | Checked) -> bool:
    """Whether this depends on the optimiser of a peer's library."""
    part = record.rung if isinstance(record, Rung) else record.workload
    return record.row.backend in BY_NAME and part in TRAINING


def climb(result: Result, registry: plugins.Registry) -> None:
    """Hold every row against the reference."""
    header = result.header
    for verdicts in conformance.climb(header.rows, header.settings, registry):
        for rung in verdicts.rungs:
            result.add(rung)
        if verdicts.failure:
            result.fail(verdicts.row, "raised", verdicts.failure)


def measure(bench: Bench, result: Result, advance: Callable[[], None]) -> None:
    """All launches of one shape; what the first computed inside the clock is checked."""

    def fail(row: Row, error: WorkerFailed) -> None:
        result.fail(row, error.reason, error.message)

    bench.settings = result.header.settings
    with ladder.open_oracle(bench) as oracle:
        for number in range(1, bench.settings.launches + 1):
            # Not `sound`: the limit that a time must not beat is still being measured.
            rows = [line.row for line in result.lines.values() if line.agrees]
            if not rows:
                return
            result.add(pairing.probe(bench, number))
            launch = pairing.Launch(bench, number, result.add, fail, workloads=WORKLOADS)
            launch.run(rows, oracle if number == 1 else None)
            advance()


def run(
    shapes: dict[str, dict[str, Any]], registry: plugins.Registry, progress: Progress
) -> list[Result]:
    """Every shape: the ladder once for each precision, then all launches."""
    results = [
        Result(name, plan(from_mapping(given, "peers"), registry)) for name, given in shapes.items()
    ]
    launches = sum(result.header.settings.launches for result in results)
    bar = progress.add_task("peers", total=launches)
    climbed: dict[str, Result] = {}
    with Bench(results[0].header.settings, registry) as bench:  # all share its compiled code
        for result in results:
            dtype = result.header.settings.dtype
            if dtype not in climbed:
                climbed[dtype] = Result(result.name, result.header)
                climb(climbed[dtype], registry)
            result.records += climbed[dtype].records
            result.excused += climbed[dtype].excused
            measure(bench, result, lambda: progress.advance(bar))
    return results


def table(results: list[Result], workload: Workload) -> Table:
    """Every row at every shape: its time, its share of the bound, its speed over each peer's."""
    title, unit, scale = WORKLOADS[workload]
    peers = results[0].peers
    grid = Table(title=title, title_justify="left", title_style="bold")
    columns = ["shape", "backend", unit, "share of the bound, %", *(f"÷ {p}" for p in peers)]
    for number, column in enumerate(columns):
        grid.add_column(column, justify="left" if number < 2 else "right", overflow="fold")
    for result in results:
        by_peer = {peer: result.against(peer) for peer in peers}
        for place, (name, line) in enumerate(timed(result, workload).items()):
            grid.add_row(
                "" if place else result.name,
                name,
                interval(line.seconds[workload], scale),
                interval(line.share_of_bound.get(workload), 100),
                *(ratio(by_peer[peer][name], workload, peer) for peer in peers),
                end_section=place == len(timed(result, workload)) - 1,
            )
    return grid


def timed(result: Result, workload: Workload) -> dict[str, Line]:
    """The sound rows that claim a workload, fastest first."""
    lines = {k: n for k, n in result.lines.items() if n.sound and workload in n.seconds}
    return dict(sorted(lines.items(), key=lambda item: item[1].seconds[workload].value))


def ratio(line: Line, workload: Workload, peer: str) -> str:
    """A row's speed over a peer's, marked where one of ours falls off a cliff."""
    if line.row.backend == peer:
        return "1"
    estimate = line.speed_ratio.get(workload)
    cliff = estimate and line.row.backend not in BY_NAME and estimate.value < CLIFF
    return interval(estimate) + (" !" if cliff else "")


def problems(result: Result) -> Iterator[str]:
    """Every rung and every timed result that differs, and every failure, in words."""
    for record in result.excused:
        yield f"{_difference(record)}: its library's own optimiser, see its note"
    for line in result.lines.values():
        for record in [*line.rungs, *line.checks]:
            if record.verdict == "differs":
                yield f"{_difference(record)}: not timed, or its times are not shown"
        yield from beyond_limits(line)
        if line.failure:
            yield f"{line.row.label}: {line.failure.reason}: {line.failure.message}"


def _difference(record: Rung | Checked) -> str:
    error = "not finite" if record.error is None else f"{record.error:.3g} times the band"
    if isinstance(record, Rung):
        return f"{record.row.label} differs on {record.fixture}, {record.rung} ({error})"
    return f"{record.row.label} differs in a timed {record.workload} ({error})"


def show(results: list[Result], out: Console) -> None:
    """Print all that was found."""
    s, env = results[0].header.settings, results[0].header.environment
    versions = ", ".join(f"{name} {version}" for name, version in env["versions"].items())
    out.print(
        f"{env['cpu']}; {s.threads} threads a worker; {versions}\n"
        f"{s.dtype}, batch {s.batch}, T = {s.seq_len}, hidden {s.hidden}, {s.layers} layers, "
        f"but for what a shape names; {s.launches} launches of {s.rounds} rounds",
        markup=False,
    )
    for workload in WORKLOADS:
        out.print(table(results, workload))
    for result in results:
        for problem in dict.fromkeys(problems(result)):
            out.print(f"! {result.name}: {problem}", style="yellow", markup=False)
    for peer in results[0].peers:
        out.print(f"{peer}: {BY_NAME[peer].note}", markup=False)
    out.print(
        "÷ a peer: its seconds over the row's, round by round; above 1 the row is faster. "
        "[low, high] is a 95 % confidence interval over launches. The bound is the least time "
        "that the operations and bytes take at this machine's best rates (docs/measurement.md). "
        f"A ratio marked ! is one of ours that takes over {1 / CLIFF:.0f} times the peer's time.",
        markup=False,
    )


def plain(result: Result) -> dict[str, Any]:
    """One shape as a record: its settings, what differs, times and ratios with intervals."""
    by_peer = {peer: result.against(peer) for peer in result.peers}
    return {
        "shape": result.name,
        "settings": msgspec.to_builtins(result.header.settings),
        "problems": list(problems(result)),
        "rows": {
            name: {
                "sound": line.sound,
                "description": line.description,
                "seconds": _plain(line.seconds),
                "launch_seconds": line.launch_seconds,
                "share_of_bound": _plain(line.share_of_bound),
                "speed_over": {p: _plain(lines[name].speed_ratio) for p, lines in by_peer.items()},
            }
            for name, line in result.lines.items()
        },
    }


def _plain(estimates: dict[Workload, Any]) -> dict[str, dict[str, float | None]]:
    """Estimates for JSON, which has no NaN: an interval over one launch has no ends."""
    return {
        workload: {k: v if v == v else None for k, v in estimate._asdict().items()}
        for workload, estimate in estimates.items()
    }


def with_peers(registry: plugins.Registry) -> plugins.Registry:
    """The registry with the peers in it; workers, processes of their own, will find them too."""
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    for one in PEERS:
        registry.backends.add(one.info, "lstmbench")
    return registry


def shapes_of(given: dict[str, Any], sweep: bool) -> dict[str, dict[str, Any]]:
    """Settings by the name of their shape: as given, or each of the sweep's changes to that."""
    result = {}
    for change in SWEEP if sweep else SWEEP[:1]:
        words = (f"{name.replace('_', '-')} {value}" for name, value in change.items())
        result[", ".join(words) or "as given"] = {**given, **change}
    return result


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The settings that may be chosen here; lstmbench checks their values."""
    for name in reversed(SETTINGS):
        kind = str if name in ("dtype", "device") else int
        option = f"--{name.replace('_', '-')}"
        command = click.option(option, name, type=kind, help="As of lstmbench run.")(command)
    return command


@click.command()
@click.option("--backend", default=",".join(OURS), show_default=True, help="Which of ours.")
@click.option("--peer", default=",".join(BY_NAME), show_default=True, help="Beside which peers.")
@settings_options
@click.option("--launches", type=int, help="Starts of every row.  [default: 5; of a sweep: 2]")
@click.option("--rounds", type=int, help="Blocks of a row in a launch.  [default: 10; 5]")
@click.option("--sweep", is_flag=True, help="At a list of shapes, up to the largest and smallest.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the findings there.")
def main(backend: str, peer: str, sweep: bool, file: Path | None, **given: Any) -> None:
    """Time our backends beside plain scripts of other libraries."""
    registry = with_peers(plugins.discover())
    defaults = {"launches": 2, "rounds": 5} if sweep else {"launches": 5, "rounds": 10}
    chosen = {name: value for name, value in given.items() if value is not None}
    settings = {"backend": f"{backend},{peer}", "device": "cpu", **defaults, **chosen}
    try:
        with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
            results = run(shapes_of(settings, sweep), registry, progress)
    except UsageError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    show(results, console())
    if file:
        answer = {
            "environment": results[0].header.environment,
            "shapes": [plain(result) for result in results],
        }
        file.write_text(json.dumps(answer, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Our backends beside LSTMs as a user of each library would write them.

    pip install -c constraints.txt '.[all,peers]'
    python benchmarks/peers.py [--sweep] [--backend numba,jax] [--peer flax-plain] [--batch 64] …

Peers and backends are contenders of one run: compared with the float64 oracle by the same ladder,
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
from lstmbench_peers import PEERS
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from lstmbench import UsageError
from lstmbench.analysis.analyse import analyse
from lstmbench.analysis.results import ContenderResult
from lstmbench.analysis.verdict import Ledger
from lstmbench.execution.loop import TimingLoop
from lstmbench.execution.stopping import StoppingRule
from lstmbench.execution.workers import WorkerFactory, WorkerFailed
from lstmbench.experiment import check
from lstmbench.experiment.planning import plan
from lstmbench.interface.workloads import WORKLOADS, Workload
from lstmbench.plugins import registry as plugins
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import Failure, Record
from lstmbench.protocol.settings import from_mapping
from lstmbench.records.folder import Header, Run
from lstmbench.report.columns import finite, interval
from lstmbench.report.terminal import console

BY_NAME = {peer.info.name: peer for peer in PEERS}
KNOWN = {name: peer.known_failures for name, peer in BY_NAME.items()}
OURS = ("numpy", "numba", "torch", "jax")
TIMED = {name: workload for name, workload in WORKLOADS.items() if workload.headline}
"""The workloads that are timed: those that are answers in themselves."""
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
ONLY = {"time_budget": 0.0, "precision": 1e-9}
"""As many launches as were asked for, and no more."""
SETTINGS = ("batch", "hidden", "seq_len", "layers", "dtype", "device", "threads")


@dataclass
class Result:
    """One shape: what was to be done and what was observed."""

    name: str
    header: Header
    records: list[Record] = field(default_factory=list)

    def fail(self, contender: Contender, error: WorkerFailed) -> None:
        """Keep what went wrong with a contender."""
        self.records.append(
            Failure(contender=contender, phase="timing", kind=error.kind, message=error.message)
        )

    def against(self, baseline: str) -> dict[str, ContenderResult]:
        """Return every contender's numbers by backend, with ratios to `baseline`."""
        settings = msgspec.structs.replace(self.header.settings, baseline=baseline)
        header = msgspec.structs.replace(self.header, settings=settings)
        found = analyse(Run(header, self.records), KNOWN).contenders
        return {one.contender.backend: one for one in found}

    @property
    def contenders(self) -> dict[str, ContenderResult]:
        """Every contender's numbers by backend."""
        return self.against(self.header.settings.baseline)

    @property
    def peers(self) -> list[str]:
        """The peers among the contenders."""
        return [one.backend for one in self.header.contenders if one.backend in BY_NAME]

    def to_time(self) -> list[Contender]:
        """Return the contenders that have passed so far, however fast they are."""
        ledger = Ledger(KNOWN)
        for record in self.records:
            ledger.add(record)
        return [one for one in self.header.contenders if ledger.verdict(one).passed]


def climb(
    header: Header, registry: plugins.Registry, factory: WorkerFactory | None = None
) -> list[Record]:
    """Return what the parity ladder shows of every contender."""
    records: list[Record] = []
    contenders, settings = header.contenders, header.settings
    for found in check.climb(contenders, settings, registry, factory=factory):
        records += found.rungs
        records += [found.failure] if found.failure else []
    return records


def measure(
    factory: WorkerFactory,
    result: Result,
    advance: Callable[[], None] = lambda: None,
    oracle_threads: int | None = None,
    together: bool = False,
) -> None:
    """Time all launches of one shape; the oracle has one thread unless given."""
    settings = result.header.settings
    with factory.open_oracle(settings, oracle_threads) as oracle:
        loop = TimingLoop(
            factory,
            settings,
            StoppingRule(settings, pairs=()),
            result.records.append,
            result.fail,
            oracle,
            advance,
            workloads=tuple(TIMED),
            together=together,
        )
        loop.run(result.to_time)


def run(
    shapes: dict[str, dict[str, Any]], registry: plugins.Registry, progress: Progress
) -> list[Result]:
    """Time every shape: the ladder once for each precision, then all launches."""
    results = [
        Result(name, plan(from_mapping(given, "peers"), registry)) for name, given in shapes.items()
    ]
    bar = progress.add_task("peers", total=sum(map(blocks, results)))
    climbed: dict[str, list[Record]] = {}
    with WorkerFactory(registry) as factory:  # all share its compiled code
        for result in results:
            dtype = result.header.settings.dtype
            if dtype not in climbed:
                climbed[dtype] = climb(result.header, registry, factory)
            result.records += climbed[dtype]
            measure(factory, result, lambda: progress.advance(bar))
    return results


def blocks(result: Result) -> int:
    """Return how many steps the timing of one shape has, starts among them."""
    settings = result.header.settings
    turns = len(result.header.contenders) * (1 + settings.rounds * len(TIMED))
    return settings.launches * turns


def table(results: list[Result], workload: Workload) -> Table:
    """Return every contender's time at every shape, and its speed over each peer's."""
    title, unit = workload.title.capitalize(), workload.display_unit
    peers = results[0].peers
    grid = Table(title=title, title_justify="left", title_style="bold")
    ratios = (f"÷ {peer}" for peer in peers)
    columns = ["shape", "contender", unit, "share of roofline, %", *ratios]
    for number, column in enumerate(columns):
        grid.add_column(column, justify="left" if number < 2 else "right", overflow="fold")
    for result in results:
        by_peer = {peer: result.against(peer) for peer in peers}
        rows = timed(result, workload.name)
        for place, (name, one) in enumerate(rows.items()):
            share = one.roofline.get(workload.name)
            grid.add_row(
                "" if place else result.name,
                name,
                interval(one.seconds[workload.name], workload.display_scale),
                interval(share.estimate if share else None, 100),
                *(ratio(by_peer[peer][name], workload.name, peer) for peer in peers),
                end_section=place == len(rows) - 1,
            )
    return grid


def timed(result: Result, workload: str) -> dict[str, ContenderResult]:
    """Return the contenders that passed and claim a workload, fastest first."""
    found = {
        name: one
        for name, one in result.contenders.items()
        if one.verdict.passed and workload in one.seconds
    }
    return dict(sorted(found.items(), key=lambda item: item[1].seconds[workload].value))


def ratio(one: ContenderResult, workload: str, peer: str) -> str:
    """Return a contender's speed over a peer's, marked where one of ours falls off a cliff."""
    if one.contender.backend == peer:
        return "1"
    estimate = one.speed_ratio.get(workload)
    cliff = estimate and one.contender.backend not in BY_NAME and estimate.value < CLIFF
    return interval(estimate) + (" !" if cliff else "")


def problems(result: Result) -> Iterator[str]:
    """Yield everything that differs or failed, expected or not, in words."""
    for one in result.contenders.values():
        for excused in one.verdict.excused:
            yield f"{one.contender.label} differs at {excused}"
        for reason in one.verdict.reasons:
            yield f"{one.contender.label}: {reason}"


def show(results: list[Result], out: Console) -> None:
    """Print all that was found."""
    s, env = results[0].header.settings, results[0].header.environment
    versions = ", ".join(f"{name} {version}" for name, version in env.versions.items())
    out.print(
        f"{env.cpu}; {s.threads} threads a worker; {versions}\n"
        f"{s.dtype}, batch {s.batch}, T = {s.seq_len}, hidden {s.hidden}, {s.layers} layers, "
        f"but for what a shape names; {s.launches} launches of {s.rounds} rounds",
        markup=False,
    )
    for workload in TIMED.values():
        out.print(table(results, workload))
    for result in results:
        for problem in dict.fromkeys(problems(result)):
            out.print(f"! {result.name}: {problem}", style="yellow", markup=False)
    for peer in results[0].peers:
        out.print(f"{peer}: {BY_NAME[peer].note}", markup=False)
    out.print(
        "÷ a peer: its seconds over the contender's, round by round; above 1 the contender is "
        "faster. [low, high] is a 95 % confidence interval over launches. The roofline is the "
        "least time that the operations and bytes take at this machine's peaks "
        "(docs/measurement.md). "
        f"A ratio marked ! is one of ours that takes over {1 / CLIFF:.0f} times the peer's time.",
        markup=False,
    )


def plain(result: Result) -> dict[str, Any]:
    """Return one shape as a record: settings, what differs, times and ratios with intervals."""
    by_peer = {peer: result.against(peer) for peer in result.peers}
    return {
        "shape": result.name,
        "settings": msgspec.to_builtins(result.header.settings),
        "problems": list(problems(result)),
        "contenders": {
            name: {
                "passed": one.verdict.passed,
                "reasons": list(one.verdict.reasons),
                "description": one.description,
                "seconds": _plain(one.seconds),
                "launch_seconds": one.launch_seconds,
                "share_of_bound": _plain({k: s.estimate for k, s in one.roofline.items()}),
                "speed_over": {p: _plain(found[name].speed_ratio) for p, found in by_peer.items()},
            }
            for name, one in result.contenders.items()
        },
    }


def _plain(estimates: dict[str, Any]) -> dict[str, dict[str, float | None]]:
    """Return estimates for JSON, which has no NaN: an interval over one launch has no ends."""
    return {
        workload: {k: finite(v) for k, v in estimate._asdict().items()}
        for workload, estimate in estimates.items()
    }


def with_peers(registry: plugins.Registry) -> plugins.Registry:
    """Return the registry with the peers in it; workers, which are processes, find them too."""
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    for one in PEERS:
        registry.backends.add(one.info, "lstmbench")
    return registry


def shapes_of(given: dict[str, Any], sweep: bool) -> dict[str, dict[str, Any]]:
    """Return settings by the name of their shape: as given, or each change of the sweep."""
    result = {}
    for change in SWEEP if sweep else SWEEP[:1]:
        result[name_of(change) or "as given"] = {**given, **change}
    return result


def name_of(change: dict[str, Any]) -> str:
    """Return what a shape changes, in words."""
    return ", ".join(f"{name.replace('_', '-')} {value}" for name, value in change.items())


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the settings that may be chosen here; lstmbench checks their values."""
    for name in reversed(SETTINGS):
        kind = str if name in ("dtype", "device") else int
        option = f"--{name.replace('_', '-')}"
        command = click.option(option, name, type=kind, help="As of lstmbench run.")(command)
    return command


@click.command()
@click.option("--backend", default=",".join(OURS), show_default=True, help="Which of ours.")
@click.option("--peer", default=",".join(BY_NAME), show_default=True, help="Beside which peers.")
@settings_options
@click.option("--launches", type=int, help="Starts of each contender.  [default: 5; a sweep: 2]")
@click.option("--rounds", type=int, help="Blocks of each in a launch.  [default: 10; a sweep: 5]")
@click.option("--sweep", is_flag=True, help="At a list of shapes, up to the largest and smallest.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the findings there.")
def main(backend: str, peer: str, sweep: bool, file: Path | None, **given: Any) -> None:
    """Time our backends beside plain scripts of other libraries."""
    registry = with_peers(plugins.discover())
    defaults = {"launches": 2, "rounds": 5} if sweep else {"launches": 5, "rounds": 10}
    chosen = {name: value for name, value in given.items() if value is not None}
    settings = {"backend": f"{backend},{peer}", "device": "cpu", **ONLY, **defaults, **chosen}
    try:
        with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
            results = run(shapes_of(settings, sweep), registry, progress)
    except UsageError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    show(results, console())
    if file:
        answer = {
            "schema": 2,
            "environment": msgspec.to_builtins(results[0].header.environment),
            "shapes": [plain(result) for result in results],
        }
        file.write_text(json.dumps(answer, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

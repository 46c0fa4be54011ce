"""All that is to be known of a machine with a GPU, in one command and without a network.

    python benchmarks/gpu.py [--device cuda:0] [--seconds 510] [--output results/gpu]

Compares the backends of PyTorch and JAX on CUDA with the oracle in every precision, makes the
default experiment with them, times PyTorch with CUDA graphs beside plain PyTorch and torch.compile,
and JAX beside plain Flax, then both of ours beside plain PyTorch at eight other shapes, as far as
time allows. `record.json` in the output folder holds what was found and where; `run/` beside it is
the folder of the experiment, as of `lstmbench run`. What was left out for want of time is named.
"""

import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec
import peers

from lstmbench import UsageError, open_run, render
from lstmbench.execution.workers import KeptWorkers, WorkerFactory
from lstmbench.experiment import check
from lstmbench.experiment import run as runs
from lstmbench.experiment.planning import plan
from lstmbench.interface.errors import headline
from lstmbench.plugins import registry as plugins
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import Record
from lstmbench.protocol.settings import from_mapping
from lstmbench.records import folder as folders

OURS = "torch,jax"
SOME = f"{OURS},torch-plain"
PEERS = ("torch-plain", "torch-compile", "flax-plain")
"""Beside ours at the default shape, as far as they are installed."""
PRECISIONS = ("float64", "tf32", "bfloat16")
"""Those in which the ladder alone is climbed; in float32 it is part of the experiment."""
SHORT = {**peers.ONLY, "launches": 3, "rounds": 8}
"""What is changed of the default experiment's timing."""
FEW = {**peers.ONLY, "launches": 3, "rounds": 6}
FEWER = {**peers.ONLY, "launches": 2, "rounds": 3}
SHAPES: tuple[dict[str, int], ...] = (
    {"batch": 1},
    {"layers": 4},
    {"seq_len": 100},
    {"hidden": 512},
    {"batch": 1, "hidden": 1024},
    {"hidden": 1024},
    {"batch": 1024},
    {"seq_len": 500},
)
"""What is changed of the default shape, the quickest to measure first."""


class Session:
    """What is made of the time that there is: parts that are done one after the other."""

    def __init__(self, output: Path, seconds: float, device: str) -> None:
        self.output, self.start, self.seconds = output, time.monotonic(), seconds
        self.device = device
        self.registry = peers.with_peers(plugins.discover())
        self.record: dict[str, Any] = {"schema": 1, "parts": {}}
        self.longest = 0.0
        self.climbed: list[Record] = []
        """What the ladder has shown of those that are compared, in float32."""

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return self.seconds - (time.monotonic() - self.start)

    def part(self, name: str, work: Callable[[], Any], needs: float = 0.0) -> Any:
        """Do one part, if the seconds that it needs are left; what goes wrong is recorded."""
        told = self.record["parts"][name] = {"seconds": None, "status": "done"}
        found, start = None, time.monotonic()
        if needs and self.left < needs:
            told["status"] = f"left out: it needs about {needs:.0f} s, {self.left:.0f} s were left"
        else:
            try:
                found = self.record[name] = work()
            except Exception as error:
                traceback.print_exc()
                told["status"] = f"failed: {headline(error)}"
            told["seconds"] = round(time.monotonic() - start, 1)
        self.longest = max(self.longest, told["seconds"] or 0.0)
        print(f"{time.monotonic() - self.start:4.0f} s  {name}: {told['status']}", flush=True)
        (self.output / "record.json").write_text(
            json.dumps(self.record, indent=1) + "\n", encoding="utf-8"
        )
        return found

    def plan(self, **given: Any) -> folders.Header:
        """Return the header of a run with these settings."""
        return plan(from_mapping(given, "gpu"), self.registry)


def climb(session: Session, factory: WorkerFactory, dtype: str) -> list[dict[str, Any]]:
    """Return how our backends on CUDA do on the ladder in one precision."""
    header = session.plan(backend=OURS, device=session.device, dtype=dtype, threads=2)
    found = check.climb(header.contenders, header.settings, session.registry, factory=factory)
    return [verdict(one) for one in found]


def verdict(one: check.CheckResult) -> dict[str, Any]:
    """Return what the ladder came to for one contender."""
    errors = [r.result.error for r in one.rungs if r.result.passed and r.result.error is not None]
    return {
        "contender": one.contender.label,
        "status": one.verdict.status,
        "reasons": list(one.verdict.reasons),
        "not_seen": list(one.verdict.unseen),
        "rungs": len(one.rungs),
        "worst_error_in_tolerances": max(errors, default=None),
        "seconds": round(sum(r.seconds or 0.0 for r in one.rungs), 1),
    }


def parity(session: Session, factory: WorkerFactory, header: folders.Header) -> dict[str, Any]:
    """Climb the ladder in every precision, and with the peers, all at the same time: none is timed.

    Records of the peers are added to `session.climbed`.
    """

    def climb_peer(one: Contender) -> list[Record]:
        alone = msgspec.structs.replace(header, contenders=[one])
        return peers.climb(alone, session.registry, factory)

    factory.pinned = False
    with ThreadPoolExecutor(16) as pool:
        ours = {dtype: pool.submit(climb, session, factory, dtype) for dtype in PRECISIONS}
        theirs = [one for one in header.contenders if one.backend in peers.BY_NAME]
        session.climbed += [record for found in pool.map(climb_peer, theirs) for record in found]
        found = {dtype: climbed.result() for dtype, climbed in ours.items()}
    factory.pinned = True
    return found


def experiment(session: Session, factory: WorkerFactory) -> dict[str, Any]:
    """Make the default experiment with our backends on the GPU.

    What its ladder shows of ours is added to `session.climbed`.
    """
    folder = session.output / "run"
    baseline = f"torch:{session.device}"
    folders.create(
        folder, session.plan(backend=OURS, device=session.device, baseline=baseline, **SHORT)
    )
    runs.resume(folder, session.registry, factory=factory)
    result = open_run(folder)
    (folder / "report.md").write_text(render(result), encoding="utf-8")
    (folder / "summary.csv").write_text(render(result, "csv"), encoding="utf-8")
    session.climbed += [record for one in result.contenders for record in one.rungs]
    return json.loads(render(result, "json"))


def compare(
    session: Session, factory: WorkerFactory, name: str, header: folders.Header
) -> dict[str, Any]:
    """Time contenders beside each other at one shape."""
    result = peers.Result(name, header)
    result.records += [one for one in session.climbed if one.contender in header.contenders]
    threads = header.settings.threads
    peers.measure(factory, result, oracle_threads=threads, together=True)
    return peers.plain(result)


def measure(session: Session) -> None:
    """Do all parts, as far as time allows."""
    device = session.device
    missing = {name: plugins.missing(peers.BY_NAME[name].info) for name in PEERS}
    installed = [name for name in PEERS if not missing[name]]
    session.record["not installed"] = {name: why for name, why in missing.items() if why}
    everybody = session.plan(backend=",".join([OURS, *installed]), device=device, **FEW)
    session.record["environment"] = msgspec.to_builtins(everybody.environment)
    session.record["settings"] = msgspec.to_builtins(everybody.settings)
    with WorkerFactory(session.registry) as factory:
        session.part("parity", lambda: parity(session, factory, everybody))
        session.part("experiment", lambda: experiment(session, factory), needs=150)
        name = "the default shape"
        session.part(name, lambda: compare(session, factory, name, everybody), needs=90)
    session.longest = 0.0
    with KeptWorkers(session.registry) as kept:
        for change in SHAPES:
            kept.again()
            name = peers.name_of(change)
            header = session.plan(backend=SOME, device=device, **FEWER, **change)
            work = partial(compare, session, kept, name, header)
            session.part(name, work, needs=max(20.0, 1.2 * session.longest))


def report(record: dict[str, Any]) -> None:
    """Print what matters of a record."""
    for dtype, found in record.get("parity", {}).items():
        for one in found:
            print(
                f"{one['contender']} in {dtype}: {one['status']}, {one['rungs']} rungs in "
                f"{one['seconds']} s, {len(one['not_seen'])} not seen, worst error "
                f"{one['worst_error_in_tolerances']} tolerances",
                *(f"  ! {reason}" for reason in one["reasons"]),
                sep="\n",
            )
    for name, found in record.items():
        if isinstance(found, dict) and "shape" in found:
            print(f"\n{name}", *lines(found), *(f"! {p}" for p in found["problems"]), sep="\n")


def lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each contender and workload of one shape."""
    for label, one in found["contenders"].items():
        for workload, seconds in one["seconds"].items():
            line = f"{label} {workload}: {1e6 * seconds['value']:.1f} µs"
            ratio = one["speed_over"].get("torch-plain", {}).get(workload)
            if ratio and ratio["low"] is not None:
                low, high = ratio["low"], ratio["high"]
                line += f", ÷ torch-plain {ratio['value']:.2f} [{low:.2f}, {high:.2f}]"
            if share := one["share_of_bound"].get(workload):
                line += f", {100 * share['value']:.2g} % of the roofline"
            yield line


@click.command()
@click.option(
    "--device", default="cuda", show_default=True, help="As of lstmbench run; cpu to try it out."
)
@click.option("--seconds", default=510.0, show_default=True, help="About how long it may take.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("results/gpu"),
    show_default=True,
    help="New folder for what is found.",
)
def main(device: str, seconds: float, output: Path) -> None:
    """Find out all that is to be known of a machine with a GPU."""
    try:
        if output.exists() and any(output.iterdir()):
            raise UsageError(f"output folder {str(output)!r} exists and is not empty")
        output.mkdir(parents=True, exist_ok=True)
        session = Session(output, seconds, device)
        measure(session)
    except UsageError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    report(session.record)


if __name__ == "__main__":
    main()

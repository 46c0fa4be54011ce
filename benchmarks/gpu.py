"""All that is to be known of a machine with a GPU, in one command and without a network.

    python benchmarks/gpu.py [--device cuda:0] [--seconds 500] [--output results/gpu]

Compares PyTorch's and JAX's backends on CUDA with the oracle in every precision, makes the default
experiment together with the contenders on the CPU, times PyTorch with CUDA graphs beside plain
PyTorch and torch.compile, and JAX beside plain Flax, then both of ours at eight other shapes, as
far as time allows. `record.json` in the output folder holds what was found and where; `run/` beside
it is the folder of the experiment, as of `lstmbench run`.
"""

import json
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import msgspec
import peers

from lstmbench import UsageError, open_run, render
from lstmbench.execution.workers import WorkerFactory
from lstmbench.experiment import check
from lstmbench.experiment import run as runs
from lstmbench.experiment.planning import plan
from lstmbench.plugins import registry as plugins
from lstmbench.protocol.settings import from_mapping
from lstmbench.records import folder as folders

OURS = "torch,jax"
PRECISIONS = ("float64", "tf32", "bfloat16")
"""Those in which the ladder alone is climbed; in float32 it is part of the experiment."""
SHORT = {"launches": 3, "rounds": 10, "time_budget": 0.0, "precision": 1e-9}
"""What is changed of the default experiment's timing."""
SMALL = {"launches": 2, "rounds": 4, "time_budget": 0.0, "precision": 1e-9}
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

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return self.seconds - (time.monotonic() - self.start)

    def part(self, name: str, work: Callable[[], Any], needs: float = 0.0) -> Any:
        """Do one part, if the seconds that it needs are left; what goes wrong is recorded."""
        told = self.record["parts"][name] = {"seconds": None, "status": "done"}
        found, start = None, time.monotonic()
        if self.left < needs:
            told["status"] = f"left out: it needs about {needs:.0f} s, {self.left:.0f} s were left"
        else:
            try:
                found = self.record[name] = work()
            except Exception as error:
                traceback.print_exc()
                told["status"] = f"failed: {type(error).__name__}: {error}"
            told["seconds"] = round(time.monotonic() - start, 1)
        self.longest = max(self.longest, told["seconds"] or 0.0)
        print(f"{time.monotonic() - self.start:4.0f} s  {name}: {told['status']}", flush=True)
        (self.output / "record.json").write_text(json.dumps(self.record, indent=1) + "\n")
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


def parity(session: Session, factory: WorkerFactory, compared: peers.Result) -> dict[str, Any]:
    """Climb the ladder in every precision, and with the peers, all at the same time: none is timed.

    Records of the peers' climb are added to `compared`.
    """
    with ThreadPoolExecutor() as pool:
        ours = {dtype: pool.submit(climb, session, factory, dtype) for dtype in PRECISIONS}
        theirs = pool.submit(peers.climb, compared.header, session.registry, factory)
        compared.records += theirs.result()
        return {dtype: found.result() for dtype, found in ours.items()}


def experiment(session: Session, factory: WorkerFactory) -> dict[str, Any]:
    """Make the default experiment with all backends, each on its best device."""
    folder = session.output / "run"
    folders.create(folder, session.plan(backend="all", **SHORT))
    runs.resume(folder, session.registry, factory=factory)
    result = open_run(folder)
    (folder / "report.md").write_text(render(result))
    (folder / "summary.csv").write_text(render(result, "csv"))
    return json.loads(render(result, "json"))


def shape(
    session: Session, factory: WorkerFactory, change: dict[str, int], passed: list[Any]
) -> Any:
    """Time ours beside plain PyTorch at another shape."""
    header = session.plan(backend=f"{OURS},torch-plain", device=session.device, **SMALL, **change)
    result = peers.Result(name_of(change), header)
    known = {one.backend for one in header.contenders}
    result.records += [r for r in passed if r.contender.backend in known]
    peers.measure(factory, result, oracle_threads=header.settings.threads)
    return peers.plain(result)


def name_of(change: dict[str, int]) -> str:
    """Return a shape in words."""
    return ", ".join(f"{name.replace('_', '-')} {value}" for name, value in change.items())


def measure(session: Session) -> None:
    """Do all parts, as far as time allows."""
    header = session.plan(
        backend=f"{OURS},torch-plain,torch-compile,flax-plain", device=session.device, **SHORT
    )
    session.record["environment"] = header.environment
    session.record["settings"] = msgspec.to_builtins(header.settings)
    compared = peers.Result("the default shape", header)
    with WorkerFactory(session.registry) as factory:
        session.part("parity", lambda: parity(session, factory, compared))
        climbed = list(compared.records)
        session.part("experiment", lambda: experiment(session, factory), needs=120)

        def beside() -> Any:
            peers.measure(factory, compared, oracle_threads=header.settings.threads)
            return peers.plain(compared)

        session.part("beside other libraries", beside, needs=60)
        session.longest = 0.0
        for change in SHAPES:
            needs = max(25.0, 1.3 * session.longest)
            work = lambda change=change: shape(session, factory, change, climbed)  # noqa: E731
            session.part(name_of(change), work, needs)


def report(record: dict[str, Any]) -> None:
    """Print what matters, as Markdown."""
    for dtype, found in (record.get("parity") or {}).items():
        for one in found:
            print(
                f"{one['contender']} in {dtype}: {one['status']}, {one['rungs']} rungs in "
                f"{one['seconds']} s, worst error {one['worst_error_in_tolerances']} tolerances"
            )
            for reason in one["reasons"]:
                print(f"  ! {reason}")
    for name, found in record.items():
        if not isinstance(found, dict) or "speed_over" not in str(found)[:4000]:
            continue
        print(f"\n{name}")
        for label, one in found["contenders"].items():
            print(f"  {label}: {one['description'].get('path', '')}")
            for workload, seconds in one["seconds"].items():
                ratio = one["speed_over"].get("torch-plain", {}).get(workload)
                share = one["share_of_bound"].get(workload)
                print(
                    f"    {workload} {1e6 * seconds['value']:.1f} µs"
                    + (
                        f", {ratio['value']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}] times "
                        "plain PyTorch's speed"
                        if ratio and ratio["low"] is not None
                        else ""
                    )
                    + (f", {100 * share['value']:.2g} % of the roofline" if share else "")
                )
        for problem in found["problems"]:
            print(f"  ! {problem}")


@click.command()
@click.option(
    "--device", default="cuda", show_default=True, help="As of lstmbench run; cpu to try it out."
)
@click.option("--seconds", default=500.0, show_default=True, help="About how long it may take.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("results/gpu"),
    show_default=True,
    help="New folder for what is found.",
)
def main(device: str, seconds: float, output: Path) -> None:
    """Find out all that is to be known of a machine with a GPU."""
    output.mkdir(parents=True, exist_ok=True)
    session = Session(output, seconds, device)
    try:
        measure(session)
    except UsageError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    report(session.record)


if __name__ == "__main__":
    main()

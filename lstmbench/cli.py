"""The command line: the one place that prints and exits."""

import json
import sys
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from lstmbench.host import signals
from lstmbench.interface.errors import OracleFailed, RunFailed, UsageError, shortened
from lstmbench.protocol.settings import Settings
from lstmbench.report import streams
from lstmbench.report.formats import COMPARISON_FORMATS, FORMATS
from lstmbench.report.text import clean

if TYPE_CHECKING:
    from lstmbench.analysis.results import RunResult
    from lstmbench.analysis.sweep import SweepResult
    from lstmbench.protocol.progress import Report
    from lstmbench.protocol.sweep import Cell, Plan
    from lstmbench.report.progress import Say

EXIT_FAILED, EXIT_USAGE, EXIT_SIGNAL = 1, 2, 128
"""The last one and a signal's number: ended by that signal."""
SIGPIPE = 13
LONGEST = 2000
"""Characters of a line on standard error."""


def main() -> None:
    """Run the command line; what the user did wrong is one line on standard error, status 2."""
    signals.raise_interrupted()
    streams.prepare()
    try:
        status = commands.main(standalone_mode=False)
        sys.stdout.flush()
        sys.exit(status)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(EXIT_USAGE)
    except click.ClickException as error:
        _say(error.format_message())
        sys.exit(EXIT_USAGE)
    except UsageError as error:
        _say(str(error))
        sys.exit(EXIT_USAGE)
    except OracleFailed as error:
        _say(f"{error}; what was measured is kept")
        sys.exit(EXIT_FAILED)
    except RunFailed as error:
        _say(str(error))
        sys.exit(EXIT_FAILED)
    except streams.ReaderGone:
        sys.exit(EXIT_SIGNAL + SIGPIPE)
    except signals.Interrupted as error:
        kept = f"what was measured is kept: {error.go_on}"
        _say(f"interrupted; {kept if error.go_on else 'nothing was measured'}")
        sys.exit(EXIT_SIGNAL + error.number)


def _say(message: str) -> None:
    """Print one line on standard error."""
    print(f"lstmbench: {shortened(clean(' '.join(message.split())), LONGEST)}", file=sys.stderr)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="lstmbench")
def commands() -> None:
    """Which of these LSTM implementations compute the same thing, and how fast?"""


def _option_type(annotation: Any) -> tuple[Any, str]:
    """Return click's type and the help text of a setting, from its annotation."""
    base, *metas = typing.get_args(annotation)
    bounds: dict[str, Any] = {}
    text = ""
    for meta in metas:
        text = meta.description or text
        for ours, clicks in (
            ("ge", "min"),
            ("gt", "min"),
            ("le", "max"),
            ("lt", "max"),
        ):
            if getattr(meta, ours) is not None:
                bounds[clicks] = getattr(meta, ours)
                bounds[f"{clicks}_open"] = ours in ("gt", "lt")
    if typing.get_origin(base) is typing.Literal:
        return click.Choice(typing.get_args(base)), text
    kind = {int: click.IntRange, float: click.FloatRange}.get(base)
    return (kind(**bounds) if kind else str), text


def _settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add one option for each setting; those that are not given stay None."""
    hints = typing.get_type_hints(Settings, include_extras=True)
    for field in reversed(msgspec.structs.fields(Settings)):
        kind, text = _option_type(hints[field.name])
        default = field.default
        name = "--" + field.name.replace("_", "-")
        shown = ",".join(default) if isinstance(default, tuple) else default
        command = click.option(
            name,
            field.name,
            type=kind,
            default=None,
            help=f"{text}  [default: {shown}]" if shown != "" else text,
        )(command)
    tf32 = click.option("--tf32", is_flag=True, default=None, help="The same as --dtype tf32.")
    return tf32(command)


DETAILS = click.option(
    "--details", is_flag=True, help="Everything in the terminal: all tables, and what they mean."
)
OUTPUT = click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write instead of standard output.",
)
STRICT = click.option(
    "--strict",
    is_flag=True,
    help="Status 1 too if a backend passes only as approximate.",
)


@commands.command("run")
@_settings_options
@click.option(
    "--quick",
    is_flag=True,
    help="The whole tour, shorter: few epochs and rounds.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="TOML file of settings; options win over it.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="New folder of the run.  [default: results/…]",
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    help="Do what is missing in a run's folder.",
)
@click.option(
    "--retry-failed",
    is_flag=True,
    help="With --resume: try those again whose process was killed, died or hung.",
)
@click.option(
    "--tensorboard",
    type=click.Path(path_type=Path),
    help="Folder that TensorBoard is to show: written after each epoch.",
)
@click.option(
    "--print-every",
    type=click.IntRange(0, 100_000),
    default=10,
    show_default=True,
    help="Tell the running loss every so many epochs; 0: never.",
)
@DETAILS
@STRICT
def run_command(
    quick: bool,
    config: Path | None,
    output: Path | None,
    resume: Path | None,
    retry_failed: bool,
    tensorboard: Path | None,
    print_every: int,
    details: bool,
    strict: bool,
    **given: Any,
) -> int:
    """Check, time and train every backend, and report which is right and how fast."""
    from lstmbench import api
    from lstmbench.report.progress import RunningLoss

    chosen = _given(given)
    with _progress() as (progress, say):
        told: dict[str, Any] = {
            "progress": progress,
            "listener": RunningLoss(print_every, say).hear,
            "tensorboard": tensorboard,
        }
        if resume:
            if chosen or quick or config or output:
                message = "--resume takes all settings from the folder; give no others with it"
                raise UsageError(message)
            result = api.resume(resume, retry_failed=retry_failed, **told)
        elif retry_failed:
            raise UsageError("--retry-failed goes with --resume DIR")
        else:
            result = api.run(output=output, quick=quick, config=config, **told, **chosen)
    _show_run(result, details)
    _say_where(result)
    return _status(result.succeeded and not (strict and result.approximate))


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that were given on the command line."""
    return {name: value for name, value in options.items() if value is not None}


def _status(passed: bool) -> int:
    return 0 if passed else EXIT_FAILED


def _show_run(result: "RunResult", details: bool) -> None:
    from lstmbench.report import document, summary, terminal

    if details:
        terminal.show(document.document(result), terminal.console())
    else:
        narrow = terminal.console(width=terminal.NARROW)
        terminal.show_summary(summary.summary(result), narrow)


def _say_where(result: "RunResult") -> None:
    """Print where a run was written, and what to install if it has no page."""
    from lstmbench.report import extras

    page = "" if extras.missing("report") else "; charts: report.html"
    print(f"written to {result.folder}{page}")
    if not page:
        _notice("for report.html, with charts: pip install 'lstmbench[report]'")


@contextmanager
def _progress() -> "Iterator[tuple[Report, Say]]":
    """Show progress, and lines beside it, on standard error."""
    from lstmbench.report import progress, terminal

    with progress.shown(terminal.console(stderr=True)) as both:
        yield both


@commands.command("check")
@click.argument("names", nargs=-1, required=True)
@_settings_options
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "json", "junit"]),
    default="terminal",
    show_default=True,
)
@STRICT
def check_command(
    names: tuple[str, ...], as_json: bool, form: str, strict: bool, **given: Any
) -> int:
    """Climb the parity ladder alone, with one or more backends (or all), in seconds."""
    from lstmbench.experiment import check
    from lstmbench.plugins import registry as plugins
    from lstmbench.report import json, parity, terminal
    from lstmbench.report.exports import junit

    form = "json" if as_json else form
    if given.get("backend"):
        raise UsageError("check takes its backends as arguments, not by --backend")
    registry = plugins.discover()
    header = check.plan(registry, *names, **_given(given))
    found = []
    for one in check.climb(header.contenders, header.settings, registry):
        found.append(one)
        if form == "terminal":
            parity.show(
                one.contender,
                header.settings,
                one.verdict,
                one.rungs,
                one.failure,
                terminal.console(),
            )
    if form == "json":
        told = [(f.contender, f.verdict, f.rungs, f.failure) for f in found]
        print(json.render(json.check(header.settings, told)))
    if form == "junit":
        print(junit.render_suites(junit.Suite(f.contender, f.rungs, f.failure) for f in found))
    approximate = any(one.verdict.status == "passed as approximate" for one in found)
    return _status(all(one.passed for one in found) and not (strict and approximate))


@commands.command("selftest")
@_settings_options
@click.option("--experiments", type=click.IntRange(1, 1000), default=4, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def selftest_command(experiments: int, as_json: bool, **given: Any) -> int:
    """A/A: time one backend against itself, for this machine's noise floor.

    Unless given otherwise the backend is numpy, and --time-budget 90 seconds an experiment.
    """
    from lstmbench import api
    from lstmbench.report import json, noise, terminal

    with _progress() as (progress, _):
        result = api.selftest(experiments=experiments, progress=progress, **_given(given))
    if as_json:
        print(json.render(json.selftest(result)))
    else:
        noise.show(result, terminal.console())
    return _status(result.passed)


@commands.command("report")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", *FORMATS]),
    default="terminal",
    show_default=True,
)
@OUTPUT
@click.option(
    "--figures",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for each chart as SVG, PNG and PDF.",
)
@click.option(
    "--tensorboard",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that TensorBoard is to show.",
)
@DETAILS
def report_command(
    folder: Path,
    form: Any,
    output: Path | None,
    figures: Path | None,
    tensorboard: Path | None,
    details: bool,
) -> int:
    """Print the answer of a run again, from its records, or write it for other tools.

    Status 1 if a contender did not pass, or the run is not finished.
    """
    from lstmbench import api

    _check_output(form, output)
    if form != "terminal" and details:
        raise UsageError(f"--details is for the terminal, not for --format {form}")
    result = api.open_run(folder)
    if figures:
        _notice(f"{len(api.figures(result, figures))} files written to {figures}")
    if tensorboard:
        api.write_tensorboard(result, tensorboard)
        _notice(f"written to {tensorboard}; tensorboard --logdir {tensorboard} shows it")
    if form != "terminal":
        _put(api.render(result, form), output)
    elif not figures and not tensorboard:
        _show_run(result, details)
    return _status(result.succeeded)


def _notice(line: str) -> None:
    """Print a line about what was done, beside what was asked for."""
    print(clean(line), file=sys.stderr)


def _check_output(form: str, output: Path | None) -> None:
    """Refuse a file for what is laid out for the terminal."""
    if form == "terminal" and output:
        raise UsageError(f"--output {output} needs a --format other than terminal")


def _put(text: str, output: Path | None) -> None:
    """Print a text, or write it to a file."""
    if output is None:
        print(text, end="")
        return
    from lstmbench.records import folder as folders

    folders.write(output, text)
    _notice(f"written to {output}")


def _a_number(context: click.Context, parameter: click.Parameter, value: float) -> float:
    """Refuse what is no number: all comparisons with it are false."""
    if value != value:
        raise click.BadParameter("nan is not in the range 0<=x<1", context, parameter)
    return value


@commands.command("compare")
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option(
    "--gate",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.05,
    show_default=True,
    callback=_a_number,
    help="Share by which a contender may be slower.",
)
@click.option("--allow-unfinished", is_flag=True, help="Compare what unfinished runs have.")
@click.option("--allow-other-machine", is_flag=True, help="Compare runs of two machines.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", *COMPARISON_FORMATS]),
    default="terminal",
    show_default=True,
)
@OUTPUT
def compare_command(
    before: Path,
    after: Path,
    gate: float,
    allow_unfinished: bool,
    allow_other_machine: bool,
    as_json: bool,
    form: Any,
    output: Path | None,
) -> int:
    """Compare two runs.

    Status 1 if a contender no longer passes, was not measured or is slower than the gate; 2 if the
    two are not to be compared.
    """
    from lstmbench import api
    from lstmbench.report import comparison, formats, terminal

    form = "json" if as_json else form
    _check_output(form, output)
    old, new = api.open_run(before), api.open_run(after)
    found = api.compare(old, new)
    if refusal := found.refusal(allow_unfinished, allow_other_machine):
        raise UsageError(f"cannot compare {before} and {after}: {refusal}")
    if form == "terminal":
        document = comparison.document(found, gate)
        terminal.show_comparison(document, terminal.console())
    else:
        _put(formats.render_comparison(found, old, new, gate, form), output)
    return _status(found.passed(gate))


@commands.command("site")
@click.argument(
    "places", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("site"),
    show_default=True,
    help="Folder to write; a site in it is brought up to date.",
)
def site_command(places: tuple[Path, ...], output: Path) -> int:
    """Write a static site of many runs: the newest answers, their history, each run's report.

    DIR is a run's folder, or a folder of such. The site needs no server: open index.html.
    """
    from lstmbench import api

    count = api.site(places, output)
    print(f"{count} runs written to {output}; open {output / 'index.html'}")
    return 0


@commands.command("sweep")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--axis",
    "axes",
    multiple=True,
    metavar="NAME=VALUES",
    help="A setting and its values: batch=1,8,64, hidden=32:1024:x2, batch=8:64:+8.",
)
@click.option("--grid", is_flag=True, help="All combinations, not one axis at a time.")
@_settings_options
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="TOML file of settings and of [sweep]; options win over it.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Folder of a new sweep.  [default: results/…]",
)
@click.option("--list", "listing", is_flag=True, help="Show the cells, and run nothing.")
@click.option("--cell", help="Run one cell: its number, as --list shows it, or its name.")
@click.option("--submit", is_flag=True, help="Hand the cells over to Slurm, and return at once.")
@click.option("--collect", is_flag=True, help="Write sweep.csv and the report; run nothing.")
def sweep_command(
    folder: Path | None,
    axes: tuple[str, ...],
    grid: bool,
    config: Path | None,
    output: Path | None,
    listing: bool,
    cell: str | None,
    submit: bool,
    collect: bool,
    **given: Any,
) -> int:
    """Time every backend at many shapes, and report who is fastest where.

    With DIR, go on with a sweep that was begun there. Each cell is a run's folder in DIR/cells.
    """
    from lstmbench import api
    from lstmbench.records import sweeps

    settings = _given(given)
    if sum((listing, collect, submit, cell is not None)) > 1:
        raise UsageError("--list, --cell, --submit and --collect exclude each other")
    if folder:
        if axes or grid or config or output or settings:
            raise UsageError("sweep DIR takes all settings from the folder; give no others with it")
        plan = sweeps.read(folder).plan
    else:
        design: Any = "grid" if grid else None
        plan = api.plan_sweep(_axes(axes), design=design, config=config, **settings)
    if listing:
        return _list_cells(plan, folder or output)
    if collect and not folder:
        raise UsageError("--collect goes with sweep DIR")
    if collect and folder:
        return _show_sweep(api.collect(folder), folder)
    place = api.begin_sweep(plan, folder or output or _new_folder("sweep"))
    if submit:
        job, count = api.submit(place)
        print(f"{count} cells submitted as job {job}; lstmbench sweep {place} --list shows them")
        return 0
    with _progress() as (progress, say):
        if cell:
            found = api.sweep_cell(place, cell, progress=progress)
            failed = 0 if found.succeeded else 1
        else:
            result, failed = _run_cells(plan, place, progress, say)
    if cell:
        _show_run(found, details=False)
        print(f"written to {found.folder}")
        return _status(not failed)
    return max(_show_sweep(result, place), _status(not failed))


def _axes(given: tuple[str, ...]) -> dict[str, str]:
    """Return the axes by name; UsageError for one without values, or given twice."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, values = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--axis {text!r}: write NAME=VALUES, such as batch=1,8,64")
        if name in found:
            raise UsageError(f"--axis {name} is given twice; write all values in one")
        found[name] = values
    return found


def _new_folder(what: str) -> Path:
    from datetime import datetime

    return Path("results") / f"{datetime.now():%Y-%m-%dT%H-%M-%S}-{what}"


def _list_cells(plan: "Plan", folder: Path | None) -> int:
    """Print the cells: number, name, how far each has come, and about how long it takes."""
    from lstmbench.experiment import sweep
    from lstmbench.experiment.executors import slurm
    from lstmbench.plugins import registry as plugins
    from lstmbench.protocol.sweep import Cell
    from lstmbench.records import sweeps

    known = folder if folder and (folder / sweeps.SWEEP).is_file() else None
    tasks = slurm.states(known) if known and plan.executor else {}
    count = (
        len(list(plugins.discover().backends))
        if "all" in plan.settings(plan.cells[0]).backend
        else 0
    )

    def told(cell: Cell) -> tuple[str, float]:
        contenders = count or len(plan.settings(cell).backend)
        state = sweeps.state(known, cell) if known else "missing"
        return state, sweep.seconds(plan, cell, contenders)

    left = 0.0
    for number, cell in enumerate(plan.cells, start=1):
        state, seconds = told(cell)
        left += seconds if state != "done" else 0.0
        task = tasks.get(number) if state != "done" else None
        words = f"  {task.state.lower()}: {task.reason}".rstrip(": ") if task else ""
        print(clean(f"{number:>4}  {state:<8} about {seconds:>4.0f} s  {cell.name}{words}"))
    print(f"{len(plan.cells)} cells, about {left / 60:.0f} min left, one after the other")
    return 0


def _run_cells(
    plan: "Plan", folder: Path, progress: "Report", say: "Say"
) -> "tuple[SweepResult, int]":
    """Run the cells that are missing, and return the result and how many could not be run."""
    from lstmbench import api

    refused = []

    def failed(cell: "Cell", reason: str) -> None:
        refused.append(cell)
        say(f"cell {cell.name} cannot be run: {reason}")

    def done(cell: "Cell", place: Path) -> None:
        say(f"cell {cell.name} is done")

    result = api.sweep(plan, folder, progress=progress, done=done, failed=failed)
    return result, len(refused)


def _show_sweep(result: "SweepResult", folder: Path) -> int:
    from lstmbench.report import extras, sweep, terminal

    terminal.show_sweep(sweep.document(result), terminal.console())
    page = "" if extras.missing("report") else ", report.html"
    print(f"written to {folder}: sweep.csv, report.md{page}")
    passed = all(cell.run.succeeded for cell in result.cells)
    return _status(passed and not result.missing)


@commands.command("recommend")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--batch", type=int, help="Sequences in a batch.")
@click.option("--seq-len", type=int, help="Time steps T.")
@click.option("--hidden", type=int, help="Hidden size H.")
@click.option("--layers", type=int, help="LSTM layers L.")
@click.option("--dtype", help="Precision; must have been measured.")
@click.option("--device", help="Device; must have been measured.")
@click.option("--threads", type=int, help="Threads; must have been measured.")
@click.option(
    "--workload",
    type=click.Choice(["train", "forward", "generate"]),
    default="train",
    show_default=True,
    help="What is to be fast.",
)
def recommend_command(folder: Path, workload: str, **shape: Any) -> int:
    """Say which contender is fastest at the cells of a sweep nearest to a shape.

    Status 1 if that cannot be known.
    """
    from lstmbench import api
    from lstmbench.report import sweep

    found = api.recommend(folder, workload, **_given(shape))
    for line in sweep.recommendation(found):
        print(line)
    return _status(bool(found.contenders))


@commands.group("plugin")
def plugin_group() -> None:
    """Write a backend of your own."""


@plugin_group.command("new")
@click.argument("name")
def plugin_new_command(name: str) -> int:
    """Start a plugin: a folder NAME with a distribution that installs and is yet to compute."""
    from lstmbench.plugins import registry as plugins
    from lstmbench.plugins import scaffold

    for path in scaffold.create(name, Path(), plugins.discover()):
        print(f"wrote {path}")
    print(f"next: pip install -e ./{name} && lstmbench check {name}")
    return 0


@commands.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def list_command(as_json: bool) -> int:
    """List backends, tasks and devices; for what is not usable, why, and what to type."""
    from lstmbench.plugins import inventory
    from lstmbench.plugins import registry as plugins

    found = inventory.take(plugins.discover())
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        from lstmbench.report import inventory as listing
        from lstmbench.report import terminal

        listing.show(found, terminal.console())
    return 0


if __name__ == "__main__":
    main()

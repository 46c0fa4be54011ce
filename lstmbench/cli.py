"""The command line: the one place that prints and exits."""

import json
import sys
import typing
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from lstmbench.interface.errors import UsageError
from lstmbench.protocol.settings import QUICK, Settings, from_mapping, read_config

SELFTEST = {"backend": "numpy", "device": "cpu", "time_budget": 90.0}
"""What `selftest` changes of the default settings, unless it is given."""

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


def main() -> None:
    """Run the command line; what the user did wrong is one line on standard error, status 2."""
    try:
        sys.exit(commands.main(standalone_mode=False))
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(EXIT_USAGE)
    except click.ClickException as error:
        message = error.format_message()
    except UsageError as error:
        message = str(error)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; what was measured is kept", err=True)
        sys.exit(EXIT_INTERRUPTED)
    click.echo(f"lstmbench: {' '.join(message.split())}", err=True)
    sys.exit(EXIT_USAGE)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="lstmbench")
def commands() -> None:
    """Which of these LSTM implementations computes the same thing, and how fast?"""


def _option_type(annotation: Any) -> tuple[Any, str]:
    """click's type and the help text of a setting, from its annotation."""
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
    """One option for each setting; those that are not given stay None."""
    hints = typing.get_type_hints(Settings, include_extras=True)
    for field in reversed(msgspec.structs.fields(Settings)):
        kind, text = _option_type(hints[field.name])
        default = field.default
        name = "--" + field.name.replace("_", "-")
        if isinstance(default, bool):
            command = click.option(name, field.name, is_flag=True, default=None, help=text)(command)
            continue
        shown = ",".join(default) if isinstance(default, tuple) else default
        command = click.option(
            name,
            field.name,
            type=kind,
            default=None,
            help=f"{text}  [default: {shown}]" if shown != "" else text,
        )(command)
    return command


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
def run_command(
    quick: bool,
    config: Path | None,
    output: Path | None,
    resume: Path | None,
    **given: Any,
) -> int:
    """Check, time and train every backend, and say which is right and how fast."""
    from lstmbench.experiment import planning
    from lstmbench.plugins import registry as plugins
    from lstmbench.records import folder as store

    chosen = {name: value for name, value in given.items() if value is not None}
    registry = plugins.discover()
    if resume:
        if chosen or quick or config or output:
            raise UsageError("--resume takes all settings from the folder; give no others with it")
        planning.check_resumable(store.read(resume), registry)
        return _finish_run(resume, registry)
    merged = {
        **(QUICK if quick else {}),
        **(read_config(config) if config else {}),
        **chosen,
    }
    settings = from_mapping(merged, "settings")
    header = planning.plan(settings, registry)
    stamp = datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
    folder = output or Path("results") / f"{stamp}-{settings.task}"
    store.create(folder, header)
    return _finish_run(folder, registry)


def _progress() -> Any:
    """Progress bars on standard error; nothing where that is no terminal."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from lstmbench.report import terminal

    stderr = terminal.console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=stderr,
        disable=not stderr.is_terminal,
    )


def _finish_run(folder: Path, registry: Any) -> int:
    from lstmbench.analysis import results as summary
    from lstmbench.experiment import run as runner
    from lstmbench.records import folder as store
    from lstmbench.report import csv, document, markdown, terminal

    with _progress() as progress:
        runner.run(folder, registry, progress)
    result = summary.summarise(store.read(folder))
    answer = document.document(result)
    store.write(folder / "summary.csv", csv.render(result))
    store.write(folder / "report.md", markdown.render(answer))
    terminal.show(answer, terminal.console())
    click.echo(f"written to {folder}")
    return summary.exit_status(result)


@commands.command("check")
@click.argument("names", nargs=-1, required=True)
@_settings_options
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def check_command(names: tuple[str, ...], as_json: bool, **given: Any) -> int:
    """The parity ladder alone, for one or more backends (or all), in seconds."""
    from lstmbench.experiment import conformance
    from lstmbench.plugins import registry as plugins
    from lstmbench.report import terminal, verdicts

    if given.get("backend"):
        raise UsageError("check takes its backends as arguments, not by --backend")
    chosen = {name: value for name, value in given.items() if value is not None}
    registry = plugins.discover()
    header = conformance.plan(registry, *names, **chosen)
    found = []
    for one in conformance.climb(header.rows, header.settings, registry):
        found.append(one)
        if not as_json:
            verdicts.show(one.row, one.rungs, one.failure, terminal.console())
    if as_json:
        answer = [
            {
                "row": msgspec.to_builtins(one.row),
                "sound": one.sound,
                "first_difference": msgspec.to_builtins(one.first_difference),
                "failure": one.failure,
                "rungs": msgspec.to_builtins(one.rungs),
            }
            for one in found
        ]
        click.echo(json.dumps(answer, indent=2))
    return 0 if all(one.sound for one in found) else EXIT_FAILED


@commands.command("selftest")
@_settings_options
@click.option("--experiments", type=click.IntRange(1, 1000), default=4, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def selftest_command(experiments: int, as_json: bool, **given: Any) -> int:
    """A/A: one backend against itself, for this machine's noise floor.

    Unless given otherwise the backend is numpy, and --time-budget 90 seconds an experiment.
    """
    from lstmbench.experiment import planning, selftest
    from lstmbench.plugins import registry as plugins
    from lstmbench.report import noise, terminal

    chosen = {name: value for name, value in given.items() if value is not None}
    registry = plugins.discover()
    settings = from_mapping({**SELFTEST, **chosen}, "settings")
    settings = planning.plan(settings, registry).settings
    with _progress() as progress:
        result = selftest.run(settings, registry, experiments, progress)
    if as_json:
        click.echo(json.dumps(noise.plain(result), indent=2))
    else:
        noise.show(result, terminal.console())
    return 0 if result.sound else EXIT_FAILED


@commands.command("report")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "markdown", "csv", "json"]),
    default="terminal",
    show_default=True,
)
def report_command(folder: Path, form: str) -> int:
    """The answer of a run again, from its records."""
    from lstmbench.analysis import results as summary
    from lstmbench.records import folder as store
    from lstmbench.report import csv, document, markdown, terminal

    result = summary.summarise(store.read(folder))
    match form:
        case "terminal":
            terminal.show(document.document(result), terminal.console())
        case "markdown":
            click.echo(markdown.render(document.document(result)), nl=False)
        case "csv":
            click.echo(csv.render(result), nl=False)
        case "json":
            answer = {
                "header": msgspec.to_builtins(result.header),
                "complete": result.complete,
                "ceiling": msgspec.to_builtins(result.ceiling),
                "rows": csv.rows(result),
            }
            click.echo(json.dumps(answer, indent=2))
    return summary.exit_status(result)


@commands.command("compare")
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option(
    "--gate",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.05,
    show_default=True,
    help="Share by which a row may be slower.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def compare_command(before: Path, after: Path, gate: float, as_json: bool) -> int:
    """Two runs, one held against the other; status 1 if a row broke or is slower than the gate."""
    from lstmbench.analysis import results as summary
    from lstmbench.records import folder as store
    from lstmbench.report import comparison, terminal

    runs = (summary.summarise(store.read(folder)) for folder in (before, after))
    found = comparison.compare(*runs)
    if as_json:
        click.echo(json.dumps(comparison.plain(found, gate), indent=2))
    else:
        comparison.show(found, gate, terminal.console())
    return 0 if comparison.passes(found, gate) else EXIT_FAILED


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
        click.echo(f"wrote {path}")
    click.echo(f"next: pip install -e ./{name} && lstmbench check {name}")
    return 0


@commands.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_command(as_json: bool) -> int:
    """Backends, tasks and devices; for what is not usable, why, and what to type."""
    from lstmbench.plugins import inventory
    from lstmbench.plugins import registry as plugins

    found = inventory.take(plugins.discover())
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        from lstmbench.report import terminal

        inventory.show(found, terminal.console())
    return 0


if __name__ == "__main__":
    main()

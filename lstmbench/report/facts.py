"""What was run, and where: the machine, the settings and how timing went."""

from lstmbench.analysis.results import RunResult
from lstmbench.host.environment import Environment
from lstmbench.host.gpu import GpuState
from lstmbench.interface.errors import LONGEST_LINE, shortened


def facts(run: RunResult) -> list[tuple[str, str]]:
    """Return what to know of a run beforehand, as names and texts."""
    header, env = run.header, run.header.environment
    s = header.settings
    gpus = "; ".join(f"{g.name}, driver {g.driver_version or 'not told'}" for g in env.gpus)
    told = [
        ("machine", machine(env)),
        ("GPU", gpus or "none"),
        ("system", f"{env.platform}, Python {env.python}"),
        ("versions", ", ".join(f"{k} {v}" for k, v in env.versions.items())),
        (
            "model",
            f"{s.layers} LSTM layers of {s.hidden}, batch {s.batch}, {s.seq_len} time steps, "
            f"{s.dtype}, {s.threads} threads a worker",
        ),
        (
            "training",
            "not trained"
            if not s.epochs
            else f"{s.epochs} epochs of {s.batches_per_epoch} batches, learning rate "
            f"{s.learning_rate:g}, teacher forcing {s.teacher_forcing:g}, clip {s.clip:g}, "
            f"seed {s.seed}",
        ),
        (
            "timing",
            f"{run.launches} launches, each of {s.rounds} rounds of "
            f"{s.block_seconds * 1e3:g} ms blocks, interleaved; {_stopped(run)}; "
            f"{_measured(run)}",
        ),
    ]
    told += [(f"peaks, {device}", _peaks(run, device)) for device in run.peaks]
    told += [(f"GPU, {one.device}", _gpu_state(one)) for one in run.gpus]
    if env.load_average:
        governor = env.frequency_governor or "not told"
        load = f"{env.load_average[0]:.2f} processes; frequency governor {governor}"
        told.append(("load at start", load))
    if env.variables:
        variables = " ".join(f"{name}={value}" for name, value in env.variables.items())
        told.append(("variables", shortened(variables, LONGEST_LINE)))
    if env.git_commit:
        told.append(("commit", env.git_commit))
    return told


def machine(env: Environment) -> str:
    """Return the machine in a line."""
    cores = "cores not told" if env.cores_usable is None else f"{env.cores_usable} usable cores"
    parts = [env.cpu, cores]
    if env.memory_bytes is not None:
        parts.append(f"{env.memory_bytes / 2**30:.0f} GiB")
    if env.cpu_quota is not None:
        parts.append(f"limited to the time of {env.cpu_quota:g} cores by its control group")
    return ", ".join(parts)


def _peaks(run: RunResult, device: str) -> str:
    """Return the best rates of a device, and what its libraries need to start an operation."""
    peaks, precision = run.peaks[device], run.settings.arithmetic
    kind = precision.dtype if device == "cpu" and precision.products == "tf32" else precision.name
    rate, width = peaks.matrix_flops_per_second, peaks.memory_bytes_per_second
    arithmetic = f"{rate / 1e9:,.0f} GFLOP/s" if rate else "rate not known"
    what = (
        "copying or reading as many bytes as the weights take"
        if device == "cpu"
        else "copying on the device"
    )
    parts = [f"{arithmetic} of {kind} matrix products"]
    parts += [f"{width / 1e9:,.0f} GB/s of {what}"] if width else []
    starts = [
        f"{one.dispatch_seconds * 1e6:.3g} µs ({one.contender.label})"
        for one in run.contenders
        if one.dispatch_seconds is not None and one.contender.device == device
    ]
    parts += [f"from one smallest operation to the next {', '.join(starts)}"] if starts else []
    return ", ".join(parts)


def _gpu_state(one: GpuState) -> str:
    """Return how a GPU did while it was timed, at its worst."""
    parts = []
    if one.sm_clock_mhz is not None:
        parts.append(f"clock at least {one.sm_clock_mhz} MHz")
    if one.temperature_celsius is not None:
        parts.append(f"at most {one.temperature_celsius} °C")
    if one.power_limit_watts is not None:
        parts.append(f"power limit {one.power_limit_watts:.0f} W")
    throttles = f"held down by {', '.join(one.throttles)}" if one.throttles else "not throttled"
    return ", ".join([*parts, throttles]) if parts else "the driver does not tell"


def _stopped(run: RunResult) -> str:
    stopped, settings = run.stopped, run.header.settings
    if stopped is None:
        return "not finished"
    if stopped.reason == "nothing to time":
        return "no contender passed, so none was timed"
    width = "" if stopped.half_width is None else f", widest interval ± {stopped.half_width:.1%}"
    if stopped.reason == "precision":
        return f"stopped at the precision asked for (± {settings.precision:.1%}){width}"
    return f"stopped at the time budget ({settings.time_budget:g} s){width}"


def _measured(run: RunResult) -> str:
    if run.measured_share is None:
        return "no launch finished"
    return f"{run.measured_share:.0%} of the launches' time was inside timed regions"

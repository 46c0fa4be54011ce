"""What a run will be: which contenders, on what machine, at which settings; or why it cannot be."""

import msgspec

from lstmbench.execution.workers import WorkerFactory, WorkerFailed
from lstmbench.experiment import memory
from lstmbench.host import cpu, environment, gpu
from lstmbench.interface import BackendInfo
from lstmbench.interface.errors import OracleFailed, UsageError, unknown
from lstmbench.interface.workloads import WORKLOADS
from lstmbench.plugins.messages import ALL
from lstmbench.plugins.registry import Registry, unusable
from lstmbench.protocol.contender import Contender, named
from lstmbench.protocol.settings import Settings
from lstmbench.records import folder as folders


def plan(settings: Settings, registry: Registry, cell: str = "") -> folders.Header:
    """Return which contenders there will be, and on what machine; `cell` is that of a sweep.

    Raises UsageError if the settings cannot be met.
    """
    registry.tasks[settings.task]  # refuse an unknown one before all else
    if not settings.threads:
        settings = msgspec.structs.replace(settings, threads=cpu.usable_cores())
    names, skipped = _backends(settings, registry)
    gpus = gpu.devices()
    contenders = [
        Contender(backend=name, device=device)
        for name in names
        for device in _devices(registry.backends[name], settings, registry, gpus)
    ]
    if not contenders:
        raise UsageError(f"no backend can use device {', '.join(settings.device)}")
    memory.check(settings, contenders)
    settings = _with_baseline(settings, contenders)
    _check_task(settings, registry)
    modules = [m for one in contenders for m in registry.backends[one.backend].requires]
    core = ["lstmbench", "numpy", "scipy", "pluggy", "msgspec"]
    return folders.Header(
        lstmbench=environment.versions(["lstmbench"]).get("lstmbench", "unknown"),
        created=folders.now(),
        settings=settings,
        contenders=contenders,
        skipped=skipped,
        environment=environment.describe([*core, *modules]),
        cell=cell,
        workloads={name: workload.version for name, workload in WORKLOADS.items()},
    )


def _backends(settings: Settings, registry: Registry) -> tuple[list[str], dict[str, str]]:
    """Return the names to run, and why others of "all" cannot be."""
    everything = ALL in settings.backend
    names = list(registry.backends) if everything else list(dict.fromkeys(settings.backend))
    for name in settings.backend:  # what is asked for by name must be there, beside "all" too
        if name != ALL and (reason := _unusable(name, settings, registry)):
            raise UsageError(f"backend {name!r} cannot be used: {reason}")
    skipped = {name: reason for name in names if (reason := _unusable(name, settings, registry))}
    if everything:
        skipped |= {f"plugin {b.plugin} ({b.distribution})": b.error for b in registry.broken}
    usable = [name for name in names if name not in skipped]
    if not usable:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
        raise UsageError(f"no backend can be used: {reasons or 'none is installed'}")
    return usable, skipped


def _unusable(name: str, settings: Settings, registry: Registry) -> str:
    """Return why a backend cannot be used, or empty; UsageError if there is none of that name."""
    backends = registry.backends
    if reason := backends.conflict(name):
        return reason
    info = backends[name]
    # TF32 may be used in products of float32; where there is none, they are of float32.
    needed = "float32" if settings.dtype == "tf32" else settings.dtype
    if needed not in info.dtypes:
        return f"it computes in {', '.join(info.dtypes)}, not in {settings.dtype}"
    return unusable(info, backends.distribution(name))


def _devices(
    info: BackendInfo, settings: Settings, registry: Registry, gpus: list[str]
) -> list[str]:
    """Return the devices of one backend among those that were asked for; `gpus` are here."""
    kinds = {kind for one in registry.backends.infos() for kind in one.devices}
    here = {"auto", *gpus, *(kinds - {gpu.CUDA})}
    result = []
    for device in settings.device:
        kind = gpu.kind(device)
        if kind == gpu.CUDA and not gpus:
            choices = ", ".join(sorted(here))
            raise UsageError(
                f"device {device!r}: no NVIDIA GPU can be used here (choices: {choices})"
            )
        if device not in here:
            raise unknown("device", device, here)
        if device == "auto":
            result.append(_best_device(info, settings, registry) if gpus else "cpu")
        elif kind in info.devices:
            result.append(device)
    return list(dict.fromkeys(result))


def _best_device(info: BackendInfo, settings: Settings, registry: Registry) -> str:
    """Return what the backend itself finds here, unless it can use a CPU alone."""
    if not set(info.devices) - {"cpu"}:
        return "cpu"
    try:
        with WorkerFactory(registry) as factory:
            found = factory.devices(info.name, settings)
            return next((device for device in found if device in info.devices), "cpu")
    except WorkerFailed:
        return "cpu"  # its result will say what is wrong


def _with_baseline(settings: Settings, contenders: list[Contender]) -> Settings:
    chosen = settings.baseline
    if not chosen:
        baseline = named(contenders, "torch") or contenders[0]
    elif found := named(contenders, chosen):
        baseline = found
    else:
        raise unknown("baseline", chosen, (one.label for one in contenders))
    return msgspec.structs.replace(settings, baseline=baseline.label)


def _check_task(settings: Settings, registry: Registry) -> None:
    """Have a worker make the task, which may refuse the settings."""
    try:
        with WorkerFactory(registry) as factory:
            factory.open_oracle(settings).close()
    except WorkerFailed as error:
        if error.kind == "refused":
            raise UsageError(error.message) from None
        raise
    except OracleFailed as error:
        raise UsageError(f"{error} (with task {settings.task!r})") from None


def check_resumable(found: folders.Run, registry: Registry) -> None:
    """Raise UsageError if going on with a run would mix two machines' or versions' numbers."""
    before = found.header.environment
    for contender in found.header.contenders:
        registry.backends[contender.backend]
    now = environment.describe(before.versions)
    old, new = ({**one.machine, "versions": one.versions} for one in (before, now))
    for name, value in new.items():
        if value != old[name]:
            raise UsageError(
                f"cannot resume: {name} was {old[name]!r} and is {value!r}; start a new run"
            )

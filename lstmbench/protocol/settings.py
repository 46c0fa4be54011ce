"""What a run is to do: every setting once, with its type, bounds, default and meaning."""

import tomllib
import typing
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from lstmbench.host import files, gpu
from lstmbench.interface import BatchShape, ModelSpec, Options, Precision
from lstmbench.interface.errors import UsageError, headline, message, shortened_value, unknown
from lstmbench.interface.model import PrecisionName

Fraction = Annotated[float, Meta(ge=0, le=1)]


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one run; the defaults are the default experiment."""

    backend: Annotated[
        tuple[str, ...],
        Meta(min_length=1, description="Backends, or all that are usable."),
    ] = ("all",)
    task: Annotated[str, Meta(description="Task to train on.")] = "digits"
    device: Annotated[
        tuple[str, ...],
        Meta(
            min_length=1,
            description="Devices: cpu, cuda, cuda:1, …; auto takes each backend's best.",
        ),
    ] = ("auto",)
    dtype: Annotated[
        PrecisionName,
        Meta(
            description="Precision: with tf32 and bfloat16, of the factors of float32 products; "
            "tf32 may be used where there is such, bfloat16 must be."
        ),
    ] = "float32"
    threads: Annotated[
        int, Meta(ge=0, le=4096, description="Threads of each worker; 0: one a core.")
    ] = 0
    batch: Annotated[int, Meta(ge=1, le=65536, description="Sequences in a batch.")] = 64
    seq_len: Annotated[int, Meta(ge=1, le=10000, description="Time steps T.")] = 10
    hidden: Annotated[int, Meta(ge=1, le=8192, description="Hidden size H.")] = 128
    layers: Annotated[int, Meta(ge=1, le=64, description="LSTM layers L.")] = 2
    epochs: Annotated[
        int, Meta(ge=0, le=100_000, description="Training epochs; 0: nothing is trained.")
    ] = 50
    batches_per_epoch: Annotated[
        int, Meta(ge=1, le=100_000, description="Fresh batches in an epoch.")
    ] = 25
    learning_rate: Annotated[float, Meta(gt=0, le=10, description="Adam's learning rate.")] = 0.001
    teacher_forcing: Annotated[
        Fraction, Meta(description="Probability that a batch is teacher-forced.")
    ] = 0.5
    clip: Annotated[
        float, Meta(gt=0, le=1e30, description="Bound on the global gradient norm.")
    ] = 5.0
    seed: Annotated[int, Meta(ge=0, le=2**53, description="Seed of data and parameters.")] = 0
    baseline: Annotated[
        str,
        Meta(
            description="Contender that ratios refer to, such as torch or torch:cuda; empty: "
            "torch, else the first."
        ),
    ] = ""
    launches: Annotated[
        int,
        Meta(
            ge=2,
            le=1000,
            description="Least times that every backend is started afresh.",
        ),
    ] = 5
    precision: Annotated[
        float,
        Meta(gt=0, le=10, description="Stop at ratios' 95 % intervals of +- this share."),
    ] = 0.02
    time_budget: Annotated[
        float,
        Meta(ge=0, le=1e6, description="Stop timing after about so many seconds."),
    ] = 180.0
    rounds: Annotated[
        int,
        Meta(ge=1, le=100_000, description="Timed blocks of each backend in a launch."),
    ] = 20
    block_seconds: Annotated[
        float,
        Meta(gt=0, le=600, description="Length of a timed block, about, in seconds."),
    ] = 0.05
    timeout: Annotated[
        float,
        Meta(
            gt=0,
            le=86400,
            description="Seconds without an answer until a hang is killed.",
        ),
    ] = 300.0

    @property
    def model(self) -> ModelSpec:
        """The sizes of the model."""
        return ModelSpec(layers=self.layers, hidden=self.hidden)

    @property
    def shape(self) -> BatchShape:
        """The shape of a batch."""
        return BatchShape(batch=self.batch, length=self.seq_len)

    @property
    def arithmetic(self) -> Precision:
        """The precision of the arithmetic; `precision` is that of the measurement."""
        return Precision.named(self.dtype)

    def options(self, device: str, threads: int) -> Options:
        """Return how a backend on `device` is to compute; it sees one of its kind, the first."""
        precision = self.arithmetic
        return Options(
            device=gpu.kind(device),
            dtype=precision.dtype,
            threads=threads,
            products=precision.products,
            learning_rate=self.learning_rate,
            clip_norm=self.clip,
        )


QUICK = {"epochs": 5, "launches": 3, "rounds": 2, "block_seconds": 0.03, "time_budget": 0.0}
"""What --quick changes, unless it is given too."""


def from_mapping(values: dict[str, Any], source: str) -> Settings:
    """Return checked settings from names and values.

    Raises UsageError with `source`, the name and the value if one is unknown or wrong.
    """
    values = _without_tf32(_with_underscores(values, source), source)
    for name in ("backend", "device"):
        if isinstance(values.get(name), str):
            values[name] = [part.strip() for part in values[name].split(",") if part.strip()]
    known = Settings.__struct_fields__
    for name, value in values.items():
        if name not in known:
            raise UsageError(f"{source}: {unknown('setting', name, known)}")
        try:
            msgspec.convert({name: value}, Settings)
        except (msgspec.ValidationError, RecursionError) as error:
            reason = message(error).split(" - at ")[0]
            told = shortened_value(value)
            raise UsageError(f"{source}: {name} = {told}: {reason}{_choices(name)}") from None
    return msgspec.convert(values, Settings)


def _with_underscores(values: dict[str, Any], source: str) -> dict[str, Any]:
    """Return the values with `-` in their names as `_`; a name that is given both ways is wrong."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        plain = name.replace("-", "_")
        if plain in result:
            raise UsageError(f"{source}: {plain} is given twice, once with - and once with _")
        result[plain] = value
    return result


def _without_tf32(values: dict[str, Any], source: str) -> dict[str, Any]:
    """Return the values with `tf32 = true`, another spelling, as `dtype = "tf32"`."""
    values = dict(values)
    tf32, dtype = values.pop("tf32", False), values.get("dtype")
    if not isinstance(tf32, bool):
        raise UsageError(f"{source}: tf32 = {shortened_value(tf32)}: expected `bool`")
    if tf32 and dtype not in (None, "float32", "tf32"):
        raise UsageError(f"{source}: tf32 is a kind of float32; dtype is {shortened_value(dtype)}")
    return {**values, "dtype": "tf32"} if tf32 else values


def _choices(name: str) -> str:
    """Return the values of a setting that has only a few, in words."""
    annotation = typing.get_args(typing.get_type_hints(Settings, include_extras=True)[name])[0]
    if typing.get_origin(annotation) is not Literal:
        return ""
    return f" (choices: {', '.join(typing.get_args(annotation))})"


LARGEST_CONFIG = 1_000_000
"""Bytes of a file of settings."""


def read_config(path: Path) -> dict[str, Any]:
    """Return the checked names and values of a TOML file.

    Raises UsageError with the line or key.
    """
    values = read_toml(path)
    from_mapping(values, str(path))
    return values


def read_toml(path: Path) -> dict[str, Any]:
    """Return what is in a TOML file; raises UsageError with the line."""
    try:
        return tomllib.loads(files.read(path, LARGEST_CONFIG).decode("utf-8"))
    except OSError as error:
        raise UsageError(f"config file {str(path)!r} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"config file {str(path)!r} is not UTF-8: {error}") from None
    except (ValueError, RecursionError) as error:  # also for a number of thousands of digits
        raise UsageError(f"config file {str(path)!r} is not TOML: {headline(error)}") from None

"""How the cells of a sweep are run by Slurm: the table `[sweep.executor]` of a TOML file."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Line = Annotated[str, Meta(max_length=1000, pattern=r"^[^\r\n]*$")]
Word = Annotated[str, Meta(max_length=200, pattern=r"^[^\s]*$")]


class Slurm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One array job, each of whose tasks is `lstmbench sweep DIR --cell K`."""

    kind: Literal["slurm"] = "slurm"
    partition: Word = ""
    constraint: Word = ""
    """Features that a node must have, so that cells are run on machines of one kind."""
    gpus: Annotated[int, Meta(ge=0, le=1000)] = 0
    """GPUs of each task."""
    time: Word = ""
    """Limit of each task, as sbatch takes it: "30", "2:00:00"."""
    exclusive: bool = True
    """Whether a task has its node to itself: beside others, times mean little."""
    parallel: Annotated[int, Meta(ge=0, le=100_000)] = 0
    """How many tasks run at the same time at most; 0 for as many as there are nodes."""
    setup: list[Line] = []
    """Lines of shell that come first, such as "module load python"."""
    options: list[Word] = []
    """More options of sbatch, such as "--account=lab"."""

"""A contender: what a line of the answer is about."""

import re
from collections.abc import Sequence

from msgspec import Struct


class Contender(Struct, frozen=True, kw_only=True, gc=False):
    """A backend on a device in one run."""

    backend: str
    device: str = "cpu"
    """A kind of device, or one of several by its number: "cpu", "cuda", "cuda:1"."""
    replica: int = 0
    """Tells apart contenders that are otherwise the same, as in an A/A run; else 0."""
    injected_slowdown: bool = False
    """Whether it is slowed by a known share, to see whether that is found."""

    @property
    def label(self) -> str:
        """The name in reports, such as "torch:cuda"."""
        name = self.backend if self.device == "cpu" else f"{self.backend}:{self.device}"
        replica = f"#{self.replica}" if self.replica else ""
        return name + replica + (" slowed" if self.injected_slowdown else "")

    @property
    def file_name(self) -> str:
        """The name of a file or folder of its own, such as "torch-cuda"."""
        return re.sub(r"[^\w.+-]", "-", self.label)

    @property
    def names(self) -> tuple[str, ...]:
        """What it may be called, the most exact first: by its label, or by its backend alone."""
        return self.label, f"{self.backend}:{self.device}", self.backend


def named(contenders: Sequence[Contender], name: str) -> Contender | None:
    """Return the contender of that label, else the first of that backend; None without any."""
    for which in range(3):
        for one in contenders:
            if one.names[which] == name:
                return one
    return None

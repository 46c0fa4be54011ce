"""A contender: what a line of the answer is about."""

from msgspec import Struct


class Contender(Struct, frozen=True, kw_only=True):
    """A backend on a device in one run."""

    backend: str
    device: str = "cpu"
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

"""What mk/cross.txt says of the platforms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """A line of mk/cross.txt."""

    name: str
    rust: str
    tools: str
    qemu: str
    zig: str

    @property
    def is_native(self) -> bool:
        return self.qemu == "-"

    def emulated(self, *options: str) -> list[str]:
        """What comes before a command for this platform."""
        return [] if self.is_native else [f"qemu-{self.qemu}-static", *options]


def fields() -> list[list[str]]:
    """The fields of each line."""
    lines = (Path(__file__).resolve().parents[1] / "cross.txt").read_text().splitlines()
    return [line.split() for line in lines if not line.startswith("#")]

"""What the makers of packages share: the platforms, where things are, and what has been tried."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "target"
# The libjlock.so.0 and libjlock.a that were built for a platform are in a directory with its name, or in `dist` there. `make
# platform` builds this machine's, `make cross` the others. Packages contain whichever are there.
PLATFORMS = [TARGET / "platforms", TARGET / "cross"]
OUT = TARGET / "packages"
# What has been tried: one file for each line of the table in docs/packages.md.
RESULTS = OUT / "results"

SONAME = "libjlock.so.0"
ARCHIVE = "libjlock.a"


@dataclasses.dataclass(frozen=True)
class Platform:
    """How each kind of package calls a platform; empty if it cannot be used there."""

    name: str
    wheel: str
    # The first two words are process.platform and process.arch.
    node: str
    go: str
    # Build tags that a program needs as well.
    go_tags: str = ""

    @property
    def directory(self) -> Path | None:
        """Where its library is, if it has been built."""
        places = [each / self.name / place for each in PLATFORMS for place in (".", "dist")]
        return next((place for place in places if (place / SONAME).is_file()), None)

    def file(self, name: str) -> Path:
        assert self.directory is not None
        return self.directory / name


# glibc 2.17 for the architectures that it had by then; 2.27 is the first for riscv64, but wheels can say so only from 2.31 on.
# In Node, koffi supports no big-endian machine, and the package lays out memory for 64-bit pointers.
ALL = [
    Platform("x86_64-gnu", "manylinux2014_x86_64", "linux-x64-glibc", "linux_amd64"),
    Platform("i686-gnu", "manylinux2014_i686", "", "linux_386"),
    Platform("aarch64-gnu", "manylinux2014_aarch64", "linux-arm64-glibc", "linux_arm64"),
    Platform("armv7-gnu", "manylinux2014_armv7l", "", "linux_arm"),
    Platform("riscv64-gnu", "manylinux_2_31_riscv64", "linux-riscv64-glibc", "linux_riscv64"),
    Platform("s390x-gnu", "manylinux2014_s390x", "", "linux_s390x"),
    Platform("x86_64-musl", "musllinux_1_2_x86_64", "linux-x64-musl", "linux_amd64_musl", "musl"),
    Platform("aarch64-musl", "musllinux_1_2_aarch64", "linux-arm64-musl", "linux_arm64_musl", "musl"),
]


def built() -> list[Platform]:
    found = [platform for platform in ALL if platform.directory is not None]
    if not found:
        raise SystemExit("there is no library for any platform; `make platform` builds this machine's")
    return found


def version() -> str:
    found = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


@dataclasses.dataclass
class Result:
    """One line of the table. `tests` is what the suite said in its last line."""

    package: str
    platform: str
    install: str
    contents: str
    size: int
    tests: str
    passed: bool

    def save(self, name: str) -> None:
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n")

"""The platforms that are not this machine's: how their programs run here, and a Python for each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from common import ROOT, TARGET, Platform
from elsewhere import Elsewhere
from target import Target, fields

# Debian's name for an architecture, and the release that we take if Debian 12 does not have it. As Debian has no Python for
# musl, there is none to try.
DEBIAN = {
    "i686-gnu": ("i386", ""),
    "aarch64-gnu": ("arm64", ""),
    "armv7-gnu": ("armhf", ""),
    "riscv64-gnu": ("riscv64", "trixie"),
    "s390x-gnu": ("s390x", ""),
}


class Foreign(Target):
    @property
    def how(self) -> str:
        """For the table, after the number of tests."""
        return "" if self.is_native else ", under qemu-user"


def foreign(platform: Platform) -> Foreign:
    (found,) = [Foreign(*line) for line in fields() if line[0] == platform.name]
    return found


class ForeignPython:
    """Debian's Python for another architecture, with a wheel installed that pip finds fit for it."""

    def __init__(self, place: Elsewhere, platform: Platform, packages: list[str], wheel: Path) -> None:
        kept = TARGET / "cross" / f"python-{platform.name}"
        if not kept.exists():
            architecture, release = DEBIAN[platform.name]
            unpack = [str(ROOT / "mk" / "unpack-foreign.sh"), architecture, str(kept), "python3-minimal", "libpython3-stdlib"]
            subprocess.run(unpack, check=True, env={**os.environ, "DEBIAN_SUITE": release})
        self.place, self.root, self.foreign = place, place.directory / "root", foreign(platform)
        shutil.copytree(kept, self.root, symlinks=True)
        self.program = (self.root / "usr/bin/python3").resolve()
        number = self.program.name.removeprefix("python")
        into = [f"--target={self.root / 'usr/lib/python3/dist-packages'}", f"--python-version={number}", "--only-binary=:all:"]
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *into]
        place.run(*pip, "--no-index", f"--platform={platform.wheel}", str(wheel))
        place.run(*pip, "--platform=any", *packages)

    def run(self, *arguments: str, check: bool = True) -> str:
        libraries = [str(path) for path in self.root.glob("lib/*-linux-gnu*")]
        libraries += [str(path) for path in self.root.glob("usr/lib/*-linux-gnu*")]
        command = [*self.foreign.emulated("-L", str(self.root)), str(self.program), *arguments]
        if self.foreign.is_native:  # qemu-user, however, is told where the libraries are
            return self.place.run(*command, check=check, LD_LIBRARY_PATH=":".join(libraries))
        return self.place.run(*command, check=check)

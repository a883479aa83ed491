"""How large the library is."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

from harness.bench import HERE, Bench
from harness.figure import Row

MOST_KB = 250
WHAT = ("the stripped libjlock.so", "what libjlock.a adds to a stripped C program")


def measure(_: Bench) -> Iterator[Row]:
    for what, kilobytes in zip(WHAT, _kilobytes()):
        yield Row(what, "-", f"{kilobytes} KB", f"≤ {MOST_KB} KB", kilobytes <= MOST_KB)


def _kilobytes() -> list[int]:
    """The sizes, as the Makefile measures them."""
    command = ["make", "--no-print-directory", "-f", "mk/library.mk", "sizes"]
    said = subprocess.run(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True, check=True).stdout
    found = [int(number) for number in re.findall(r": (\d+) KB", said)]
    if len(found) != len(WHAT):
        raise RuntimeError(f"{' '.join(command)}: {said}")
    return found

"""Processes that write to one journal at the same time (c/writer.c)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from .bench import Bench
from .program import Program, running

# By then all of them must have read when to begin.
GATHER_SECONDS = 0.05
NO_LIMIT = 10**9


@dataclass(frozen=True)
class Part:
    """What one of them did; times in seconds."""

    count: int
    p50: float
    p99: float
    longest: float

    @staticmethod
    def of(program: Program) -> Part:
        count, *nanoseconds = program.numbers()
        return Part(count, *(value / 1e9 for value in nanoseconds))


def ready(programs: list[Program]) -> None:
    for program in programs:
        assert program.reply() == "ready"


def begin(programs: list[Program], seconds: float, most: int = NO_LIMIT) -> None:
    at = time.monotonic_ns() + round(GATHER_SECONDS * 1e9)
    for program in programs:
        program.tell(f"{at} {at + round(seconds * 1e9)} {most}\n")


def write(bench: Bench, writers: int, directory: Path, flags: int = 0) -> list[Part]:
    """This many writers, each in a tight loop."""
    with running([bench.c("writer", directory, flags, 0)] * writers) as programs:
        ready(programs)
        begin(programs, bench.scale.crowd_seconds)
        return [Part.of(program) for program in programs]

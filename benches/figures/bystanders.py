"""What bystanders cost: idle handles of other processes, and other files in the directory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from figures.pair import RAW
from harness import crowd
from harness.bench import Bench
from harness.figure import Row, compared, ratio, times
from harness.meter import alternate
from harness.program import running

WRITERS, PROCESSES, HANDLES_EACH = 4, 20, 10
LEAST_RATE, MOST_ONCE = 0.8, 2


def measure(bench: Bench) -> Iterator[Row]:
    files = bench.scale.bystanders
    with bench.scratch() as at, contextlib.ExitStack() as stack:
        alone, idle, crowded = (at / name for name in ("alone", "idle", "crowded"))
        for directory in (alone, idle, crowded):
            directory.mkdir()
        for number in range(files):
            (crowded / f"file-{number}").touch()
        handles = stack.enter_context(running([bench.c("idle", idle, HANDLES_EACH)] * PROCESSES))
        for process in handles:
            assert process.reply() == "ready"
        beside = {
            f"{PROCESSES * HANDLES_EACH} idle handles of other processes": idle,
            f"{files:,} other files in the directory": crowded,
        }
        rates: dict[Path, list[float]] = {directory: [] for directory in (alone, idle, crowded)}
        for _ in range(bench.scale.rounds):
            for directory, counted in rates.items():
                parts = crowd.write(bench, WRITERS, directory)
                counted.append(max(1, sum(part.count for part in parts)) / bench.scale.crowd_seconds)
        for what, directory in beside.items():
            kept = ratio(rates[directory], rates[alone])
            yield Row(
                f"{WRITERS} writers beside {what}: rate",
                "without",
                times(kept),
                f"≥ {LEAST_RATE} ×",
                kept >= LEAST_RATE,
            )
        raw = {str(directory): bench.c("pair_raw", directory / "raw.lock") for directory in (alone, crowded)}
        costs = alternate(raw, bench.scale)
        limit = ratio(costs[str(alone)], costs[str(crowded)])
        yield Row(f"the limit: {RAW}, beside {files:,} other files: rate", "without", times(limit))
        meters = {str(directory): bench.c("once_jlock", directory) for directory in rates}
        once = alternate(meters, bench.scale)
        for what, directory in beside.items():
            yield compared(
                f"open + append + close beside {what}", "without", once[str(directory)], once[str(alone)], MOST_ONCE
            )

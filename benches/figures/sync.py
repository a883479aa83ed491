"""Appends that return only once they are on disk."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from harness import crowd
from harness.bench import Bench
from harness.figure import Row, times
from harness.meter import alternate
from harness.program import running

SYNC = 2  # JLOCK_SYNC
WRITERS = 8
LEAST = 3


def measure(bench: Bench) -> Iterator[Row]:
    disk: list[float] = []
    crowd_on_disk: list[float] = []
    rates: dict[int, list[float]] = {1: [], WRITERS: []}
    for _ in range(bench.scale.rounds):
        disk.append(1 / _raw(bench))
        crowd_on_disk.append(_raw_crowd(bench, disk[-1]))
        for writers, taken in rates.items():
            with bench.scratch() as at:
                parts = crowd.write(bench, writers, at, SYNC)
            taken.append(sum(part.count for part in parts) / bench.scale.crowd_seconds)
    for writers, least in ((1, None), (WRITERS, LEAST)):
        factor = median(ours / raw for ours, raw in zip(rates[writers], disk))
        yield Row(
            f"`JLOCK_SYNC` appends, {writers} writer{'s' if writers > 1 else ''}",
            "one writer's `write` and `fdatasync`",
            f"{times(factor)} the rate",
            f"≥ {least} ×, where the disk allows" if least else "",
            factor >= least if least else None,
            f"{median(rates[writers]):.0f}/s : {median(disk):.0f}/s",
        )
    limit = median(all_of_them / raw for all_of_them, raw in zip(crowd_on_disk, disk))
    yield Row(
        f"the limit: {WRITERS} writers' `write` and `fdatasync` on one file, no lock",
        "one writer's `write` and `fdatasync`",
        f"{times(limit)} the rate",
        medians=f"{median(crowd_on_disk):.0f}/s : {median(disk):.0f}/s",
    )


def _raw_crowd(bench: Bench, rate: float) -> float:
    """What the disk allows to several writers, each on its own: how many writes a second, all together."""
    times_each = max(1, round(rate * bench.scale.crowd_seconds / WRITERS))
    with bench.scratch() as at, running([bench.c("sync_raw", at / "raw.journal")] * WRITERS) as programs:
        for program in programs:
            program.tell(f"{times_each}\n")
        longest = max(program.numbers()[0] for program in programs)
    return WRITERS * times_each / (longest / 1e9)


def _raw(bench: Bench) -> float:
    """Seconds for one write, measured in the same round."""
    with bench.scratch() as at:
        one_round = type(bench.scale)(**{**vars(bench.scale), "rounds": 1})
        [[took]] = alternate({"raw": bench.c("sync_raw", at / "raw.journal")}, one_round).values()
        return took

"""Writers in tight loops: what an append costs all of them together, how long each waits, and how much each gets."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from harness import crowd
from harness.bench import Bench
from harness.figure import Row, compared, seconds, times
from harness.svg import curves

SIZES = (1, 2, 4, 8, 16)
JUDGED = 8
MOST_COST, LONGEST, MOST_SHARE = 2, 0.050, 2


def measure(bench: Bench) -> Iterator[Row]:
    costs: dict[int, list[float]] = {size: [] for size in SIZES}
    waits: dict[int, list[float]] = {size: [] for size in SIZES}
    shares: dict[int, list[float]] = {size: [] for size in SIZES}
    for _ in range(bench.scale.rounds):
        for size in SIZES:
            with bench.scratch() as at:
                parts = crowd.write(bench, size, at)
            counts = [part.count for part in parts]
            costs[size].append(bench.scale.crowd_seconds / sum(counts))
            waits[size].append(max(part.longest for part in parts))
            shares[size].append(max(counts) / max(1, min(counts)))
    for size in SIZES[1:]:
        most = MOST_COST if size == JUDGED else None
        yield compared(f"{size} writers, tight loop: cost per append", "one writer", costs[size], costs[1], most)
    for size in SIZES[1:]:
        wait = median(waits[size])
        yield Row(
            f"{size} writers: longest wait",
            "-",
            seconds(wait),
            f"≤ {seconds(LONGEST)}" if size == JUDGED else "",
            wait <= LONGEST if size == JUDGED else None,
            f"of all rounds: {seconds(max(waits[size]))}",
        )
    for size in SIZES[1:]:
        share = median(shares[size])
        yield Row(
            f"{size} writers: luckiest against unluckiest",
            "-",
            times(share),
            f"≤ {MOST_SHARE} ×" if size == JUDGED else "",
            share <= MOST_SHARE if size == JUDGED else None,
            f"of all rounds: {times(max(shares[size]))}",
        )
    lines = {
        "cost per append": [(size, median(costs[size])) for size in SIZES],
        "longest wait": [(size, median(waits[size])) for size in SIZES],
    }
    curves(bench.plots / "writers.svg", "Writers in tight loops: cost and longest wait by their number", lines)

"""Open, append, close: once in the life of a process."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from harness.bench import Bench
from harness.figure import Row, compared, seconds
from harness.meter import alternate, first

MOST = 60e-6


def measure(bench: Bench) -> Iterator[Row]:
    figure = "open + append + close, once"
    with bench.scratch() as at:
        (at / "raw").mkdir()
        meters = {
            "jlock": bench.c("once_jlock", at / "jlock"),
            "raw": bench.c("once_raw", at / "raw"),
            "shipped": bench.node("shipped.mjs", "append", at / "shipped"),
        }
        for command in meters.values():
            first(command)  # creates the journal
        fresh: dict[str, list[float]] = {name: [] for name in meters}
        for _ in range(bench.scale.rounds):
            for name, command in meters.items():
                fresh[name].append(first(command))
        again = alternate(meters, bench.scale)
    for where, taken in (("first act of a process", fresh), ("in a loop", again)):
        ours, raw, shipped = taken.values()
        more = median(a - b for a, b in zip(ours, raw))
        yield Row(
            f"{figure}, {where}",
            "raw `open(O_EXCL)`, `write`, `open`, `write`, `close`, `unlink`, `close`",
            f"{seconds(more)} more",
            f"≤ {seconds(MOST)} more",
            more <= MOST,
            f"{seconds(median(ours))} : {seconds(median(raw))}",
        )
        yield compared(f"{figure}, {where}", "the shipped peer's call", ours, shipped, None)

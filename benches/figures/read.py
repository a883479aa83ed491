"""Read a large journal, all of its lines distinct."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from harness import journal
from harness.bench import Bench
from harness.figure import Row, compared, ratio, seconds, times
from harness.meter import alternate
from harness.svg import bars

LEAST = 10


def measure(bench: Bench) -> Iterator[Row]:
    count = bench.scale.sizes[-1]
    with bench.scratch() as at:
        directory = at / ".codegraph"
        directory.mkdir()
        path = journal.write(directory, count)
        megabytes = path.stat().st_size / 1e6
        samples = alternate(
            {
                "jlock": bench.c("read_jlock", directory, count),
                "the shipped reader": bench.node("shipped.mjs", "read", at, count),
                "`read` and `memchr`": bench.c("read_limit", "file", path),
                "`memchr` alone": bench.c("read_limit", "memchr", path),
            },
            bench.scale,
        )
    figure = f"read {count:,} entries ({megabytes:.3g} MB)".replace(",", " ")
    ours = samples["jlock"]
    shipped = samples["the shipped reader"]
    faster = ratio(shipped, ours)
    yield Row(
        figure,
        "the shipped reader",
        f"{times(faster)} as fast",
        f"≥ {LEAST} ×",
        faster >= LEAST,
        f"{seconds(median(ours))} : {seconds(median(shipped))}",
    )
    yield compared(figure, "the limit: `read` into new memory, `memchr`", ours, samples["`read` and `memchr`"], None)
    yield compared(figure, "the limit: `memchr` alone", ours, samples["`memchr` alone"], None)
    bars(bench.plots / "read.svg", f"Read {count} entries", {name: median(taken) for name, taken in samples.items()})

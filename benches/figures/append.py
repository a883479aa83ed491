"""Append one entry."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from harness.bench import Bench
from harness.figure import Row, compared
from harness.meter import alternate
from harness.svg import bars


def measure(bench: Bench) -> Iterator[Row]:
    with bench.scratch() as at:
        samples = alternate(
            {
                "jlock": bench.c("append_jlock", at / "jlock"),
                "the shipped peer": bench.node("shipped.mjs", "append", at / "shipped"),
                "raw `write` under `flock`, all kept open": bench.c("append_flock", at / "raw.journal"),
            },
            bench.scale,
        )
    ours, shipped, raw = samples.values()
    yield compared("append one entry", "the shipped peer", ours, shipped, 0.25)
    yield compared("append one entry", "raw `write` under `flock`, all kept open", ours, raw, None)
    bars(bench.plots / "append.svg", "Append one entry", {name: median(taken) for name, taken in samples.items()})

"""Append and stamp: how the cost grows with the journal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from harness import journal
from harness.bench import Bench
from harness.figure import Row, compared
from harness.meter import alternate
from harness.svg import curves

MOST = 1.3


def measure(bench: Bench) -> Iterator[Row]:
    meters: dict[str, list[str]] = {}
    journals: dict[str, tuple[Path, int]] = {}
    sizes = bench.scale.sizes
    with bench.scratch() as at:
        for size in sizes:
            ours, root = at / f"jlock-{size}", at / f"shipped-{size}"
            theirs = root / ".codegraph"
            for kind, directory in (("jlock", ours), ("shipped", theirs)):
                directory.mkdir(parents=True)
                path = journal.write(directory, size)
                journals[f"{kind} {size}"] = path, path.stat().st_size
            meters[f"jlock {size}"] = bench.c("stamp_jlock", ours)
            meters[f"shipped {size}"] = bench.node("shipped.mjs", "stamp", root)
        # Before each turn, cut off what the last one has appended.
        samples = alternate(meters, bench.scale, lambda name: os.truncate(*journals[name]))
    least = samples[f"jlock {sizes[0]}"]
    for size in sizes[1:]:
        most = MOST if size == sizes[-1] else None
        figure = f"append + stamp at {size:,} entries".replace(",", " ")
        yield compared(figure, f"itself at {sizes[0]}", samples[f"jlock {size}"], least, most)
        yield compared(figure, "the shipped peer", samples[f"jlock {size}"], samples[f"shipped {size}"], None)
    lines = {
        name: [(size, median(samples[f"{kind} {size}"])) for size in sizes]
        for name, kind in (("jlock", "jlock"), ("the shipped peer", "shipped"))
    }
    curves(bench.plots / "stamp.svg", "Append and stamp: cost by entries in the journal", lines)

"""A writer that pauses for 1 ms between its appends, beside three that do not."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from harness import crowd
from harness.bench import Bench
from harness.figure import Row, seconds
from harness.program import running

TIGHT, THINK_US = 3, 1000
MOST = 0.005
FOREVER_SECONDS = 3600


def measure(bench: Bench) -> Iterator[Row]:
    parts = [_round(bench) for _ in range(bench.scale.rounds)]
    p50, p99 = (median(getattr(part, name) for part in parts) for name in ("p50", "p99"))
    figure = f"{bench.scale.thoughts} appends, 1 ms apart, beside {TIGHT} tight loops"
    longest = max(part.longest for part in parts)
    yield Row(f"{figure}: p99", "-", seconds(p99), f"≤ {seconds(MOST)}", p99 <= MOST, f"longest: {seconds(longest)}")
    yield Row(f"{figure}: p50", "-", seconds(p50))


def _round(bench: Bench) -> crowd.Part:
    with bench.scratch() as at:
        thinker = bench.c("writer", at, 0, THINK_US)
        with running([thinker] + [bench.c("writer", at, 0, 0)] * TIGHT) as programs:
            crowd.ready(programs)
            crowd.begin(programs[1:], FOREVER_SECONDS)
            crowd.begin(programs[:1], FOREVER_SECONDS, bench.scale.thoughts)
            part = crowd.Part.of(programs[0])
            for tight in programs[1:]:
                tight.process.terminate()
            for tight in programs[1:]:
                crowd.Part.of(tight)
            return part

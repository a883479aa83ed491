"""The time from the release until the one waiter has the lock."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from statistics import median

from harness.bench import Bench
from harness.figure import Row, compared, seconds
from harness.program import Program, running

MOST = 100e-6
POLL_SECONDS = 0.025
A_ROUND = 5


def measure(bench: Bench) -> Iterator[Row]:
    woken: list[float] = []
    polled: list[float] = []
    limit: list[float] = []
    with bench.scratch() as at:
        raw = [bench.c("wake_raw", at / "raw.lock")] * 2
        with running([bench.c("peer", at)] * 2 + raw) as (holder, waiter, raw_holder, raw_waiter):
            for _ in range(bench.scale.rounds * A_ROUND):
                woken.append(_wait(holder, waiter, "a"))
                polled.append(_wait(holder, waiter, "p"))
                limit.append(_wait(raw_holder, raw_waiter, "w"))
    took = median(woken)
    yield Row(
        "wake-up after release, one waiter: p50",
        "-",
        seconds(took),
        f"≤ {seconds(MOST)}",
        took <= MOST,
        f"longest: {seconds(max(woken))}",
    )
    yield compared("the same", "trying every 25 ms", woken, polled, None)
    yield compared("the same", "the limit: `inotify` reports an `unlink`", woken, limit, None)


def _wait(holder: Program, waiter: Program, how: str) -> float:
    holder.tell("a")
    holder.numbers()
    waiter.tell(how)
    # The release must come at a random time between two looks of a waiter that polls.
    time.sleep(POLL_SECONDS * (1 + random.random()))
    holder.tell("r")
    # Read the waiter's reply first: nobody else should wake up at that moment.
    acquired, _ = waiter.numbers()
    released, _ = holder.numbers()
    waiter.tell("r")
    waiter.numbers()
    return (acquired - released) / 1e9

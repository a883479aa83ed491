"""The time from the holder's SIGKILL until the waiter has the lock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median

from harness.bench import Bench
from harness.figure import Row, seconds
from harness.program import Program, running

SETTLE = 0.100
MOST = 0.005
WAITING_SECONDS = 0.02  # long enough for the waiter to be asleep


def measure(bench: Bench) -> Iterator[Row]:
    taken = [_round(bench) for _ in range(bench.scale.rounds)]
    took = median(taken)
    yield Row(
        "hand-over after SIGKILL of the holder",
        "-",
        seconds(took),
        f"≤ settle + {seconds(MOST)} = {seconds(SETTLE + MOST)}",
        took <= SETTLE + MOST,
        f"longest: {seconds(max(taken))}",
    )


def _round(bench: Bench) -> float:
    with bench.scratch() as at, running([bench.c("peer", at)]) as [waiter]:
        holder = Program(bench.c("peer", at))
        holder.tell("a")
        holder.numbers()
        waiter.tell("a")
        time.sleep(WAITING_SECONDS)
        killed = time.monotonic_ns()
        holder.process.kill()
        acquired, _ = waiter.numbers()
        holder.process.communicate()
        waiter.tell("r")
        waiter.numbers()
        return (acquired - killed) / 1e9

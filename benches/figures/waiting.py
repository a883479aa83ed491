"""The CPU time of waiters."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median

from harness.bench import Bench
from harness.figure import Row
from harness.program import running

WAITERS = 8
MOST = 0.01
# A user may have 128 inotify instances, and each of these processes needs one.
PROCESSES = 100
MOST_OF_MANY = 0.001
# Some threads wake up for other reasons.
MOST_WOKEN = 2


def measure(bench: Bench) -> Iterator[Row]:
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(bench.scale.rounds):
        ours.append(_library(bench, WAITERS))
        theirs.append(_shipped(bench))
    share = median(ours)
    hold = f"while a holder holds {bench.scale.hold_seconds:g} s"
    yield Row(
        f"CPU of {WAITERS} waiters {hold}",
        "-",
        f"{share:.3%} of a core each",
        f"≤ {MOST:.0%} of a core each",
        share <= MOST,
        f"most: {max(ours):.3%}",
    )
    yield Row("the shipped peer, one waiter", "-", f"{median(theirs):.0%} of a core")
    crowd = [_library(bench, PROCESSES) for _ in range(bench.scale.rounds)]
    yield Row(
        f"CPU of {PROCESSES} waiting processes",
        "-",
        f"{median(crowd):.4%} of a core each",
        f"≤ {MOST_OF_MANY:.1%} of a core each",
        median(crowd) <= MOST_OF_MANY,
        f"most: {max(crowd):.4%}",
    )
    yield from _many(bench)


def _many(bench: Bench) -> Iterator[Row]:
    """Threads of one process, each with its own handle."""
    count = bench.scale.waiters
    used: list[float] = []
    woken: list[float] = []
    overtaken: list[int] = []
    for _ in range(bench.scale.rounds):
        with bench.scratch() as at:
            hold_ms = round(bench.scale.hold_seconds * 1000)
            with running([bench.c("waiters", at, count, hold_ms)]) as (waiters,):
                cpu, _took, switches, out_of_order = waiters.numbers()
        used.append(cpu / 1e9 / count / bench.scale.hold_seconds)
        woken.append(switches / count)
        overtaken.append(out_of_order)
    share, each = median(used), median(woken)
    yield Row(
        f"CPU of {count} waiting threads",
        "-",
        f"{share:.4%} of a core each",
        f"≤ {MOST_OF_MANY:.1%} of a core each",
        share <= MOST_OF_MANY,
        f"most: {max(used):.4%}",
    )
    yield Row(
        f"threads woken for each release, {count} waiting",
        "-",
        f"{each:.2f}",
        f"≤ {MOST_WOKEN:g}",
        each <= MOST_WOKEN,
        f"most: {max(woken):.2f}",
    )
    yield Row(
        f"threads served before one that came earlier, {count} waiting",
        "-",
        f"{median(overtaken):g}",
        "0",
        median(overtaken) == 0,
        f"most: {max(overtaken)}",
    )


def _library(bench: Bench, count: int) -> float:
    """The share of a core that each of this many waiting processes uses, on average."""
    with bench.scratch() as at, running([bench.c("peer", at)] * (count + 1)) as (holder, *waiters):
        holder.tell("a")
        holder.numbers()
        for waiter in waiters:
            waiter.tell("a")
        time.sleep(bench.scale.hold_seconds)
        holder.tell("r")
        holder.numbers()
        used = 0
        # They may get the lock in any order.
        for waiter in waiters:
            waiter.tell("r")
        for waiter in waiters:
            used += waiter.numbers()[1]
            waiter.numbers()
        return used / 1e9 / count / bench.scale.hold_seconds


def _shipped(bench: Bench) -> float:
    """One waiter is enough: it uses a whole core for as long as it waits (5 s at most)."""
    with bench.scratch() as at:
        directory = at / ".codegraph"
        with running([bench.c("peer", directory), bench.node("wait.mjs", at)]) as (holder, waiter):
            holder.tell("a")
            holder.numbers()
            waiter.tell("\n")
            time.sleep(bench.scale.hold_seconds)
            holder.tell("r")
            holder.numbers()
            used, took = waiter.numbers()
            return used / took

"""Waiters in each language beside tight loops in C, and a thousand of them in one program."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from harness.bench import Bench
from harness.crowd import ready
from harness.figure import Row, compared, seconds
from harness.program import running

LOOPS = 3
MOST = 2
THREADS, SERVED = 20, 1.0


def measure(bench: Bench) -> Iterator[Row]:
    yield from _beside_loops(bench)
    yield from _many_goroutines(bench)


def _beside_loops(bench: Bench) -> Iterator[Row]:
    """The same acquires in the same place, one language after the other, in each round."""
    with bench.scratch() as at:
        waiters = {
            "C": bench.c("turn", at),
            "asyncio": bench.python("turn.py", at),
            "Node": bench.node("turn.mjs", at),
            "Go": [str(bench.programs / "turn_go"), str(at)],
        }
        p99: dict[str, list[float]] = {language: [] for language in waiters}
        with running([bench.c("loop", at)] * LOOPS) as loops, running(list(waiters.values())) as programs:
            ready(loops)
            turns = list(zip(waiters, programs))
            for number in range(bench.scale.rounds):
                for language, program in turns if number % 2 == 0 else reversed(turns):
                    program.tell(f"{bench.scale.turns}\n")
                    _count, _p50, p99_ns, _longest = program.numbers()
                    p99[language].append(p99_ns / 1e9)
    for language in list(waiters)[1:]:
        what = f"{language}: acquire beside {LOOPS} tight loops in C, p99"
        yield compared(what, "a waiter in C, same place", p99[language], p99["C"], MOST)


def _many_goroutines(bench: Bench) -> Iterator[Row]:
    count = bench.scale.goroutines
    threads: list[int] = []
    took: list[float] = []
    for _ in range(bench.scale.rounds):
        with bench.scratch() as at, running([[str(bench.programs / "turn_go"), str(at), str(count)]]) as (program,):
            used, took_ns = program.numbers()
        threads.append(used)
        took.append(took_ns / 1e9)
    yield Row(
        f"{count:,} waiting goroutines: threads",
        "-",
        f"{max(threads)}",
        f"≤ {THREADS}",
        max(threads) <= THREADS,
    )
    all_served = median(took)
    yield Row(
        f"{count:,} waiting goroutines: release to all served",
        "-",
        seconds(all_served),
        f"≤ {seconds(SERVED)}",
        all_served <= SERVED,
        f"longest: {seconds(max(took))}",
    )

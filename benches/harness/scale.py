"""How much to measure: everything, or only enough to show that it runs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    rounds: int  # alternating rounds, of which we take the medians
    round_seconds: float  # how long a meter runs in one round
    sizes: tuple[int, ...]  # of the journals that are stamped; the last one is also read
    crowd_seconds: float  # how long a crowd writes
    thoughts: int  # the appends of the writer that thinks
    hold_seconds: float  # how long the waiters whose CPU time is measured have to wait
    bystanders: int  # files that have nothing to do with the journal
    waiters: int  # threads that wait for one lock
    turns: int  # acquires in each language beside tight loops, in one round
    goroutines: int  # goroutines that wait for one lock


FULL = Scale(15, 0.05, (100, 10_000, 1_000_000), 1.0, 1000, 5.0, 100_000, 300, 200, 1_000)
SMOKE = Scale(1, 0.0, (100, 1_000), 0.02, 5, 0.1, 1_000, 20, 3, 20)

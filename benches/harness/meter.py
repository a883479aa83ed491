"""Meters (c/meter.h) that take turns, so that whatever else the machine does affects all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .program import Program, running
from .scale import Scale


def _nanoseconds(meter: Program, times: int) -> int:
    meter.tell(f"{times}\n")
    return meter.numbers()[0]


def _warm(meter: Program, seconds: float) -> int:
    """Warms it up, and finds out how often it does its operation in this many seconds."""
    times = 1
    while (took := _nanoseconds(meter, times)) < seconds * 1e9 / 2:
        times *= 2
    return max(1, round(times * seconds * 1e9 / max(took, 1)))


def alternate(
    meters: Mapping[str, Sequence[str]], scale: Scale, before: Callable[[str], None] = lambda name: None
) -> dict[str, list[float]]:
    """The seconds that one operation took, for each meter, in each round. `before` is called before each turn."""
    samples: dict[str, list[float]] = {name: [] for name in meters}
    with running(list(meters.values())) as programs:
        turns = list(zip(meters, programs))
        times = {name: _warm(program, scale.round_seconds) for name, program in turns}
        for number in range(scale.rounds):
            for name, program in turns if number % 2 == 0 else reversed(turns):
                before(name)
                samples[name].append(_nanoseconds(program, times[name]) / times[name] / 1e9)
    return samples


def first(command: Sequence[str]) -> float:
    """The seconds that the operation takes if it is the first thing that a new process does."""
    with running([command]) as [program]:
        return _nanoseconds(program, 1) / 1e9

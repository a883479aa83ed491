"""The results: rows of a table, and numbers in readable form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Row:
    figure: str
    against: str
    measured: str
    target: str = ""
    met: bool | None = None  # None: shown, but not judged
    medians: str = ""


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the rounds' ratios."""
    return median(a / b for a, b in zip(ours, theirs))


def times(value: float) -> str:
    return f"{value:.2f} ×" if value < 10 else f"{value:.0f} ×"


def seconds(value: float) -> str:
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(value) >= size:
            break
    else:
        unit, size = "ns", 1e-9
    return f"{value / size:.3g} {unit}" if abs(value) < 1000 * size else f"{value / size:.0f} {unit}"


def compared(figure: str, against: str, ours: Sequence[float], theirs: Sequence[float], most: float | None) -> Row:
    """A row that compares a cost with another: it must be at most `most` times as much."""
    factor = ratio(ours, theirs)
    return Row(
        figure,
        against,
        times(factor),
        "" if most is None else f"≤ {most:g} ×",
        None if most is None else factor <= most,
        f"{seconds(median(ours))} : {seconds(median(theirs))}",
    )

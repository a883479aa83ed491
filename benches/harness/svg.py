"""Plots as SVG, without a library: bars, and curves on two logarithmic axes. Costs are in seconds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from .figure import seconds

WIDTH = 720
COLOURS = ("#1b6ca8", "#d1495b", "#5b8c5a", "#8a6fb0")
Point = tuple[float, float]


def _write(path: Path, height: float, title: str, parts: Iterable[str]) -> None:
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img"'
        ' font-family="system-ui, sans-serif" font-size="13" fill="#222">',
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        _text(16, 26, title, weight="bold"),
        *parts,
        "</svg>",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "normal", fill: str = "#222") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" fill="{fill}">'
        f"{escape(text.replace('`', ''))}</text>"
    )


def _line(points: Sequence[Point], stroke: str, width: float) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="{width:g}"/>'


def bars(path: Path, title: str, costs: Mapping[str, float]) -> None:
    """Draws a bar for each cost, on a linear scale; the first is ours."""
    left, row, top = 330, 26, 42
    longest = max(costs.values())
    parts = []
    for place, (name, cost) in enumerate(costs.items()):
        y = top + place * row
        length = (WIDTH - left - 90) * cost / longest
        parts += [
            _text(left - 8, y + 14, name, "end"),
            f'<rect x="{left}" y="{y}" width="{length:.1f}" height="18" fill="{COLOURS[0 if place == 0 else 1]}"/>',
            _text(left + length + 6, y + 14, seconds(cost)),
        ]
    _write(path, top + row * len(costs) + 14, title, parts)


class _Axis:
    """A logarithmic scale, from values to positions."""

    def __init__(self, values: Iterable[float], begin: float, end: float) -> None:
        exponents = [math.log10(value) for value in values]
        self.low, self.high = math.floor(min(exponents)), math.ceil(max(exponents))
        self.high = max(self.high, self.low + 1)
        self.begin, self.end = begin, end

    def place(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)

    def decades(self) -> list[float]:
        return [10.0**exponent for exponent in range(self.low, self.high + 1)]


def curves(path: Path, title: str, lines: Mapping[str, Sequence[Point]]) -> None:
    """Draws a curve for each: costs go upwards, the numbers that they depend on to the right."""
    left, right, top, bottom = 80, WIDTH - 170, 46, 330
    points = [point for line in lines.values() for point in line]
    across = _Axis((x for x, _ in points), left, right)
    up = _Axis((y for _, y in points), bottom, top)
    parts = []
    for cost in up.decades():
        y = up.place(cost)
        parts += [_line([(left, y), (right, y)], "#ddd", 1), _text(left - 8, y + 4, seconds(cost), "end")]
    for x in sorted({x for x, _ in points}):
        parts.append(_text(across.place(x), bottom + 20, f"{x:,.0f}".replace(",", "\u202f"), "middle"))
    for colour, (name, line) in zip(COLOURS, lines.items()):
        placed = [(across.place(x), up.place(y)) for x, y in line]
        parts.append(_line(placed, colour, 2))
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in placed]
        parts.append(_text(placed[-1][0] + 10, placed[-1][1] + 4, name, fill=colour))
    _write(path, bottom + 36, title, parts)

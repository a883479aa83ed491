"""The table, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from .figure import Row

MET = {True: "yes", False: "**no**", None: ""}


def table(rows: Sequence[Row], judged: bool) -> str:
    lines = [
        "| figure | against | measured | target | met | medians |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        met = MET[row.met] if judged or row.met is None else "not judged"
        lines.append(f"| {row.figure} | {row.against} | {row.measured} | {row.target} | {met} | {row.medians} |")
    return "\n".join(lines) + "\n"

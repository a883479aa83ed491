#!/usr/bin/env python3
"""Prints how much of src/ was reached, and each line that was not reached and has no reason.

    report.py LCOV REASONS

REASONS has the reasons, each followed by the lines that it explains: `FILE: LINE`, with the text of the line,
stripped of the white space around it. A listed line that no longer exists, or that was reached, is a failure too; but
a reason that begins with "Perhaps reached: " is one of lines that some runs reach.
"""

from __future__ import annotations

import collections
import itertools
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
Key = tuple[str, str]
PERHAPS = "Perhaps reached: "


def read_lcov(path: str) -> tuple[dict[str, dict[int, int]], dict[str, dict[tuple[int, str], int]]]:
    """How often each line of each file was run, and each side of each branch."""
    lines: dict[str, dict[int, int]] = collections.defaultdict(dict)
    branches: dict[str, dict[tuple[int, str], int]] = collections.defaultdict(dict)
    name = ""
    for line in pathlib.Path(path).read_text().splitlines():
        kind, _, rest = line.partition(":")
        if kind == "SF":
            file = pathlib.Path(rest).resolve()
            name = str(file.relative_to(ROOT)) if file.is_relative_to(ROOT) else ""
        elif kind == "DA" and name:
            number, count = rest.split(",")[:2]
            lines[name][int(number)] = max(lines[name].get(int(number), 0), int(count))
        elif kind == "BRDA" and name:
            number, block, way, count = rest.split(",")
            taken = 0 if count == "-" else int(count)
            key = (int(number), f"{block}/{way}")
            branches[name][key] = max(branches[name].get(key, 0), taken)
    return lines, branches


def end_of_code(text: list[str]) -> int:
    """The line where the unit tests begin."""
    for number, (line, following) in enumerate(itertools.pairwise(text), 1):
        if line == "#[cfg(test)]" and re.match(r"(pub\(crate\) )?mod ", following):
            return number
    return len(text) + 1


def is_code(line: str) -> bool:
    """Not the end of a block or of a list, which belongs to the line that it ends."""
    return re.search(r"\w", line) is not None


def read_reasons(path: str) -> dict[Key, str]:
    reasons: dict[Key, str] = {}
    reason: list[str] = []
    before = ""
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith("# "):
            reason = [*reason, line[2:]] if before.startswith("# ") else [line[2:]]
        elif line.strip():
            file, _, text = line.partition(": ")
            reasons[file, text.strip()] = " ".join(reason)
        before = line
    return reasons


def share(reached: int, of: int) -> str:
    return f"{reached} of {of} ({100 * reached / max(of, 1):.1f} %)"


def main(lcov: str, reasons_file: str) -> int:
    lines, branches = read_lcov(lcov)
    reasons = read_reasons(reasons_file)
    unused = {key for key, reason in reasons.items() if not reason.startswith(PERHAPS)}
    unexplained, explained = [], 0
    all_lines = all_reached = all_ways = all_taken = 0
    for name in sorted(lines):
        if not name.startswith("src/"):
            continue
        text = (ROOT / name).read_text().splitlines()
        end = end_of_code(text)
        counted = {number: count for number, count in lines[name].items() if number < end and is_code(text[number - 1])}
        ways = {key: count for key, count in branches[name].items() if key[0] < end}
        missed = sorted(number for number, count in counted.items() if not count)
        all_lines, all_reached = all_lines + len(counted), all_reached + len(counted) - len(missed)
        all_ways, all_taken = all_ways + len(ways), all_taken + sum(count > 0 for count in ways.values())
        taken = sum(count > 0 for count in ways.values())
        print(f"{name:<28} lines {share(len(counted) - len(missed), len(counted)):<22} branches {share(taken, len(ways))}")
        for number in missed:
            key = (name, text[number - 1].strip())
            if reasons.get(key):
                explained += 1
                unused.discard(key)
            else:
                unexplained.append(f"{name}:{number}: {key[1]}")
    print(f"src: lines {share(all_reached, all_lines)}, branches {share(all_taken, all_ways)}")
    print(f"figure: lines of src/ that no suite reaches, with a reason = {explained}")
    if unexplained:
        print(f"{len(unexplained)} lines are not reached and have no reason:", *unexplained, sep="\n")
    if unused:
        print("these have a reason but are reached or gone:", *(": ".join(key) for key in sorted(unused)), sep="\n")
    return 1 if unexplained or unused else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

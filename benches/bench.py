"""The benchmark: everything side by side, on one file system, in one run. `make bench` runs it.

Writes table.md, results.json and plots to --out.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import figures
from harness import machine
from harness.bench import Bench
from harness.figure import Row
from harness.scale import FULL, SMOKE
from harness.table import table


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=Path, required=True, help="where the measuring programs are")
    parser.add_argument("--dir", type=Path, required=True, help="where to measure: a directory, created if it is missing")
    parser.add_argument("--out", type=Path, required=True, help="where the results go")
    parser.add_argument("--smoke", action="store_true", help="the smallest form: checks that it runs, and judges no times")
    parser.add_argument("--only", metavar="FIGURE", help="only one figure, by the name of its file")
    return parser.parse_args()


def measure(bench: Bench, only: str | None) -> list[Row]:
    rows: list[Row] = []
    for figure in figures.ALL:
        name = figure.__name__.rpartition(".")[2]
        if only in (None, name):
            print(f"{name} …", file=sys.stderr, flush=True)
            rows += figure.measure(bench)
    return rows


def main() -> None:
    given = arguments()
    scale = SMOKE if given.smoke else FULL
    out: Path = given.out / "only" if given.only else given.out  # the last complete results stay
    for directory in (given.dir, out):
        directory.mkdir(parents=True, exist_ok=True)
    bench = Bench(given.programs.resolve(), given.dir.resolve(), out / "plots", scale)
    idle = [machine.idle_share()] if not given.smoke else []
    rows = measure(bench, given.only)
    idle += [machine.idle_share()] if not given.smoke else []
    text = table(rows, judged=not given.smoke)
    results = {
        "machine": machine.describe(given.dir),
        "rounds": scale.rounds,
        "complete": given.only is None and not given.smoke,
        "quiet": not given.smoke and min(idle) >= machine.QUIET,
        "idle": idle,
        "rows": [asdict(row) for row in rows],
    }
    (out / "results.json").write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    (out / "table.md").write_text(text)
    print(text)
    if not given.smoke:
        print(f"{results['machine']}; medians of {scale.rounds} alternating rounds.")
        if not results["quiet"]:
            print("The machine was busy with other things: do not trust these figures.")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Runs every proof at its full bounds and makes one table of their figures.

The long fuzzing runs beside the other steps, in the time that they leave idle.

    prove.py [STEP…]     runs all steps, or these; the table is target/prove/table.md
    prove.py --page      puts that table into docs/proof.md, between its two markers

The table has the last run of each step, and says which were not run. JLOCK_FUZZ_RUNS and VM_TURNS lower the bounds of the
two longest.

Everything random comes from one seed: JLOCK_SEED or, if that is not set, a new one, which is printed. The same seed gives
the same run. Each step gets it in its environment; without it, the tests use a fixed seed.

A step prints its figures as lines `figure: NAME = NUMBER`; those with the same name are added up. The output of each step
stays in target/prove/STEP.log, and its outcome in STEP.json.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import platform
import re
import secrets
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "target" / "prove"
TABLE = OUT / "table.md"
BEGIN, END = "<!-- figures of make prove -->", "<!-- end of figures -->"
SEED = os.environ.get("JLOCK_SEED") or str(secrets.randbelow(2**31))
FIGURE = re.compile(r"figure: (.+?) = (\d+)")


@dataclasses.dataclass(frozen=True)
class Step:
    name: str
    what: str
    command: str
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    # Runs from the start, while the others run one after the other.
    beside: bool = False


def test(target: str, what: str, *, name: str = "", features: str = "", only: str = "", **environment: str) -> Step:
    """One of cargo's test targets, or some of its modules; it prints its figures to stdout or stderr."""
    words = ["cargo test --quiet", features and f"--features {features}", f"--test {target} -- --nocapture", only]
    return Step(name or target, what, " ".join(filter(None, words)), environment or {"JLOCK_PROVE": "1"})


STEPS = [
    test("model", "The protocol, every interleaving", JLOCK_MODEL_FULL="1"),
    test("stepped", "The real code, one system call at a time", features="seam"),
    test("fault", "Killed, and failed, at every system call"),
    test("storm", "Storms", only="library:: stopped:: oracle::"),
    test("storm", "The shipped peer, fixed", name="fixed", only="fixed::"),
    test(
        "storm",
        "Other implementations, written from PROTOCOL.md, together with the library and a shipped peer",
        name="second",
        only="second::",
    ),
    test("differential", "Against the shipped code itself"),
    Step(
        "python",
        "A million operations in each language leave nothing behind",
        "cd examples/python && $PYTHON -m pytest -q -s tests/test_flat.py -k many",
        {"JLOCK_OPERATIONS": "1000000", "PYTHON": str(ROOT / "target" / "venv" / "bin" / "python")},
    ),
    Step(
        "go",
        "",
        "sh examples/go/lib/fill.sh && cd examples/go && go test -count=1 -v -timeout=5h -run=NothingGrows .",
        {"JLOCK_OPERATIONS": "1000000"},
    ),
    Step(
        "node",
        "",
        "cd examples/node && node --test --test-name-pattern=thousands test/ending.test.js",
        {"JLOCK_OPERATIONS": "1000000"},
    ),
    Step("fuzz", "Fuzz targets, coverage-guided, with AddressSanitizer", "chrt --idle 0 fuzz/run.sh runs ${JLOCK_FUZZ_RUNS:-10000000}", beside=True),
    Step("address", "AddressSanitizer", "tests/sanitize/run.sh address 500000"),
    Step("thread", "ThreadSanitizer", "tests/sanitize/run.sh thread 200000"),
    Step("valgrind", "valgrind", "tests/sanitize/run.sh valgrind"),
    Step("vm", "Network file systems and FAT, in virtual machines", "make --no-print-directory test-vm VM_TURNS=${VM_TURNS:-2000}"),
    Step(
        "powercut",
        "Power cuts, and disks replayed at each flush",
        "make --no-print-directory test-powercut VM_CUTS=50 VM_APPENDS=1000",
    ),
]


@dataclasses.dataclass(frozen=True)
class Outcome:
    figures: dict[str, int]
    seconds: float
    passed: bool
    # When and where, and from which seed.
    run: str


def run(step: Step) -> Outcome:
    print(f"{step.name}: {step.command}", flush=True)
    begun = time.monotonic()
    log = OUT / f"{step.name}.log"
    with log.open("wb") as out:
        process = subprocess.run(
            ["bash", "-c", step.command],
            cwd=ROOT,
            env={**os.environ, "JLOCK_SEED": SEED, **step.environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    text = log.read_text(errors="replace")
    figures: dict[str, int] = {}
    for name, number in FIGURE.findall(text):
        figures[name] = figures.get(name, 0) + int(number)
    passed = process.returncode == 0 and bool(figures)
    if process.returncode != 0:
        print(f"{step.name}: failed, see {log.relative_to(ROOT)}", *text.splitlines()[-40:], sep="\n")
    elif not figures:
        print(f"{step.name}: printed no figure")
    outcome = Outcome(figures, time.monotonic() - begun, passed, f"{machine()}, `JLOCK_SEED={SEED}`")
    saved(step).write_text(json.dumps(dataclasses.asdict(outcome)))
    return outcome


def saved(step: Step) -> Path:
    return OUT / f"{step.name}.json"


def machine() -> str:
    today = datetime.datetime.now(datetime.timezone.utc).date()
    return f"{today}, {os.cpu_count()} CPUs, {platform.system()} {platform.release().split('-')[0]}"


def run_all(steps: list[Step]) -> list[Outcome]:
    with ThreadPoolExecutor() as pool:
        beside = {step.name: pool.submit(run, step) for step in steps if step.beside}
        in_turn = {step.name: run(step) for step in steps if not step.beside}
        return [in_turn[step.name] if step.name in in_turn else beside[step.name].result() for step in steps]


def table() -> str:
    lines = ["| proof | figure | |", "| --- | --- | ---: |"]
    runs: dict[str, list[str]] = {}
    for step in STEPS:
        what = step.what
        if not saved(step).exists():
            lines.append(f"| {what} | **not run** | |")
            continue
        outcome = Outcome(**json.loads(saved(step).read_text()))
        runs.setdefault(outcome.run, []).append(step.name)
        for name, number in outcome.figures.items():
            lines.append(f"| {what} | {name} | {number:,} |")
            what = ""
        lines.append(f"| {what} | {'passed' if outcome.passed else '**failed**'} in | {clock(outcome.seconds)} |")
    lines.append("")
    for run, names in runs.items():
        lines.append(f"`make prove`, {run}: {', '.join(names)}.")
    return "\n".join([*lines, ""])


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60} min {int(seconds) % 60:02} s"


def prove(names: list[str]) -> int:
    unknown = set(names) - {step.name for step in STEPS}
    if unknown:
        print(f"no such step: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    print(f"JLOCK_SEED={SEED}", flush=True)
    OUT.mkdir(parents=True, exist_ok=True)
    steps = [step for step in STEPS if not names or step.name in names]
    if not names:
        for step in steps:
            saved(step).unlink(missing_ok=True)
    outcomes = run_all(steps)
    text = table()
    TABLE.write_text(text)
    print(text)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def into_page() -> int:
    page = ROOT / "docs" / "proof.md"
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        print(f"docs/proof.md has no {BEGIN} … {END}", file=sys.stderr)
        return 1
    page.write_text(f"{before}{BEGIN}\n{TABLE.read_text()}{END}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(into_page() if sys.argv[1:] == ["--page"] else prove(sys.argv[1:]))

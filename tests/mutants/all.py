#!/usr/bin/env python3
"""Changes the code in many places, one at a time, and checks whether any test turns red.

    all.py [--every N] [--tests T,…] [FILE…]   tries every change (or each Nth) in these files of src/, or in DEFAULT
    all.py --page                              puts the outcome into README.md, between its two markers

All changes are compiled into one library (mutate.py). First each test runs alone on the unchanged code: it must pass,
and the functions that it reaches are recorded. Then, for each change, the tests that reach its function run, the
fastest first, until one fails or hangs. Outcomes are kept in target/mutants/all.jsonl, and a run continues where the
last one of the same code ended. survivors.txt has the reasons for changes that no test notices.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import glob
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TextIO

import many
import mutate
import tree

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
SURVIVORS = HERE / "survivors.txt"
BEGIN, END = "<!-- changes -->", "<!-- end of changes -->"
DEFAULT = ["lock/*.rs", "journal.rs", "journal/*.rs", "sys/fork.rs", "capi/guard.rs", "capi/handle.rs", "capi/journal.rs", "capi/lock.rs"]
OUTCOMES = tree.OUT / "all.jsonl"
BASE = tree.OUT / "all-base.json"
# In order of speed. The random schedules of the last would take too long.
TARGETS = ["lib", "protections", "journal", "cost", "capi", "regression", "guest", "vectors", "stepped"]
LEFT_OUT = ("no_random_schedule", "every_claim_holds", "_valgrind", "contained::")
# It limits the size of files, also of the record of what it reaches. So it runs for every change.
UNRECORDED = ("limits::a_file_that_may_not_grow_so_far",)
# The vectors in other languages.
ELSEWHERE = ("c::", "cpp::", "shell::")
# How many changes are built into one library.
BATCH = 400
JOBS = int(os.environ.get("JLOCK_JOBS", "2"))
# The tests that reach a function are run for about this many seconds altogether.
ENOUGH = float(os.environ.get("JLOCK_MUTANT_SECONDS", "120"))


@dataclasses.dataclass(frozen=True)
class Mutant:
    number: int
    file: str
    # The function's number among all functions.
    place: int
    line: int
    # Its name, which stays the same from run to run.
    key: str
    version: many.Version


@dataclasses.dataclass
class Test:
    target: str
    name: str
    seconds: float = 0.0
    reaches: frozenset[int] = frozenset()


def every_change(files: list[str]) -> list[Mutant]:
    functions = many.Many(files)
    mutants: list[Mutant] = []
    named: dict[str, int] = {}
    for file in files:
        source = functions.sources[file]
        for index, function in enumerate(functions.functions[file]):
            body = source[function.start : function.end]
            for change in function.changes:
                key = f"{file}: {function.name}: {change.what}"
                named[key] = named.get(key, 0) + 1
                key += f" ({named[key]})" if named[key] > 1 else ""
                line = source.count("\n", 0, change.start) + 1
                start, stop = change.start - function.start, change.end - function.start
                changed = body[:start] + change.by + body[stop:]
                number = len(mutants) + 1
                version = many.Version(number, file, index, changed)
                mutants.append(Mutant(number, file, functions.first[file] + index, line, key, version))
    return mutants


# ------------------------------------------------------------------------------------------------- running


def list_tests(target: str, program: str) -> list[Test]:
    listed = subprocess.run([program, "--list"], cwd=tree.TREE / "capi", capture_output=True, text=True, check=True)
    names = [line.removesuffix(": test") for line in listed.stdout.splitlines() if line.endswith(": test")]
    names = [name for name in names if not any(part in name for part in LEFT_OUT)]
    return [Test(target, name) for name in names if target != "vectors" or not name.startswith(ELSEWHERE)]


def measure(test: Test, program: str) -> bool:
    """Records how long it takes and which functions it reaches. `False` if it fails on the unchanged code."""
    reached = tree.OUT / f"reached-{threading.get_ident()}"
    reached.write_bytes(b"")
    reached.chmod(0o666)
    code, test.seconds, _ = many.run_tests(program, ["--exact", test.name], 900, {many.REACHED: str(reached)})
    if code != 0:
        # The record is one more open file for a moment, which a test may notice.
        code, test.seconds, _ = many.run_tests(program, ["--exact", test.name], 900, {})
    test.reaches = frozenset(int(number) for number in reached.read_text().split())
    reached.unlink()
    return code == 0


def base(programs: dict[str, str], digest: str) -> list[Test]:
    if BASE.exists():
        known = json.loads(BASE.read_text())
        if known["digest"] == digest:
            return [Test(test["target"], test["name"], test["seconds"], frozenset(test["reaches"])) for test in known["tests"]]
    tests = []
    for target, program in programs.items():
        found = list_tests(target, program)
        begun = time.monotonic()
        with ThreadPoolExecutor(JOBS) as pool:
            passed = list(pool.map(lambda test: measure(test, program), found))
        failing = [test.name for test, has_passed in zip(found, passed) if not has_passed]
        if failing:
            tree.say(f"{target}: fails on the unchanged code, and is left out: {', '.join(failing)}")
        tests += [test for test, has_passed in zip(found, passed) if has_passed]
        tree.say(f"{target}: {len(found)} tests in {time.monotonic() - begun:.0f} s")
    known = [{**dataclasses.asdict(test), "reaches": sorted(test.reaches)} for test in tests]
    BASE.write_text(json.dumps({"digest": digest, "tests": known}))
    return tests


def rounds(tests: list[Test]) -> Iterator[tuple[str, list[Test]]]:
    """The tests of one program at a time, the fast ones first."""
    limits = [0.1, 0.5, 2.0, 8.0, 30.0, float("inf")]
    gone = 0.0
    for low, high in zip([0.0, *limits], limits):
        for target in TARGETS:
            some = [test for test in tests if test.target == target and low <= test.seconds < high]
            if some and gone < ENOUGH:
                gone += sum(test.seconds for test in some)
                yield target, some


def try_out(mutant: Mutant, tests: list[Test], programs: dict[str, str]) -> dict[str, object]:
    begun = time.monotonic()
    reaching = [test for test in tests if mutant.place in test.reaches]
    unrecorded = [test for test in tests if test.name.startswith(UNRECORDED) and test not in reaching]
    outcome, by = "survived" if reaching else "not reached", ""
    for target, some in rounds(reaching + unrecorded):
        patience = 20 + 6 * sum(test.seconds for test in some)
        names = ["--exact", *(test.name for test in some)]
        code, _, _ = many.run_tests(programs[target], names, patience, {many.CHOSEN: str(mutant.number)})
        if code != 0:
            outcome, by = "killed", f"{target}{' (does not end)' if code is None else ''}"
            break
    seconds = round(time.monotonic() - begun, 1)
    return {"key": mutant.key, "file": mutant.file, "line": mutant.line, "outcome": outcome, "by": by, "seconds": seconds}


def run(patterns: list[str], every: int, targets: list[str]) -> int:
    tree.use("all")
    tree.ENVIRONMENT["CARGO_PROFILE_TEST_OPT_LEVEL"] = "0"
    files = [name for pattern in patterns for name in sorted(glob.glob("src/" + pattern, root_dir=tree.ROOT))]
    mutants = every_change(files)
    code, tests_digest = digest_of_code(), digest_of_tests(targets)
    known = outcomes(code, tests_digest)
    chosen = mutants[::every]
    left = [mutant for mutant in chosen if mutant.key not in known]
    tree.say(f"{len(mutants)} changes; {len(chosen)} to try, {len(left)} of them not tried yet")
    batches = -(-len(left) // BATCH)
    tests: list[Test] = []
    for batch in range(batches):
        # Only a few of the same function at a time: long functions take long to compile.
        some = left[batch::batches]
        versions = many.Many(files)
        for mutant in some:
            versions.add(mutant.version)
        versions.build()
        programs = {target: many.program(target, versions.stamp) for target in targets}
        tests = tests or base(programs, code + tests_digest + repr(files))
        with OUTCOMES.open("a") as out:
            record = Record(out, {"code": code, "tests": tests_digest})
            for mutant in some:
                if mutant.number in versions.refused:
                    record.add({"key": mutant.key, "file": mutant.file, "line": mutant.line, "outcome": "not buildable"})
            buildable = [mutant for mutant in some if mutant.number not in versions.refused]
            with ThreadPoolExecutor(JOBS) as pool:
                list(pool.map(lambda mutant: record.add(try_out(mutant, tests, programs)), buildable))
    report(mutants, outcomes(code, tests_digest), every)
    return 0


class Record:
    """Saves each outcome as soon as it is known."""

    def __init__(self, out: TextIO, head: dict[str, str]) -> None:
        self.out, self.head, self.guard = out, head, threading.Lock()

    def add(self, outcome: dict[str, object]) -> None:
        with self.guard:
            self.out.write(json.dumps({**self.head, **outcome}) + "\n")
            self.out.flush()
            if outcome["outcome"] not in ("killed", "not buildable"):
                tree.say(f"{outcome['key']} (line {outcome['line']}): {outcome['outcome']}")


def digest_of_code() -> str:
    """The digest of all that is compiled into the library; comments and tests do not change what was found."""
    digest = hashlib.sha256()
    for name in sorted(tree.files()):
        if name.startswith("src/") and name.endswith(".rs"):
            found = mutate.without_tests(mutate.tokens((tree.ROOT / name).read_text()))
            digest.update(" ".join([name, *(token.text for token in found)]).encode())
    return digest.hexdigest()[:16]


def digest_of_tests(targets: list[str]) -> str:
    digest = hashlib.sha256(repr((targets, ENOUGH)).encode())
    for name in sorted(tree.files()):
        if name.startswith(("src/", "tests/", "capi/")) and not name.startswith("tests/mutants/"):
            digest.update(name.encode() + (tree.ROOT / name).read_bytes())
    return digest.hexdigest()[:16]


def outcomes(code: str, tests: str) -> dict[str, dict[str, object]]:
    """The known outcomes for this code. A change that survived is tried again if the tests have changed."""
    if not OUTCOMES.exists():
        return {}
    lines = [json.loads(line) for line in OUTCOMES.read_text().splitlines()]
    final = ("killed", "not buildable")
    valid = [line for line in lines if line["code"] == code and (line["outcome"] in final or line["tests"] == tests)]
    return {str(line["key"]): line for line in valid}


# ------------------------------------------------------------------------------------------------- reporting


def reasons() -> dict[str, str]:
    """KEY = REASON, a line each."""
    lines = SURVIVORS.read_text().splitlines() if SURVIVORS.exists() else []
    pairs = [line.rpartition(" = ") for line in lines if line and not line.startswith("#")]
    return {key.strip(): reason.strip() for key, _, reason in pairs}


def part(file: str) -> str:
    words = file.split("/")
    return file if file == "src/sys/fork.rs" else "src/" + words[1].removesuffix(".rs")


def report(mutants: list[Mutant], found: dict[str, dict[str, object]], every: int) -> None:
    why = reasons()
    lines = ["| part | changes | tried | not buildable | killed | survived, with a reason | survived | killed, % |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in sorted({part(mutant.file) for mutant in mutants}):
        here = [mutant for mutant in mutants if part(mutant.file) == name]
        tried = [found[mutant.key] for mutant in here if mutant.key in found]
        unbuilt = sum(outcome["outcome"] == "not buildable" for outcome in tried)
        killed = sum(outcome["outcome"] == "killed" for outcome in tried)
        alive = [outcome for outcome in tried if outcome["outcome"] not in ("killed", "not buildable")]
        known = sum(str(outcome["key"]) in why for outcome in alive)
        share = 100 * killed / max(len(tried) - unbuilt - known, 1)
        row = [f"`{name}`", len(here), len(tried), unbuilt, killed, known, len(alive) - known, f"{share:.1f}"]
        lines.append(f"| {' | '.join(map(str, row))} |")
    today = datetime.datetime.now(datetime.timezone.utc).date()
    sample = "every change" if every == 1 else f"each {every}th change"
    lines += ["", f"{today}, `make mutants-all`, {sample}. The share leaves out those with a reason.", ""]
    for outcome in found.values():
        if outcome["outcome"] not in ("killed", "not buildable"):
            reason = why.get(str(outcome["key"]), "**no reason yet**")
            lines.append(f"- `{outcome['key']}` ({outcome['outcome']}): {reason}")
    text = "\n".join(lines) + "\n"
    (tree.OUT / "all.md").write_text(text)
    tree.say(text)


def page() -> int:
    before, rest = README.read_text().split(BEGIN)
    _, after = rest.split(END)
    README.write_text(f"{before}{BEGIN}\n\n{(tree.OUT / 'all.md').read_text()}\n{END}{after}")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--tests", default=",".join(TARGETS))
    parser.add_argument("files", nargs="*")
    words = parser.parse_args()
    return page() if words.page else run(words.files or DEFAULT, words.every, words.tests.split(","))


if __name__ == "__main__":
    sys.exit(main())

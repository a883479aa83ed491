#!/usr/bin/env python3
"""Takes each protection out of the code, and sees the tests turn red that are there to notice.

    run.py [NAME…]     all patches, or these; the table is target/mutants/table.md
    run.py --check     whether they all still apply
    run.py --page      puts the table of the last whole run into README.md, between its two markers

A patch NAME.patch begins with a few lines: `taken out:` what; `promise:` which one hangs on it; `red:` the command that must
fail then, which may stand there more than once. All commands are run on the code as it is first, and must pass.
"""

from __future__ import annotations

import dataclasses
import datetime
import subprocess
import sys
from pathlib import Path

import tree

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
TABLE = tree.OUT / "table.md"
BEGIN, END = "<!-- patches -->", "<!-- end of patches -->"
# A test that does not end has noticed, too; this is many times what the slowest takes.
PATIENCE = 900.0


@dataclasses.dataclass
class Patch:
    path: Path
    out: str = ""
    promise: str = ""
    red: list[str] = dataclasses.field(default_factory=list)

    @property
    def name(self) -> str:
        return self.path.stem

    def files(self) -> list[str]:
        lines = self.path.read_text().splitlines()
        return [line.removeprefix("+++ b/") for line in lines if line.startswith("+++ b/")]


def read(path: Path) -> Patch:
    patch = Patch(path)
    for line in path.read_text().split("\n\n", 1)[0].splitlines():
        key, _, value = line.partition(": ")
        match key:
            case "taken out":
                patch.out = value
            case "promise":
                patch.promise = value
            case "red":
                patch.red.append(value)
            case _:
                raise SystemExit(f"{path.name}: what is {line!r}?")
    if not (patch.out and patch.promise and patch.red and patch.files()):
        raise SystemExit(f"{path.name}: it has no `taken out`, no `promise`, no `red` or no diff")
    return patch


def patches(names: list[str]) -> list[Patch]:
    all_of_them = [read(path) for path in sorted(HERE.glob("*.patch"))]
    unknown = set(names) - {patch.name for patch in all_of_them}
    if unknown:
        raise SystemExit(f"no such patch: {', '.join(sorted(unknown))}")
    return [patch for patch in all_of_them if not names or patch.name in names]


def check(all_of_them: list[Patch]) -> int:
    stale = 0
    for patch in all_of_them:
        applied = subprocess.run(["git", "apply", "--check", str(patch.path)], cwd=tree.ROOT)
        stale += applied.returncode != 0
    return 1 if stale else 0


def see(command: str) -> str:
    """What the test does: green, red, or why it cannot be said."""
    test, _, what = command.partition(" -- ")
    extra = ["--", *what.split()] if what else []
    built = tree.run([*tree.cargo(test), "--no-run"], PATIENCE)
    if not built.passed:
        return "does not compile\n" + tree.said(built)
    ran = tree.run([*tree.cargo(test), *extra], PATIENCE)
    if ran.hung:
        return "red (does not end)"
    if ran.count() == 0:
        return "runs no test"
    return "green" if ran.passed else "red"


def take_out(patch: Patch) -> list[tuple[str, str]]:
    """Each of the patch's commands, and what it did."""
    applied = tree.run(["git", "apply", "--whitespace=nowarn", str(patch.path)], PATIENCE)
    try:
        if not applied.passed:
            return [(command, "does not apply\n" + tree.said(applied)) for command in patch.red]
        return [(command, see(command)) for command in patch.red]
    finally:
        tree.restore(patch.files())


def short(command: str) -> str:
    return command.removeprefix("cargo test ").removeprefix("--features seam ").removeprefix("--")


def line(patch: Patch, seen: list[tuple[str, str]]) -> str:
    tests = "<br>".join(f"`{short(command)}`" for command, _ in seen)
    results = "<br>".join(dict.fromkeys(result.splitlines()[0] for _, result in seen))
    return f"| `{patch.name}` | {patch.out} | {patch.promise} | {tests} | {results} |"


def run(chosen: list[Patch], whole: bool) -> int:
    tree.make()
    wrong = 0
    for command in sorted({command for patch in chosen for command in patch.red}):
        seen = see(command)
        if seen != "green":
            tree.say(f"on the code as it is, {command}: {seen}")
            wrong += 1
    lines = []
    for patch in chosen:
        seen = take_out(patch)
        lines.append(line(patch, seen))
        for command, result in seen:
            tree.say(f"{patch.name}: {short(command)}: {result}")
            wrong += not result.startswith("red")
    today = datetime.datetime.now(datetime.timezone.utc).date()
    head = ["| patch | taken out | promise | test | seen |", "| --- | --- | --- | --- | --- |"]
    summary = f"{len(chosen)} patches, {wrong} of their tests not as they should be; {today}, `make mutants`."
    if whole:
        TABLE.write_text("\n".join([*head, *lines, "", summary]) + "\n")
    tree.say("\n".join(["", *head, *lines, "", summary]))
    return 1 if wrong else 0


def page() -> int:
    before, rest = README.read_text().split(BEGIN)
    _, after = rest.split(END)
    README.write_text(f"{before}{BEGIN}\n\n{TABLE.read_text()}\n{END}{after}")
    return 0


def main(words: list[str]) -> int:
    match words:
        case ["--check"]:
            return check(patches([]))
        case ["--page"]:
            return page()
    return run(patches(words), whole=not words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

#!/usr/bin/env python3
"""Takes each protection out of the code, and checks that the tests that should notice turn red.

    run.py [--each] [NAME…]   tries all patches, or these; the table is target/mutants/table.md
    run.py --check            checks that they all still apply
    run.py --page             puts the table of the last full run into README.md, between its two markers

A patch NAME.patch begins with a few lines: `taken out:` says what; `promise:` which promise depends on it; `red:` is a
command that must then fail, and may occur more than once. All commands are first run on the unchanged code, and must
pass.

All patches are built into one library (many.py), and each test runs one of its versions. With --each, or if a patch
changes more than the bodies of functions, a tree is patched, built and tested with the commands as they are.
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import shlex
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import many
import mutate
import tree

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
TABLE = tree.OUT / "table.md"
BEGIN, END = "<!-- patches -->", "<!-- end of patches -->"
# A test that hangs has noticed too. This is many times what the slowest one takes.
PATIENCE = 900.0
JOBS = int(os.environ.get("JLOCK_JOBS", "2"))


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


# ------------------------------------------------------------------------------------------------- all in one


def patched(patch: Patch) -> dict[str, str] | None:
    """The patch's files with the patch applied. `None` if it does not apply."""
    with tempfile.TemporaryDirectory(dir=tree.OUT) as place:
        for name in patch.files():
            tree.put(Path(place) / name, (tree.ROOT / name).read_bytes())
        command = ["git", "apply", "--whitespace=nowarn", str(patch.path)]
        environment = {**tree.ENVIRONMENT, "GIT_CEILING_DIRECTORIES": str(tree.OUT)}
        if subprocess.run(command, cwd=place, env=environment).returncode != 0:
            return None
        return {name: (Path(place) / name).read_text() for name in patch.files()}


def between(source: str, functions: list[mutate.Function]) -> str:
    """The text outside functions."""
    ends = [0, *(function.end for function in functions)]
    starts = [*(function.start for function in functions), len(source)]
    return "…".join(source[end:start] for end, start in zip(ends, starts))


def add(versions: many.Many, number: int, files: dict[str, str]) -> bool:
    """Adds a patch's functions. `False` if it changes more than their bodies."""
    found = []
    for name, source in files.items():
        before, after = versions.functions[name], list(mutate.functions(source))
        if between(versions.sources[name], before) != between(source, after):
            return False
        for index, (old, new) in enumerate(zip(before, after)):
            body = source[new.start : new.end]
            if body != versions.sources[name][old.start : old.end]:
                found.append(many.Version(number, name, index, body))
    for version in found:
        versions.add(version)
    return True


def words(command: str) -> tuple[str, list[str]]:
    """Which program a command runs, and which of its tests."""
    rest = shlex.split(command)[2:]
    if rest[:2] == ["--features", "seam"]:
        rest = rest[2:]
    return ("lib", rest[1:]) if rest[0] == "--lib" else (rest[1], rest[2:])


def see_one(command: str, number: int, programs: dict[str, str]) -> str:
    """What the test does in the version with this number."""
    target, names = words(command)
    code, _, output = many.run_tests(programs[target], names, PATIENCE, {many.CHOSEN: str(number)})
    return verdict(tree.Ran(code, output, 0.0))


# ------------------------------------------------------------------------------------------------- one by one


def verdict(ran: tree.Ran) -> str:
    if ran.hung:
        return "red (does not end)"
    if ran.count() == 0:
        return "runs no test"
    return "green" if ran.passed else "red"


def see(command: str) -> str:
    """What the test does: green, red, or why that is unknown."""
    built = tree.run([*shlex.split(command), "--no-run"], PATIENCE)
    if not built.passed:
        return "does not compile\n" + tree.said(built)
    return verdict(tree.run(shlex.split(command), PATIENCE))


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


Seen = list[tuple[str, str]]


def run_all_in_one(chosen: list[Patch]) -> tuple[dict[str, Seen], list[Patch], list[str]]:
    """What was seen of each; which patches are left for --each; and which commands fail without a patch."""
    tree.use("one")
    files = sorted({name for patch in chosen for name in patch.files()})
    versions = many.Many(files)
    seen: dict[str, Seen] = {}
    numbers: dict[str, int] = {}
    left = []
    for number, patch in enumerate(chosen, 1):
        with_it = patched(patch)
        if with_it is None:
            seen[patch.name] = [(command, "does not apply") for command in patch.red]
        elif add(versions, number, with_it):
            numbers[patch.name] = number
        else:
            left.append(patch)
    versions.build()
    commands = sorted({command for patch in chosen for command in patch.red if patch.name in numbers})
    targets = {words(command)[0] for command in commands}
    programs = {target: many.program(target, versions.stamp) for target in targets}
    with ThreadPoolExecutor(JOBS) as pool:
        greens = list(pool.map(lambda command: see_one(command, 0, programs), commands))
        failing = [f"{command}: {green}" for command, green in zip(commands, greens) if green != "green"]
        for command in failing:
            tree.say(f"on the code as it is, {command}")

        def one(patch: Patch) -> Seen:
            number = numbers[patch.name]
            if number in versions.refused:
                return [(command, "does not compile") for command in patch.red]
            found = [(command, see_one(command, number, programs)) for command in patch.red]
            tell(patch, found)
            return found

        together = [patch for patch in chosen if patch.name in numbers]
        seen |= dict(zip([patch.name for patch in together], pool.map(one, together)))
    return seen, left, failing


def run_each(chosen: list[Patch]) -> tuple[dict[str, Seen], list[str]]:
    tree.use("tree")
    commands = sorted({command for patch in chosen for command in patch.red})
    failing = [f"{command}: {green}" for command in commands if (green := see(command)) != "green"]
    for command in failing:
        tree.say(f"on the code as it is, {command}")
    seen = {}
    for patch in chosen:
        seen[patch.name] = take_out(patch)
        tell(patch, seen[patch.name])
    return seen, failing


def tell(patch: Patch, seen: Seen) -> None:
    for command, result in seen:
        tree.say(f"{patch.name}: {short(command)}: {result}")


def run(chosen: list[Patch], each: bool, whole: bool) -> int:
    seen, left, failing = ({}, chosen, []) if each else run_all_in_one(chosen)
    by_itself, more = run_each(left) if left else ({}, [])
    seen |= by_itself
    failing += more
    wrong = [name for name, found in seen.items() for _, result in found if not result.startswith("red")]
    today = datetime.datetime.now(datetime.timezone.utc).date()
    lines = ["| patch | taken out | promise | test | seen |", "| --- | --- | --- | --- | --- |"]
    lines += [line(patch, seen[patch.name]) for patch in chosen]
    lines += ["", f"{len(chosen)} patches; {len(wrong)} tests stayed green; {today}, `make mutants`."]
    if whole:
        TABLE.write_text("\n".join(lines) + "\n")
    tree.say("\n".join(["", *lines]))
    return 1 if wrong or failing else 0


def page() -> int:
    before, rest = README.read_text().split(BEGIN)
    _, after = rest.split(END)
    README.write_text(f"{before}{BEGIN}\n\n{TABLE.read_text()}\n{END}{after}")
    return 0


def main(arguments: list[str]) -> int:
    match arguments:
        case ["--check"]:
            return check(patches([]))
        case ["--page"]:
            return page()
    names = [name for name in arguments if name != "--each"]
    return run(patches(names), each="--each" in arguments, whole=not names)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

#!/usr/bin/env python3
"""Installs the npm tarball elsewhere, without a compiler, and runs the tests of examples/node against it.

    try_node.py            with each Node of tests/packages/runtimes, and with Bun and Deno; and bundled
    try_node.py --short    with this Node, and some of the tests
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from common import OUT, ROOT, SONAME, Result, version
from elsewhere import Elsewhere, last_line
from try_python import here

TESTS = "examples/node/test"
PACKAGE = "node_modules/jlock"
TARBALL = OUT / "npm" / f"jlock-{version()}.tgz"
TOOLS = ROOT / "tests" / "packages" / "node_modules"
RUNTIMES = ROOT / "tests" / "packages" / "runtimes" / "node_modules"
TYPESCRIPT = ROOT / "examples" / "node" / "node_modules"

SHORT = ["journal", "require", "errors"]
# Tests that are about the checkout: those of the declarations, and the program that generates some of the tests.
NOT_HERE = {"types", "generate"}
# Tests that Bun and Deno can run: they have no libuv thread pool and none of Node's options, and print differently.
ON_BUN = ["abort", "errors", "header", "journal", "lock", "readme", "vectors", "writers"]
ON_DENO = ["abort", "header", "journal", "vectors", "writers"]


def node() -> Path:
    """This machine's."""
    found = shutil.which("node")
    if found is None:
        raise SystemExit("node is needed")
    return Path(os.path.realpath(found))


def installed(place: Elsewhere) -> None:
    """Installs it as a user does: in a project of its own, the tarball first, and later another package."""
    project = place.directory
    (project / "package.json").write_text('{ "name": "project", "private": true }\n')
    npm = ["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefer-offline"]
    place.run(*npm, str(TARBALL))
    (project / "other").mkdir()
    (project / "other" / "package.json").write_text('{ "name": "other", "version": "1.0.0" }\n')
    place.run(*npm, "./other")
    loaded = place.run(
        "node",
        "--input-type=module",
        "--eval",
        "import 'jlock'; import { readFileSync } from 'node:fs';"
        "console.log(readFileSync('/proc/self/maps', 'utf8').match(/\\S*libjlock\\S*/)[0])",
    )
    assert loaded.startswith(f"{project / PACKAGE}/native/"), loaded


def check_types(place: Elsewhere) -> None:
    """Compiles strict TypeScript programs of both kinds, with nothing but the package."""
    for name in ("consumer.ts", "consumer.cts"):
        shutil.copyfile(ROOT / TESTS / name, place.directory / name)
    options = "--noEmit --strict --target es2022 --lib es2022,esnext.disposable --module node16 --types node".split()
    tsc = TYPESCRIPT / "typescript" / "bin" / "tsc"
    place.run(node(), tsc, *options, "--typeRoots", TYPESCRIPT / "@types", "consumer.ts", "consumer.cts")


def check_bundles(place: Elsewhere) -> None:
    """Bundles one file for `import` and one for `require`. koffi stays outside: it has a binary of its own."""
    shutil.copyfile(ROOT / "tests" / "packages" / "program.mjs", place.directory / "program.mjs")
    for form, name in (("esm", "out.mjs"), ("cjs", "out.cjs")):
        options = ["--bundle", "--platform=node", "--external:koffi", f"--format={form}", "--log-level=error"]
        place.run(TOOLS / ".bin" / "esbuild", "program.mjs", *options, f"--outfile=bundle/{name}")
        assert place.run("node", f"bundle/{name}") == "x,y\n"
        # Elsewhere again, with koffi, and with the library beside it.
        alone = place.directory / "alone" / form
        shutil.copytree(place.directory / "node_modules", alone / "node_modules", symlinks=True)
        shutil.rmtree(alone / PACKAGE)
        library = place.directory / PACKAGE / "native" / here().node / SONAME
        for path in (place.directory / "bundle" / name, library):
            shutil.copyfile(path, alone / path.name)
        assert place.run("node", name, at=f"alone/{form}") == "x,y\n"


def bring_tests(place: Elsewhere) -> None:
    """Copies the tests into the installed package: they import it by its own name."""
    subprocess.run(["sh", ROOT / "tests" / "interop" / "fetch-peer.sh"], check=True)
    place.copy("include/jlock.h", "tests/vectors", "tests/interop")
    shutil.copytree(ROOT / TESTS, place.directory / PACKAGE / "test")


def suite(
    place: Elsewhere, program: Path, *options: str, tests: list[str], passed: str, failed: str
) -> tuple[str, bool]:
    files = [f"./test/{name}.test.js" for name in tests]
    said = place.run(program, *options, *files, at=PACKAGE, check=False)
    said = re.sub(r"\x1b\[[0-9;]*m", "", said)
    counts = [re.search(pattern, last_line(said, pattern)) for pattern in (passed, failed)]
    if counts[0] is None or counts[1] is None or counts[1][1] != "0":
        print(said, file=sys.stderr)
        return "failed", False
    return f"{counts[0][1]} passed", True


def on_node(place: Elsewhere, program: Path, tests: list[str]) -> tuple[str, bool]:
    options = ["--test", "--test-reporter=tap"]  # what Node prints by default depends on its version
    return suite(place, program, *options, tests=tests, passed=r"^# pass (\d+)", failed=r"^# fail (\d+)")


def all_tests() -> list[str]:
    names = [path.name.removesuffix(".test.js") for path in sorted((ROOT / TESTS).glob("*.test.js"))]
    return [name for name in names if name not in NOT_HERE]


def note(name: str, program: str, outcome: tuple[str, bool]) -> bool:
    print(f"npm tarball, {program}, {here().name}: {outcome[0]}")
    contents = "modules for import and require, types, libraries, licences, SBOM"
    size = TARBALL.stat().st_size
    Result(f"npm tarball, {program}", here().name, f"npm install {TARBALL.name}", contents, size, *outcome).save(name)
    return outcome[1]


def try_all(place: Elsewhere) -> bool:
    subprocess.run(["npm", "ci", "--silent", "--no-fund", "--no-audit"], cwd=RUNTIMES.parent, check=True)
    good = True
    for path in sorted(RUNTIMES.glob("node[0-9]*")):
        program = path / "bin" / "node"
        number = subprocess.run([program, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        outcome = on_node(place, program, all_tests())
        good = note(f"npm-{path.name}", f"Node {number.removeprefix('v')}", outcome) and good
    lines = {"passed": r"^ *(\d+) pass", "failed": r"^ *(\d+) fail"}
    bun = suite(place, RUNTIMES / ".bin" / "bun", "test", "--timeout=600000", tests=ON_BUN, **lines)
    lines = {"passed": r"^ok \| (\d+) passed", "failed": r"^ok \| .* (\d+) failed"}
    deno = suite(place, RUNTIMES / ".bin" / "deno", "test", "--allow-all", "--no-check", tests=ON_DENO, **lines)
    return note("npm-zbun", "Bun", bun) and note("npm-zdeno", "Deno", deno) and good


def main() -> int:
    with Elsewhere(node()) as place:
        installed(place)
        check_types(place)
        check_bundles(place)
        bring_tests(place)
        if "--short" not in sys.argv:
            return 0 if try_all(place) else 1
        said, passed = on_node(place, node(), SHORT)
        print(f"npm tarball, {node()}, {here().name}: {said}; bundles and types are good")
        return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())

#!/usr/bin/env python3
"""Fetches the Go module elsewhere, as from a module proxy, and runs its tests there, with the C compiler that cgo needs.

    try_go.py            all tests; and, for every other platform that has an archive inside, those that need no go command
    try_go.py --short    some of the tests
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import gomod
from common import ALL, OUT, ROOT, TARGET, Platform, Result, version
from elsewhere import Elsewhere
from foreign import foreign
from try_python import here

# The compiler's message, if cgo is off.
NEEDS = "undefined: jlock_needs_CGO_ENABLED_1_and_a_C_compiler"
SHORT = "Vectors|Read|Format|Checkpoint|Context"

# For the other platforms the tests are built here and run there, so those that build a program are left out.
BUILD = ("module_test.go", "programs_test.go")
# Under qemu-user a program cannot start itself, as these do; and a million operations take too long.
NOT_EMULATED = "NothingGrows|ATimeoutNames|AJournalCallHonours|AKilledHolder|InspectSaysWho|AThousandWaiting"


def go() -> Path:
    found = shutil.which("go")
    if found is None:
        raise SystemExit("go is needed")
    return Path(os.path.realpath(found))


class Project:
    """Somebody else's program, which uses the module."""

    def __init__(self, place: Elsewhere) -> None:
        self.place = place
        proxy = f"file://{OUT / 'go'}"
        self.environment = {
            "GOPROXY": proxy,
            "GONOSUMDB": gomod.module(),
            "GOMODCACHE": str(place.directory / "modules"),
            "GOFLAGS": "-modcacherw",
            "GOTOOLCHAIN": "local",
        }
        program = place.directory / "program"
        program.mkdir()
        shutil.copyfile(gomod.SOURCE / "example_quickstart" / "main.go", program / "main.go")
        (program / "go.mod").write_text("module program\n\ngo 1.21\n")

    def go(self, *arguments: str, at: str = "program", check: bool = True, **environment: str) -> str:
        return self.place.run("go", *arguments, at=at, check=check, **{**self.environment, **environment})

    def runs(self, at: str = "program") -> None:
        (self.place.directory / "journal").mkdir(exist_ok=True)
        said = self.place.run(self.place.directory / at / "program", self.place.directory / "journal")
        assert said == "[src/a.go] [src/b.go]\n", said


def check_building(project: Project) -> None:
    project.go("get", f"{gomod.module()}@v{version()}")
    project.go("build", ".")
    project.runs()
    said = project.go("build", ".", check=False, CGO_ENABLED="0")
    assert said.strip().endswith(NEEDS), said
    # Vendored, nothing outside is needed.
    shutil.copytree(project.place.directory / "program", project.place.directory / "vendored")
    project.go("mod", "vendor", at="vendored")
    project.place.run("chmod", "-R", "u+w", "modules")
    shutil.rmtree(project.place.directory / "modules")
    project.go("build", "-mod=vendor", ".", at="vendored", GOPROXY="off")
    project.runs("vendored")


def run_tests(project: Project, only: str) -> tuple[str, bool]:
    """Runs the tests in a copy of what was fetched, beside the files that they compare with."""
    project.go("mod", "download")
    fetched = project.place.directory / "modules" / f"{gomod.module()}@v{version()}"
    shutil.copytree(fetched, project.place.directory / "examples" / "go")
    project.place.copy("tests/vectors")
    said = project.go("test", "-count=1", "-v", f"-run={only}", ".", at="examples/go", check=False)
    return finding(said, r"^ok\s")


def finding(said: str, end: str) -> tuple[str, bool]:
    passed, failed = (len(re.findall(rf"^--- {word}", said, re.MULTILINE)) for word in ("PASS", "FAIL"))
    if failed or not passed or not re.search(end, said, re.MULTILINE):
        print(said, file=sys.stderr)
        return f"{failed} failed, {passed} passed", False
    return f"{passed} passed", True


def run_tests_of(project: Project, other: Platform) -> tuple[str, bool]:
    """Links the tests for another platform, statically, so that they need nothing of it, and runs them. After `run_tests`."""
    there = foreign(other)
    compiler = f"{there.tools}-gcc"
    flags = []
    environment = {"GOARCH": other.go.split("_")[1], "CGO_ENABLED": "1"}
    if other.go_tags:  # zig brings musl, and its unwinder, which other compilers for musl link by themselves
        compiler = f"{sys.executable} -m ziglang cc -target {there.zig}"
        flags.append(f"-tags={other.go_tags}")
        environment |= {"CGO_LDFLAGS": "-lunwind", "ZIG_GLOBAL_CACHE_DIR": str(TARGET / "cross" / "zig")}
    tree = project.place.directory / "examples" / f"go-{other.name}"
    shutil.copytree(project.place.directory / "examples" / "go", tree, ignore=shutil.ignore_patterns(*BUILD))
    at = str(tree.relative_to(project.place.directory))
    link = "-ldflags=-linkmode=external -extldflags=-static"
    project.go("test", "-c", *flags, link, "-o", "tests", ".", at=at, check=True, CC=compiler, **environment)
    options = ["-test.v"] if there.is_native else ["-test.v", f"-test.skip={NOT_EMULATED}"]
    said = project.place.run(*there.emulated(), tree / "tests", *options, at=at, check=False)
    outcome, good = finding(said, "^PASS$")
    return outcome + there.how, good


def note(name: str, where: str, outcome: tuple[str, bool]) -> bool:
    print(f"Go module, {where}: {outcome[0]}")
    file = OUT / "go" / gomod.module() / "@v" / f"v{version()}.zip"
    contents = "sources, archives, licences, SBOM"
    command = f"go get {gomod.module()}@v{version()}"
    Result("Go module", where, command, contents, file.stat().st_size, *outcome).save(name)
    return outcome[1]


def main() -> int:
    short = "--short" in sys.argv
    with Elsewhere(go(), go().with_name("gofmt"), compilers=True) as place:
        project = Project(place)
        check_building(project)
        outcome = run_tests(project, SHORT if short else ".")
        if not short:
            good = note(f"go-{here().name}", here().name, outcome)
            for each in ALL:
                if each.directory is not None and each is not here():
                    good = note(f"go-{each.name}", each.name, run_tests_of(project, each)) and good
            return 0 if good else 1
        print(f"Go module, {here().name}: {outcome[0]}; fetched, vendored, and refused without cgo")
        return 0 if outcome[1] else 1


if __name__ == "__main__":
    raise SystemExit(main())

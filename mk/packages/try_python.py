#!/usr/bin/env python3
"""Installs the wheel elsewhere with pip, without a compiler, and runs the tests of examples/python against it.

    try_python.py            with every Python that is here, from 3.9 on; the source distribution; what auditwheel says of each
                             wheel; and, where Debian has a Python for it, the wheel for another platform
    try_python.py --short    with this Python, and some of the tests
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from common import ALL, OUT, ROOT, Platform, Result, version
from elsewhere import Elsewhere, last_line
from foreign import DEBIAN, ForeignPython

TESTS = "examples/python/tests"
SHORT = [f"{TESTS}/test_errors.py", f"{TESTS}/test_vectors.py"]
# Two need something that is not there: a C compiler, or the checkout.
LONG = [TESTS, f"--ignore={TESTS}/test_abi.py", f"--ignore={TESTS}/test_package.py"]
# Under qemu-user a program cannot start itself, as these tests do; and a million operations take too long.
NOT_EMULATED = [
    "test_flat",
    "test_processes",
    "test_the_loop_goes_on_while_a_task_waits",
    "test_a_timeout_names_the_holder",
    "test_taking_over_from_a_dead_holder",
    "test_a_task_cancelled_while_it_takes_over",
    "test_a_directory_without_permission",
    "test_a_file_system_that_is_read_only",
    "test_another_process_is_kept_out",
    "test_a_timeout_is_a_timeout_error_that_names_the_holder",
    "test_a_holder_that_was_killed",
    "test_inspect_says_who_holds",
]

THIS = Path(os.path.realpath(sys.executable))

PYTEST = ["-m", "pytest", "--quiet", "--tb=short", "--rootdir=examples/python"]
PYTEST += ["--config-file=examples/python/pyproject.toml"]

# Prints where a program that has imported the module loaded the library from.
LOADED = "import jlock; print(*{line.split()[-1] for line in open('/proc/self/maps') if 'libjlock' in line})"


def here() -> Platform:
    (found,) = [each for each in ALL if each.name == f"{platform.machine()}-gnu"]
    return found


def pythons() -> list[Path]:
    """One interpreter of each version from 3.9 on: this one, the system's, and pyenv's."""
    found: dict[tuple[int, ...], Path] = {}
    for path in [THIS, Path("/usr/bin/python3"), *sorted(Path.home().glob(".pyenv/versions/*/bin/python3"))]:
        if path.exists():
            code = "import sys; print(*sys.version_info[:2]); import venv, ensurepip"
            ran = subprocess.run([path, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            if ran.returncode == 0:
                found.setdefault(tuple(map(int, ran.stdout.split())), path)
    return [path for number, path in sorted(found.items()) if number >= (3, 9)]


def pytest() -> str:
    """The pinned pytest. Its dependencies are not pinned here, because not every Python can use the pinned versions."""
    pinned = re.search(r"^pytest==.*$", (ROOT / "mk" / "requirements.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    return pinned[0]


def try_wheel(wheel: Path, python: Path, tests: list[str]) -> tuple[str, bool]:
    with Elsewhere() as place:
        place.run(python, "-m", "venv", "venv")
        own = place.directory / "venv" / "bin" / "python"
        pip = [str(own), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        place.run(*pip, "--no-index", str(wheel))
        loaded = place.run(own, "-c", LOADED).strip()
        assert Path(loaded).is_relative_to(place.directory / "venv"), loaded
        place.run(*pip, pytest())
        bring_tests(place)
        return finding(place.run(own, *PYTEST, *tests, check=False))


def bring_tests(place: Elsewhere) -> None:
    place.copy(TESTS, "examples/python/pyproject.toml", "examples/python/writer.py", "tests/vectors")


def try_foreign(wheel: Path, platform: Platform) -> tuple[str, bool]:
    with Elsewhere() as place:
        python = ForeignPython(place, platform, [pytest()], wheel)
        if python.foreign.is_native:
            loaded = python.run("-c", LOADED).strip()  # qemu-user's /proc/self/maps has names only from 8.0 on
            assert Path(loaded).is_relative_to(python.root), loaded
        bring_tests(place)
        skipped = [] if python.foreign.is_native else ["-k", f"not ({' or '.join(NOT_EMULATED)})"]
        said, passed = finding(python.run(*PYTEST, *LONG, *skipped, check=False))
        return re.sub(r", \d+ deselected", "", said) + python.foreign.how, passed


def finding(said: str) -> tuple[str, bool]:
    line = last_line(said, r"\d+ passed").strip("= ")
    passed = bool(line) and "failed" not in line and "error" not in line
    if not passed:
        print(said, file=sys.stderr)
    return re.sub(r" in .*", "", line), passed


def build_from_source(sdist: Path, wheels: Path) -> None:
    """Builds a wheel with cargo and a C compiler, as pip does where no wheel fits. The crates are already on this machine."""
    environment = {name: value for name, value in os.environ.items() if name != "JLOCK_LIBRARY"}
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps", "--no-cache-dir"]
    subprocess.run([*pip, f"--wheel-dir={wheels}", sdist], env={**environment, "CARGO_NET_OFFLINE": "true"}, check=True)


def audit(wheel: Path, named: str) -> str:
    """The tag that auditwheel gives the wheel, which must promise at least what the wheel's name does."""
    auditwheel = Path(sys.executable).parent / "auditwheel"
    said = subprocess.run([auditwheel, "show", wheel], stdout=subprocess.PIPE, text=True, check=True).stdout
    tag = re.search(r'platform\s+tag:\s+"(\S+)"', said)
    if tag is None or not older(tag[1], named.replace("manylinux2014", "manylinux_2_17")):
        raise SystemExit(f"{wheel.name}: auditwheel does not agree\n{said}")
    return tag[1]


def older(tag: str, than: str) -> bool:
    """Whether a tag promises as much or more: an older C library of the same kind, on the same machine."""
    parts = [re.fullmatch(r"(\w+linux)_(\d+)_(\d+)_(\w+)", each) for each in (tag, than)]
    if parts[0] is None or parts[1] is None:
        return False
    kinds = [(part[1], part[4]) for part in parts if part]
    numbers = [(int(part[2]), int(part[3])) for part in parts if part]
    return kinds[0] == kinds[1] and numbers[0] <= numbers[1]


def number(python: Path) -> str:
    code = "import platform; print(platform.python_version())"
    return subprocess.run([python, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def note(name: str, package: str, where: str, file: Path, outcome: tuple[str, bool]) -> Result:
    print(f"{package}, {where}: {outcome[0]}")
    contents = "module, library, licences, SBOM" if file.suffix == ".whl" else "sources in Python and Rust"
    result = Result(package, where, f"pip install {file.name}", contents, file.stat().st_size, *outcome)
    result.save(name)
    return result


def try_all(wheels: dict[str, Path]) -> list[Result]:
    results = []
    for python in pythons():
        outcome = try_wheel(wheels[here().name], python, LONG)
        package = f"wheel, Python {number(python)}"
        results.append(note(f"python-{number(python)}", package, here().name, wheels[here().name], outcome))
    for each in ALL:
        if wheels[each.name].exists() and each is not here():
            agreed = audit(wheels[each.name], each.wheel)
            untried = ("not run, as Debian has no Python for musl", True)
            said, passed = try_foreign(wheels[each.name], each) if each.name in DEBIAN else untried
            outcome = (f"{said}; auditwheel: {agreed}", passed)
            results.append(note(f"python-{each.name}", "wheel", each.name, wheels[each.name], outcome))
    sdist = OUT / "python" / f"jlock-{version()}.tar.gz"
    with Elsewhere() as place:
        build_from_source(sdist, place.directory)
        (wheel,) = place.directory.glob("*.whl")
        outcome = try_wheel(wheel, THIS, SHORT)
    results.append(note("python-source", "source distribution, with cargo, cc and make", here().name, sdist, outcome))
    return results


def main() -> int:
    wheels = {each.name: OUT / "python" / f"jlock-{version()}-py3-none-{each.wheel}.whl" for each in ALL}
    audit(wheels[here().name], here().wheel)
    if "--short" not in sys.argv:
        return 0 if all(result.passed for result in try_all(wheels)) else 1
    said, passed = try_wheel(wheels[here().name], THIS, SHORT)
    print(f"wheel, Python {number(THIS)}, {here().name}: {said}")
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())

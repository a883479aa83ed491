"""The module as others get it: typed, installed with pip, and the programs beside it."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

from jlock import Journal, Lock

from .conftest import PYTHON, environment


def test_mypy_finds_nothing() -> None:
    ran = subprocess.run([sys.executable, "-m", "mypy", "--strict"], cwd=PYTHON, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_pip_installs_it_with_the_library_inside(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", str(target), str(PYTHON)], check=True)
    assert (target / "jlock" / "libjlock.so.0").is_file()
    assert (target / "jlock" / "py.typed").is_file()
    env = {name: value for name, value in os.environ.items() if name != "JLOCK_LIBRARY"}
    code = """
import sys, jlock
with jlock.Lock(sys.argv[1]):
    print(jlock.__file__)
    print("".join({line.split()[-1] + "\\n" for line in open("/proc/self/maps") if "libjlock" in line}), end="")
"""
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "journal")],
        env={**env, "PYTHONPATH": str(target)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert ran.stdout.split() == [str(target / "jlock" / name) for name in ("__init__.py", "libjlock.so.0")]


def program(name: str, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, str(PYTHON / name), *arguments]
    return subprocess.run(command, input=stdin, env=environment(), capture_output=True, timeout=60)


def test_the_writer_acknowledges_what_it_appended(directory: pathlib.Path) -> None:
    paths = [b"src/%d" % number for number in range(24)] + [b"caf\xe9"]
    ran = program("writer.py", str(directory), "py", stdin=b"\n".join(paths))
    *acks, wait = ran.stdout.splitlines()
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert acks == [b"ack py/" + path for path in paths]
    word, longest = wait.split()
    assert word == b"wait" and float(longest) > 0
    snapshot = Journal(directory).read()
    assert [path.encode("utf-8", "surrogateescape") for path in snapshot.changed] == [b"py/" + path for path in paths]


def test_the_writer_reports_an_error(directory: pathlib.Path) -> None:
    ran = program("writer.py", str(directory), "py", stdin=b"good\nbad \n")
    assert ran.returncode == 1
    assert ran.stdout == b"ack py/good\n"
    assert ran.stderr.startswith(b"writer.py: ")


def test_the_quickstart_runs_and_says_who_is_in_its_way(directory: pathlib.Path) -> None:
    ran = program("quickstart.py", str(directory))
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"src/a.py src/c.py src/d.py\n", b"")
    with Lock(directory):
        ran = program("quickstart.py", str(directory))
    assert b"held by pid %d" % os.getpid() in ran.stdout

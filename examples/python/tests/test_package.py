"""The module as users get it: typed, installed with pip, and with the programs beside it."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

from jlock import Journal, Lock, _abi

from .conftest import HANG, PYTHON, ROOT, environment


def test_mypy_finds_nothing() -> None:
    ran = subprocess.run([sys.executable, "-m", "mypy", "--strict"], cwd=PYTHON, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


CODE = """
import sys, jlock
with jlock.Lock(sys.argv[1]):
    print(jlock.__file__, *{line.split()[-1] for line in open("/proc/self/maps") if "libjlock" in line})
"""


def install(
    tmp_path: pathlib.Path, source: pathlib.Path, *options: str, **variables: str
) -> tuple[pathlib.Path, pathlib.Path]:
    """Install with pip into a virtual environment, without a network. Returns the module and library that a program loads."""
    venv = tmp_path / "venv"
    inherited = {name: value for name, value in os.environ.items() if name not in ("JLOCK_LIBRARY", "PYTHONPATH")}
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    python = str(venv / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--no-index", "--disable-pip-version-check", *options]
    subprocess.run([*pip, str(source)], env={**inherited, **variables}, check=True)
    command = [python, "-c", CODE, str(tmp_path / "journal")]
    ran = subprocess.run(command, env=inherited, stdout=subprocess.PIPE, text=True, check=True, cwd=tmp_path)
    module, library = map(pathlib.Path, ran.stdout.split())
    assert (module.parent / "py.typed").is_file()
    return module, library


def test_pip_installs_the_checkout_with_the_library_inside(tmp_path: pathlib.Path) -> None:
    module, library = install(tmp_path, PYTHON)
    assert tmp_path in module.parents
    assert library == module.parent / "libjlock.so.0"
    assert library.read_bytes() == (ROOT / "target" / "dist" / "libjlock.so.0").read_bytes()  # what `make` installs


def test_an_editable_installation_uses_the_checkout(tmp_path: pathlib.Path) -> None:
    module, library = install(tmp_path, PYTHON, "--editable")
    assert module == PYTHON / "jlock" / "__init__.py"
    assert ROOT in library.parents


def source_distribution(directory: pathlib.Path) -> pathlib.Path:
    code = "import sys, jlock_build; print(jlock_build.build_sdist(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(directory)]
    env = {**os.environ, "PYTHONPATH": str(PYTHON / "build_backend")}
    name = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    return directory / name


def test_a_source_distribution_takes_the_library_that_is_named_as_it_is(tmp_path: pathlib.Path) -> None:
    given = pathlib.Path(_abi._path())
    module, library = install(tmp_path, source_distribution(tmp_path), JLOCK_LIBRARY=str(given))
    assert library == module.parent / "libjlock.so.0"
    assert library.read_bytes() == given.read_bytes()


def test_a_source_distribution_holds_what_the_library_is_built_from(tmp_path: pathlib.Path) -> None:
    subprocess.run(["tar", "-xzf", str(source_distribution(tmp_path)), "-C", str(tmp_path)], check=True)
    (rust,) = tmp_path.glob("jlock-*/rust")
    for command in ("make -f mk/library.mk --just-print built", "cargo metadata --locked --format-version=1"):
        subprocess.run(command.split(), cwd=rust, stdout=subprocess.DEVNULL, check=True)
    for path in (ROOT / "src").rglob("*.rs"):
        assert (rust / path.relative_to(ROOT)).read_bytes() == path.read_bytes()


def test_a_source_distribution_is_the_same_whenever_it_is_made(tmp_path: pathlib.Path) -> None:
    made = set()
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        made.add(source_distribution(tmp_path / name).read_bytes())
    assert len(made) == 1


def program(name: str, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, str(PYTHON / name), *arguments]
    return subprocess.run(command, input=stdin, env=environment(), capture_output=True, timeout=HANG)


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

"""A copy of the tree that may be broken, with builds of its own, and running commands in it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
OUT = ROOT / "target" / "mutants"
TREE = OUT / "tree"

# These are needed only for the tests of the header and of the ABI, and take longer to build than everything else.
UNNEEDED = re.compile(r"^(cbindgen|ctest|syn) = .*\n", re.MULTILINE)

ENVIRONMENT = {
    **os.environ,
    "CARGO_PROFILE_DEV_DEBUG": "0",
    "CARGO_PROFILE_TEST_DEBUG": "0",
    "CARGO_TERM_COLOR": "never",
    "RUST_BACKTRACE": "0",
    # There are warnings about what a change leaves unused.
    "RUSTFLAGS": "--cap-lints allow",
    # The copy is inside a repository, but does not belong to it.
    "GIT_CEILING_DIRECTORIES": str(OUT),
}


def files() -> list[str]:
    """The files of the tree, committed or not."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    )
    return [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def put(path: Path, content: bytes) -> None:
    """Writes a file unless it has this content already: cargo rebuilds whatever depends on a newer file."""
    if not path.exists() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def original(name: str) -> bytes:
    content = (ROOT / name).read_bytes()
    return UNNEEDED.sub("", content.decode()).encode() if name == "capi/Cargo.toml" else content


def restore(names: list[str]) -> None:
    """Restores these files to what they are in the tree itself."""
    for name in names:
        # cargo removes from it what is not needed.
        if name != "Cargo.lock" or not (TREE / name).exists():
            put(TREE / name, original(name))
            shutil.copymode(ROOT / name, TREE / name)


def use(name: str) -> None:
    """Selects the copy with this name, which is made or brought up to date, with builds of its own."""
    global TREE
    TREE = OUT / name
    ENVIRONMENT["CARGO_TARGET_DIR"] = str(OUT / f"build-{name}")
    wanted = files()
    restore(wanted)
    known = set(wanted)
    for path in TREE.rglob("*"):
        name = str(path.relative_to(TREE))
        if path.is_file() and name not in known and not name.startswith(("target/", "node_modules/")):
            path.unlink()


class Ran:
    """The result of a command."""

    def __init__(self, code: int | None, output: str, seconds: float) -> None:
        self.code, self.output, self.seconds = code, output, seconds

    @property
    def hung(self) -> bool:
        return self.code is None

    @property
    def passed(self) -> bool:
        return self.code == 0

    def count(self) -> int:
        """How many tests ran."""
        return sum(int(number) for number in re.findall(r"^running (\d+) tests?$", self.output, re.MULTILINE))


def run(command: list[str], seconds: float, environment: dict[str, str] | None = None) -> Ran:
    """Runs a command in the copy. When its time is over, kills it and all that it has started."""
    begun = time.monotonic()
    log = OUT / f"output-{os.getpid()}"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=TREE,
            env={**ENVIRONMENT, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            code = None
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
    output = log.read_text(errors="replace")
    log.unlink()
    return Ran(code, output, time.monotonic() - begun)


def said(ran: Ran, lines: int = 40) -> str:
    return "\n".join(ran.output.splitlines()[-lines:])


def say(text: str) -> None:
    print(text, flush=True)
    sys.stdout.flush()

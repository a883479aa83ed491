"""A place outside the checkout, in which a package is installed and tried, with no compiler in reach."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

from common import ROOT

# Installing a package must not need these; only a language that needs a C compiler itself may use one.
RUST = ("cargo", "rustc", "rustup")
COMPILERS = ("cc", "gcc", "clang", "g++", "make", "ld", "as", "pkg-config")
# How to reach the registries, and whose certificates to trust, stays as it is here.
KEPT = re.compile(r"^(https?_proxy|no_proxy|pip_.*|npm_config_.*|.*_ca_.*|ssl_cert.*)$", re.IGNORECASE)


class Elsewhere:
    """A temporary directory. Its `bin` holds the given programs, and the system's except compilers."""

    def __init__(self, *programs: Path, compilers: bool = False) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="jlock-elsewhere-"))
        self.bin = self.directory / "bin"
        self.bin.mkdir()
        for program in programs:
            (self.bin / program.name).symlink_to(program)
        for path in (path for place in ("/usr/bin", "/bin") for path in Path(place).iterdir()):
            if not self._compiles(path.name, compilers) and not (self.bin / path.name).is_symlink():
                (self.bin / path.name).symlink_to(path)
        kept = {name: value for name, value in os.environ.items() if KEPT.match(name)}
        # npm's and pip's settings and caches are at home.
        own = {"PATH": str(self.bin), "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8"}
        self.environment = {**kept, **own, "TMPDIR": str(self.directory)}
        for name in RUST if compilers else (*RUST, *COMPILERS):
            assert shutil.which(name, path=str(self.bin)) is None, name

    @staticmethod
    def _compiles(name: str, except_c: bool) -> bool:
        if any(word in name for word in ("rust", "cargo")):
            return True
        return not except_c and (name in COMPILERS or any(word in name for word in ("gcc", "g++", "clang")))

    def __enter__(self) -> Elsewhere:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, *command: str | Path, at: str = ".", check: bool = True, **environment: str) -> str:
        """Returns what a command printed; if it fails, shows that and exits."""
        ran = subprocess.run(
            [str(word) for word in command],
            cwd=self.directory / at,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        if check and ran.returncode != 0:
            print(ran.stdout, file=sys.stderr)
            raise SystemExit(f"{' '.join(map(str, command))}: failed")
        return ran.stdout

    def copy(self, *names: str) -> None:
        """Copies what the tests compare with from the checkout."""
        for name in names:
            to = self.directory / name
            to.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, to, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
            else:
                shutil.copyfile(ROOT / name, to)


def last_line(text: str, pattern: str) -> str:
    """The line in which a suite says what it found."""
    found = [line for line in text.splitlines() if re.search(pattern, line)]
    return found[-1] if found else ""

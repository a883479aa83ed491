"""Builds many versions of the code into one library.

Each function becomes a `match` on the number of the version that is to run, with a copy of its body for each version
that changes it. The number is read once from the environment. So a thousand versions are built as fast as a few.
"""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import hashlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import mutate
import tree

CHOSEN, REACHED, RUN = "JLOCK_MUTANT", "JLOCK_MUTANT_REACHED", "JLOCK_MUTANT_RUN"

CHOOSER = """
/// Which version runs, and which functions are reached.
#[doc(hidden)]
#[allow(missing_docs, unsafe_code, clippy::all)]
pub mod mutant {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    const UNKNOWN: u32 = u32::MAX;
    static CHOSEN: AtomicU32 = AtomicU32::new(UNKNOWN);
    static REACHED: [AtomicBool; FUNCTIONS] = [const { AtomicBool::new(false) }; FUNCTIONS];
    #[inline]
    pub fn chosen(function: usize) -> u32 {
        match CHOSEN.load(Ordering::Relaxed) {
            UNKNOWN => choose(function),
            0 => { reach(function); 0 }
            chosen => chosen,
        }
    }
    #[cold]
    fn choose(function: usize) -> u32 {
        std::hint::black_box("STAMP");
        let text = unsafe { libc::getenv(c"JLOCK_MUTANT".as_ptr()) };
        let number = if text.is_null() { 0 } else { unsafe { libc::atoi(text) } };
        CHOSEN.store(number as u32, Ordering::Relaxed);
        if number == 0 { reach(function); }
        number as u32
    }
    fn reach(function: usize) {
        if REACHED[function].load(Ordering::Relaxed) || REACHED[function].swap(true, Ordering::Relaxed) {
            return;
        }
        let path = unsafe { libc::getenv(c"JLOCK_MUTANT_REACHED".as_ptr()) };
        if path.is_null() {
            return;
        }
        let mut digits = [b'0'; 6];
        digits[5] = b'\\n';
        let mut rest = function;
        for place in (0..5).rev() {
            digits[place] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        unsafe {
            let errno = *libc::__errno_location();
            let file = libc::open(path, libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_CLOEXEC, 0o666);
            if file >= 0 {
                libc::write(file, digits.as_ptr().cast(), digits.len());
                libc::close(file);
            }
            *libc::__errno_location() = errno;
        }
    }
    /// Keeps the stamp in the unit tests, even if they call none of the functions.
    #[test]
    fn is_stamped() { std::hint::black_box("STAMP"); }
}
"""


@dataclasses.dataclass(frozen=True)
class Version:
    """A function's body in the version with this number."""

    number: int
    file: str
    # The function's number within the file.
    index: int
    body: str


class Many:
    """The functions of these files, and all their versions."""

    def __init__(self, files: list[str]) -> None:
        self.sources = {file: (tree.ROOT / file).read_text() for file in files}
        self.functions = {file: list(mutate.functions(source)) for file, source in self.sources.items()}
        self.first: dict[str, int] = {}
        self.count = 0
        for file in files:
            self.first[file] = self.count
            self.count += len(self.functions[file])
        self.versions: dict[tuple[str, int], list[Version]] = {}
        # Those that the compiler rejects.
        self.refused: set[int] = set()
        # What stands in a program that was built from these versions.
        self.stamp = ""

    def add(self, version: Version) -> None:
        self.versions.setdefault((version.file, version.index), []).append(version)

    def write(self) -> dict[str, list[tuple[int, int]]]:
        """Writes all versions. Returns, for each file, the lines where versions begin, with their numbers (0 for
        none)."""
        where: dict[str, list[tuple[int, int]]] = {}
        for file, source in self.sources.items():
            out, end = "", 0
            marks: list[tuple[int, int]] = [(1, 0)]
            for index, function in enumerate(self.functions[file]):
                body = source[function.start : function.end]
                out += source[end : function.start]
                out += f"{{ match crate::mutant::chosen({self.first[file] + index}) {{\n"
                for version in self.versions.get((file, index), []):
                    if version.number not in self.refused:
                        marks.append((out.count("\n") + 1, version.number))
                        out += f"{version.number} => {version.body}\n"
                marks.append((out.count("\n") + 1, 0))
                out += f"_ => {body} }} }}"
                end = function.end
            tree.put(tree.TREE / file, (out + source[end:]).encode())
            where[file] = marks
        digest = hashlib.sha256(repr(sorted((file, (tree.TREE / file).read_text()) for file in where)).encode())
        self.stamp = f"JLOCK_MUTANTS={digest.hexdigest()}"
        chooser = CHOOSER.replace("FUNCTIONS", str(max(self.count, 1))).replace("STAMP", self.stamp)
        tree.put(tree.TREE / "src/lib.rs", (tree.original("src/lib.rs").decode() + chooser).encode())
        return where

    def build(self) -> None:
        """Builds the library without the versions that the compiler rejects."""
        for _ in range(40):
            where = self.write()
            checked = tree.run(["cargo", "check", "--lib", "--features", "seam", "--message-format=json"], 1800)
            if checked.passed:
                return
            refused = set(refusals(checked.output, where))
            if not refused - self.refused:
                raise SystemExit(tree.said(checked))
            self.refused |= refused
            tree.say(f"{len(self.refused)} versions cannot be built")
        raise SystemExit("the compiler keeps rejecting more versions")


def refusals(output: str, where: dict[str, list[tuple[int, int]]]) -> Iterator[int]:
    for line in output.splitlines():
        if not line.startswith("{"):
            continue
        message = json.loads(line).get("message") or {}
        if not isinstance(message, dict) or message.get("level") != "error":
            continue
        for span in message.get("spans", []):
            file = span["file_name"].split("../")[-1]
            if file in where:
                marks = where[file]
                at = bisect.bisect_right(marks, (span["line_start"], 1 << 60)) - 1
                if marks[at][1]:
                    yield marks[at][1]


def program(target: str, stamp: str) -> str:
    """Builds the test program of this target, and returns its path. It must have the stamp: cargo takes what was copied
    here from elsewhere for up to date, and then no change would be noticed by any test."""
    which = ["--lib"] if target == "lib" else ["--test", target]
    built = tree.run(["cargo", "test", "--features", "seam", *which, "--no-run", "--message-format=json"], 3600)
    if not built.passed:
        raise SystemExit(tree.said(built))
    for line in built.output.splitlines():
        if line.startswith("{"):
            message = json.loads(line)
            if message.get("executable") and message.get("profile", {}).get("test"):
                found = Path(message["executable"])
                # The tests outside src/, some of which are in C, use the library.
                checked = found if target == "lib" else found.with_name("libjlock.so")
                if stamp.encode() not in checked.read_bytes():
                    raise SystemExit(f"{target}: {checked} was not built from these versions; remove {tree.OUT}")
                return str(found)
    raise SystemExit(f"{target}: no program")


def end_all(mark: str) -> None:
    """Kills the processes that a test has left behind, which have the mark in their environment."""
    wanted = mark.encode()
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                if wanted in Path(f"/proc/{entry}/environ").read_bytes().split(b"\0"):
                    os.kill(int(entry), 9)
            except OSError:
                continue


# These compile C programs into one directory.
COMPILING = ("capi", "fault")
ALONE = threading.Lock()


def run_tests(program: str, words: list[str], seconds: float, environment: dict[str, str]) -> tuple[int | None, float, str]:
    """The exit code (`None` if it did not end), how long it took, and what it printed."""
    with ALONE if Path(program).name.startswith(COMPILING) else contextlib.nullcontext():
        return run_now(program, words, seconds, environment)


def run_now(program: str, words: list[str], seconds: float, environment: dict[str, str]) -> tuple[int | None, float, str]:
    begun = time.monotonic()
    value = f"{os.getpid()}-{threading.get_ident()}-{begun}"
    log = tree.OUT / f"said-{threading.get_ident()}"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program, *words],
            # The directory in which cargo runs the package's tests.
            cwd=tree.TREE / "capi",
            env={**tree.ENVIRONMENT, **environment, RUN: value},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            code = None
        if code != 0:
            end_all(f"{RUN}={value}")
        process.wait()
    return code, time.monotonic() - begun, log.read_text(errors="replace")

#!/usr/bin/env python3
"""Five languages and one shipped peer write one journal at the same time, and nothing that was acknowledged is lost.

The writers are the examples in this repository, and their entries are the paths of its files. Every now and then, one
library writer is killed and another one started. Before that, for contrast, shipped peers do the same alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples/python"))
INTEROP = ROOT / "tests/interop"


@dataclass
class Writer:
    """A writer process, the paths that it is fed, and what it has acknowledged."""

    name: str
    language: str
    command: list[str]
    feed: list[str] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    longest_ms: float | None = None
    killed: int = 0
    failed: str = ""
    process: subprocess.Popen[str] | None = None
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self, environment: dict[str, str]) -> None:
        # Standard error goes to a file: nobody has to read it while the writer runs.
        with tempfile.TemporaryFile("w+") as errors:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
            )
            self.errors = os.fdopen(os.dup(errors.fileno()), "r+")
        self.threads = [threading.Thread(target=self._feed), threading.Thread(target=self._collect)]
        for thread in self.threads:
            thread.start()

    def _feed(self) -> None:
        assert self.process is not None and self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self.process.stdin as stdin:  # broken: it was killed
            for path in self.feed:
                stdin.write(path + "\n")

    def _collect(self) -> None:
        assert self.process is not None and self.process.stdout is not None
        for line in self.process.stdout:
            if not line.endswith("\n"):
                return  # the kill cut the line: not a full acknowledgement
            kind, _, rest = line.rstrip("\n").partition(" ")
            if kind == "ack":
                self.acknowledged.append(rest)
            elif kind == "wait":
                self.longest_ms = float(rest)

    def kill(self) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.killed += 1

    def finish(self) -> None:
        assert self.process is not None
        code = self.process.wait()
        for thread in self.threads:
            thread.join()
        self.errors.seek(0)
        said = self.errors.read().strip()
        self.errors.close()
        if code != 0 and not self.killed:
            self.failed = said.splitlines()[-1] if said else f"exit code {code}"


def repository_paths() -> list[str]:
    """The real input: every file of this repository."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    paths = listed.stdout.splitlines()
    if not paths:  # a source archive has no git
        skipped = {"target", "node_modules"}
        for folder, folders, files in os.walk(ROOT):
            folders[:] = [name for name in folders if name not in skipped]
            paths += [os.path.relpath(os.path.join(folder, name), ROOT) for name in files]
    return paths


def rounds(paths: list[str], count: int) -> list[str]:
    """`count` distinct lines: the paths again and again, each round in a folder of its own."""
    return [f"{number // len(paths)}/{paths[number % len(paths)]}" for number in range(count)]


def shipped(root: Path, name: str) -> Writer:
    command = ["node", str(INTEROP / "shipped-writer.mjs"), "--stamped", str(root), name]
    return Writer(name, "shipped peer (Node)", command)


def library_writers(journal: Path) -> list[Writer]:
    commands = {
        "C": [str(ROOT / "target/demo/writer-c")],
        "Rust": [str(ROOT / "target/release/examples/writer")],
        "Python": [sys.executable, str(ROOT / "examples/python/writer.py")],
        "Go": [str(ROOT / "target/demo/writer-go")],
        "Node": ["node", str(ROOT / "examples/node/writer.mjs")],
    }
    return [
        Writer(language.lower(), language, [*command, str(journal), language.lower()])
        for language, command in commands.items()
    ]


def read_with_library(journal: Path) -> list[str]:
    import jlock

    # The last writer may have been killed while it held the lock. If so, this takes over.
    with jlock.Journal(str(journal)) as held:
        return [os.fsdecode(path) for path in held.read().changed]


def read_with_shipped(root: Path) -> list[str]:
    script = ["node", str(INTEROP / "shipped-read.mjs"), str(root)]
    result = json.loads(subprocess.run(script, capture_output=True, text=True, check=True).stdout)
    return list(result["changed"]) if result["valid"] else []


class Progress:
    """One line, rewritten in place, if this is a terminal."""

    def __init__(self) -> None:
        self.shown = sys.stderr.isatty()

    def say(self, text: str) -> None:
        if self.shown:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        self.say("")


def run(writers: list[Writer], environment: dict[str, str]) -> list[Writer]:
    """Runs all writers to their end; meanwhile kills copies of the first and starts new ones. Returns the killed ones."""
    victim_of = writers[0]
    progress, begun = Progress(), time.monotonic()
    victims: list[Writer] = []
    for writer in writers:
        writer.start(environment)
    dice = random.Random(1)
    while any(writer.process and writer.process.poll() is None for writer in writers):
        total = sum(len(writer.acknowledged) for writer in writers)
        progress.say(f"{time.monotonic() - begun:5.1f} s  {total} entries acknowledged, {len(victims)} writers killed")
        number = len(victims)
        victim = Writer(
            f"victim-{number}", victim_of.language, [*victim_of.command[:-1], f"victim-{number}"], victim_of.feed
        )
        victim.start(environment)
        victims.append(victim)
        time.sleep(dice.uniform(0.05, 0.4))  # the kill should come at a random moment
        victim.kill()
        victim.finish()
    for writer in writers:
        writer.finish()
    progress.clear()
    return victims


def merged(victims: list[Writer]) -> Writer:
    """Merges the killed writers into one line of the table."""
    all_of_them = Writer(f"{len(victims)} killed", victims[0].language if victims else "-", [])
    for victim in victims:
        all_of_them.acknowledged += victim.acknowledged
        all_of_them.killed += victim.killed
        all_of_them.failed = all_of_them.failed or victim.failed
    return all_of_them


def is_malformed(entry: str, names: set[str], paths: set[str]) -> bool:
    """Whether nobody wrote this entry: it is torn, or glued to another."""
    name, _, rest = entry.partition("/")
    return name not in names or rest.partition("/")[2] not in paths


def print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell.ljust(width) if column < 2 else cell.rjust(width) for column, (cell, width) in
                 enumerate(zip(row, widths))]
        print("  " + "  ".join(cells).rstrip())


def report(title: str, writers: list[Writer], entries: list[str], names: set[str], paths: set[str]) -> tuple[int, int]:
    """Prints the table; returns how many entries are lost, and how many malformed."""
    there = set(entries)
    malformed = [entry for entry in entries if is_malformed(entry, names, paths)]
    rows: list[tuple[str, ...]] = [("writer", "language", "acknowledged", "lost", "malformed", "longest wait")]
    lost_in_all = 0
    for writer in writers:
        lost = sum(entry not in there for entry in writer.acknowledged)
        lost_in_all += lost
        own = sum(entry.partition("/")[0] == writer.name for entry in malformed)
        wait = "-" if writer.longest_ms is None else f"{writer.longest_ms:.1f} ms"
        rows.append((writer.name, writer.language, str(len(writer.acknowledged)), str(lost), str(own), wait))
    print(title)
    print_table(rows)
    for writer in writers:
        if writer.failed:
            print(f"  {writer.name} failed: {writer.failed}")
    print()
    return lost_in_all, len(malformed)


@contextlib.contextmanager
def directory() -> Iterator[tuple[Path, Path]]:
    """A root as the shipped peer expects it, and the journal's directory in it."""
    with tempfile.TemporaryDirectory(prefix="jlock-demo-") as root:
        journal = Path(root) / ".codegraph"
        journal.mkdir()
        yield Path(root), journal


def contrast(paths: list[str], count: int, environment: dict[str, str]) -> None:
    with directory() as (root, _):
        writers = [shipped(root, f"shipped-{number}") for number in range(6)]
        for writer in writers:
            writer.feed = rounds(paths, count)
        victims = run(writers, environment)
        names = {writer.name for writer in [*writers, *victims]}
        title = "For contrast, shipped peers alone:"
        report(title, [*writers, merged(victims)], read_with_shipped(root), names, set(paths))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=8000, help="entries of each library writer (default: 8000)")
    parser.add_argument("--shipped-entries", type=int, default=100, help="entries of the shipped peer (default: 100)")
    parser.add_argument("--no-contrast", action="store_true", help="leave out the run of shipped peers alone")
    options = parser.parse_args()

    environment = dict(os.environ, JLOCK_LIBRARY=str(ROOT / "target/release/libjlock.so"))
    os.environ["JLOCK_LIBRARY"] = environment["JLOCK_LIBRARY"]
    paths = repository_paths()
    if not options.no_contrast:
        contrast(paths, 2 * options.shipped_entries, environment)

    with directory() as (root, journal):
        writers = library_writers(journal)
        for writer in writers:
            writer.feed = rounds(paths, options.entries)
        peer = shipped(root, "shipped")
        peer.feed = rounds(paths, options.shipped_entries)
        victims = run([*writers, peer], environment)
        rows = [*writers, peer, merged(victims)]
        names = {writer.name for writer in [*writers, peer, *victims]}
        by_library, by_shipped = read_with_library(journal), read_with_shipped(root)
        title = "Five languages and one shipped peer on one journal while writers are killed:"
        lost, malformed = report(title, rows, by_library, names, set(paths))
        leftovers = sorted(set(os.listdir(journal)) - {"changes.journal"})

    faults = [f"{writer.name} failed" for writer in rows if writer.failed]
    if by_library != by_shipped:
        faults.append("the two readers disagree")
    if leftovers:
        faults.append(f"left behind: {', '.join(leftovers)}")
    acknowledged = sum(len(writer.acknowledged) for writer in rows)
    good = lost == 0 and malformed == 0 and not faults
    print(
        f"{'PASS' if good else 'FAIL'}: {lost} of {acknowledged} acknowledged entries lost, {malformed} malformed"
        + "".join(f"; {fault}" for fault in faults)
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

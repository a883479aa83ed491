"""Checks the table of docs/which-lock.md by trial: every cell that is not in parentheses. `make test-locks` runs it;
--show prints what was found, in the words of that table.

A row is a kind of lock, with programs that hold such a lock. A column is a trial, whose result is one of the table's
words. All programs of a row must give the same result."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PATIENCE = 30.0  # for a reply that has to come
SETTLE = 0.1  # settle_ms
CALLS = {
    "x86_64": {7: "poll", 271: "poll", 72: "fcntl", 73: "flock"},
    "aarch64": {73: "poll", 25: "fcntl", 32: "flock"},
}

NODE = ["node", str(ROOT / "benches/node/hold.mjs")]
GO = str(ROOT / "target/locks/hold-go")


def python(kind: str) -> list[str]:
    return [sys.executable, str(HERE / "hold.py"), kind]


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """`lock` is what the held lock is called, beside the name that the program was given; `theft` is the system call
    by which it takes over from the dead."""

    name: str
    programs: list[list[str]]
    lock: str = "data.lock"
    theft: str = ""
    settles: bool = False
    waiting: list[list[str]] = dataclasses.field(default_factory=list)


ROWS = [
    Row(
        "`flock(2)`: flock(1), gofrs/flock",
        [python("flock"), [GO, "flock"]],
        waiting=[python("flock, waiting")],
    ),
    Row("filelock's `FileLock`, a `flock`", [python("FileLock")]),
    Row(
        "`fcntl(F_SETLK)`, `lockf(3)`",
        [python("fcntl"), python("lockf")],
        waiting=[python("fcntl, waiting"), python("lockf, waiting")],
    ),
    Row("`fcntl(F_OFD_SETLK)`", [python("ofd")], waiting=[python("ofd, waiting")]),
    Row("a file made with `O_EXCL`", [python("excl")]),
    Row("a PID file", [python("pid")], theft="unlink"),
    Row("liblockfile (`L_PID`)", [python("liblockfile")], theft="unlink"),
    Row("nightlyone/lockfile", [[GO, "lockfile"]], theft="unlinkat"),
    Row("proper-lockfile", [NODE], lock="data.lock.lock", theft="rmdir"),
    Row("filelock's `SoftFileLock`", [python("SoftFileLock")], theft="renameat2"),
    Row(
        "jlock",
        [python("jlock")],
        lock="changes.journal.lock",
        theft="pwrite64",
        settles=True,
        waiting=[python("jlock, waiting")],
    ),
]


class Program:
    """A process that takes a lock in a directory if it can."""

    def __init__(self, command: list[str], directory: Path, under: list[str] | None = None) -> None:
        self.process = subprocess.Popen(
            [*(under or []), *command, str(directory / "data.lock")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def line(self) -> str:
        assert self.process.stdout
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        assert ready, f"{self.process.args!r}: no reply"
        return self.process.stdout.readline().decode().strip()

    def held(self) -> bool:
        answer = self.line()
        assert answer in ("held", "busy"), f"{self.process.args!r}: {answer!r}"
        return answer == "held"

    def ask(self, what: str) -> str:
        assert self.process.stdin
        self.process.stdin.write(f"{what}\n".encode())
        return self.line()

    def kill(self) -> int:
        self.process.kill()
        self.process.wait()
        self.forget()
        return self.process.pid

    def release(self) -> None:
        self.forget()
        self.process.wait(PATIENCE)

    def end(self) -> None:
        """For a process whose strace was killed: makes it release the lock, and waits until it ends."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.stdout.read()

    def forget(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            assert stream
            stream.close()


@contextlib.contextmanager
def started(command: list[str], directory: Path, under: list[str] | None = None) -> Iterator[Program]:
    program = Program(command, directory, under)
    try:
        yield program
    finally:
        if program.process.poll() is None:
            program.kill()
        program.forget()


def taken(command: list[str], directory: Path) -> bool:
    """Whether the lock can be acquired; it is released at once."""
    with started(command, directory) as taker:
        held = taker.held()
        taker.release()
        return held


def until(condition: Callable[[], bool]) -> None:
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < PATIENCE, "it never came"
        time.sleep(0.01)


def leave_dead(command: list[str], directory: Path) -> int:
    """Leaves a lock whose holder was killed, and returns its PID."""
    with started(command, directory) as holder:
        assert holder.held(), command
        return holder.kill()


def age(lock: Path, seconds: float) -> None:
    at = time.time() - seconds
    os.utime(lock, (at, at))


# ------------------------------------------------------------------------------------------------------ the columns


def killed(row: Row, command: list[str], directory: Path) -> str:
    lock = directory / row.lock
    leave_dead(command, directory)
    if not row.theft:
        if taken(command, directory):
            return "free at once"
        age(lock, 365 * 86_400)
        assert not taken(command, directory)
        return "stays locked"
    if lock.is_dir():
        assert not taken(command, directory)
        age(lock, 5)
        assert not taken(command, directory)
        age(lock, 11)
        assert taken(command, directory)
        return "taken over 10 s later"
    assert taken(command, directory), command
    assert not row.settles or hand_over(row, directory) >= SETTLE
    # The dead holder's PID is now that of a living process: this program.
    pid = leave_dead(command, directory)
    first, _, rest = lock.read_text().partition("\n")
    assert str(pid) == first.strip(), first
    with lock.open("r+") as file:
        file.write(f"{os.getpid()}\n{rest}")
        file.truncate()
    if not taken(command, directory):
        return "taken over, unless its PID lives again"
    return f"taken over {SETTLE} s later" if row.settles else "taken over"


def two_at_once(row: Row, command: list[str], directory: Path) -> str:
    """One process is stopped just before it takes over, until another has come."""
    if not row.theft:
        return "no such thing" if killed(row, command, directory) == "free at once" else "neither gets it"
    leave_dead(command, directory)
    lock = directory / row.lock
    if lock.is_dir():
        age(lock, 11)
    log = directory / "strace"
    stop = ["-e", f"trace={row.theft}", "-e", f"inject={row.theft}:delay_enter={int(2 * PATIENCE)}s"]
    under = ["strace", "-f", "-qq", "-e", "signal=none", "-o", str(log), *stop]
    with started(command, directory, under) as slow:
        until(lambda: log.exists() and f"{row.theft}(" in log.read_text())
        with started(command, directory) as fast:
            first = fast.held()
            slow.process.kill()  # that is strace; the taker goes on
            held = [first, slow.held()]
            slow.end()
    assert any(held), command
    return "both can get it" if all(held) else "one gets it"


def hand_over(row: Row, directory: Path) -> float:
    """The time from the death of a holder until a waiter holds the lock."""
    [command] = row.waiting
    with started(command, directory) as holder:
        assert holder.held()
        with started(command, directory) as second:
            until(lambda: will_be_woken(second.process.pid, directory / row.lock))
            begun = time.monotonic()
            holder.kill()
            assert second.held()
            passed = time.monotonic() - begun
            second.release()
            return passed


def waiter(row: Row, _: list[str], directory: Path) -> str:
    for command in row.waiting:
        with started(command, directory) as holder:
            assert holder.held()
            with started(command, directory) as second:
                until(lambda: will_be_woken(second.process.pid, directory / row.lock))
                holder.release()
                assert second.held()
                second.release()
    return "woken" if row.waiting else ""


def will_be_woken(pid: int, lock: Path) -> bool:
    """Whether it sleeps in the system call that takes the lock, or polls a watch on it."""
    call = Path(f"/proc/{pid}/syscall").read_text().split()[0]
    name = CALLS[os.uname().machine].get(int(call)) if call.isdigit() else None
    if name != "poll":
        return name is not None
    watch = rf"inotify wd:\w+ ino:{lock.stat().st_ino:x} "
    return any(re.search(watch, info.read_text()) for info in Path(f"/proc/{pid}/fdinfo").iterdir())


def who(row: Row, command: list[str], directory: Path) -> str:
    with started(command, directory) as holder:
        assert holder.held()
        pid = holder.process.pid
        lock = directory / row.lock
        content = lock.read_text() if lock.is_file() else ""
        lines = content.splitlines()
        if lines and lines[0].strip() == str(pid):
            host = os.uname().nodename in content
            return "PID, host" if host else "PID"
        listed = re.search(rf" {pid} \S+:{lock.stat().st_ino} ", Path("/proc/locks").read_text())
        return "PID, in `/proc/locks`" if listed else "no"


def forked(row: Row, command: list[str], directory: Path) -> str:
    """The holder forks a child and is killed. Does the child still hold the lock?"""
    if command[0] != sys.executable:
        return ""  # Go and Node do not fork
    with started(command, directory) as holder:
        assert holder.held()
        child = int(holder.ask("fork"))
        try:
            holder.process.kill()
            holder.process.wait()
            free = taken(command, directory)
        finally:
            os.kill(child, signal.SIGKILL)
    if free:
        return "does not hold it"
    return "holds it on" if row.waiting else "stays locked"


COLUMNS: dict[str, Callable[[Row, list[str], Path], str]] = {
    "its holder is killed": killed,
    "two find it stale": two_at_once,
    "a waiter is": waiter,
    "tells who holds it": who,
    "a forked child": forked,
}


def tried(row: Row, column: str) -> str:
    answers = set()
    for command in row.programs:
        with tempfile.TemporaryDirectory(prefix="jlock-locks-") as directory:
            answers.add(COLUMNS[column](row, command, Path(directory)))
    answers.discard("")
    assert len(answers) <= 1, f"{row.name}, {column}: {answers}"
    return answers.pop() if answers else ""


# -------------------------------------------------------------------------------------- what is said below the table


def closing_lets_go(kind: str) -> bool:
    """Whether the lock is lost if the file is opened once more and closed."""
    with tempfile.TemporaryDirectory(prefix="jlock-locks-") as name, started(python(kind), Path(name)) as holder:
        assert holder.held()
        assert holder.ask("close") == "closed"
        return taken(python(kind), Path(name))


def held_twice(kind: str) -> bool:
    """Whether the holding process gets the lock a second time, as another of its threads would."""
    with tempfile.TemporaryDirectory(prefix="jlock-locks-") as name, started(python(kind), Path(name)) as holder:
        assert holder.held()
        return holder.ask("again") == "held"


def excludes(holder: list[str], taker: list[str], lock: str = "data.lock") -> bool:
    with tempfile.TemporaryDirectory(prefix="jlock-locks-") as name, started(holder, Path(name)) as first:
        assert first.held()
        if lock != "data.lock":
            (Path(name) / "data.lock").hardlink_to(Path(name) / lock)
        return not taken(taker, Path(name))


def said() -> dict[str, bool]:
    fcntl, lockf, ofd, flock, excl = map(python, ("fcntl", "lockf", "ofd", "flock", "excl"))
    return {
        "closing the file anywhere drops an fcntl lock": closing_lets_go("fcntl") and closing_lets_go("lockf"),
        "it drops neither an OFD lock nor a flock": not closing_lets_go("ofd") and not closing_lets_go("flock"),
        "fcntl and lockf do not exclude threads of one process": held_twice("fcntl") and held_twice("lockf"),
        "OFD locks and flock do": not held_twice("ofd") and not held_twice("flock"),
        "fcntl, lockf and OFD locks exclude each other": all(
            excludes(one, other) for one in (fcntl, lockf, ofd) for other in (fcntl, lockf, ofd)
        ),
        "flock and fcntl do not exclude each other": not excludes(flock, fcntl) and not excludes(fcntl, flock),
        "filelock's FileLock and gofrs/flock exclude a program that calls flock": all(
            excludes(one, flock) for one in (python("FileLock"), [GO, "flock"])
        ),
        "an O_EXCL lockfile does not exclude a program that calls flock": not excludes(excl, flock),
        "jlock excludes a program that makes the lock's name with O_EXCL": excludes(
            python("jlock"), excl, lock="changes.journal.lock"
        ),
    }


# -------------------------------------------------------------------------------------------------------------- page


def said_there() -> dict[tuple[str, str], str]:
    """The cells of the page's table, by row and column."""
    text = (ROOT / "docs/which-lock.md").read_text()
    lines = re.search(r"^\| a lock \|.*?\n\n", text, re.DOTALL | re.MULTILINE)
    assert lines, "docs/which-lock.md has no such table"
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[0].strip().splitlines()]
    return {(row[0], column): cell for row in rows for column, cell in zip(head, row)}


def found() -> dict[tuple[str, str], str]:
    """The result of each trial."""
    jobs = [(row, column) for row in ROWS for column in COLUMNS]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda job: tried(*job), jobs))
    return {(row.name, column): answer for (row, column), answer in zip(jobs, answers) if answer}


def main() -> None:
    answers = found()
    if sys.argv[1:] == ["--show"]:
        for (row, column), answer in answers.items():
            print(f"{row}; {column}: {answer}")
        return
    cells = said_there()
    wrong = [
        f"{row}; {column}: the page has {cells.get((row, column))!r}, found was {answer!r}"
        for (row, column), answer in answers.items()
        if cells.get((row, column)) != answer
    ]
    wrong += [
        f"{row}; {column}: no trial checks {cell!r}"
        for (row, column), cell in cells.items()
        if column in COLUMNS and (row, column) not in answers and not re.fullmatch(r"\(.*\)", cell)
    ]
    claims = said()
    wrong += [f"not so: {claim}" for claim, true in claims.items() if not true]
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"docs/which-lock.md: {len(answers)} cells and {len(claims)} other claims checked")


if __name__ == "__main__":
    main()

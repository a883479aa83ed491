"""The test vectors (tests/vectors, whose README explains them) through this module: one test each."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import pathlib
import subprocess
import time
from collections.abc import Callable
from typing import Any, Optional

import pytest

from jlock import AcquireTimeoutError, EntryError, HeaderError, Journal, Lock, Peer, State, UnstampedError

from .conftest import HANG, ROOT, lock_file

VECTORS = ROOT / "tests" / "vectors"
SETTLE = 0.1
KINDS: dict[Optional[str], tuple[Peer, Optional[State]]] = {  # for a lock that is 10 s old and has no living PID
    None: (Peer.NONE, State.FREE),
    "library": (Peer.LIBRARY, None),
    "shipped": (Peer.SHIPPED, None),
    "cut short": (Peer.UNKNOWN, State.ABANDONED),
    "foreign": (Peer.UNKNOWN, State.HELD),
}

OTHERS: dict[str, Callable[[pathlib.Path], None]] = {
    "symlink": lambda path: path.symlink_to("nowhere"),
    "directory": pathlib.Path.mkdir,
    "fifo": os.mkfifo,
}

Vector = dict[str, Any]

# The members that this program knows. Any other in a vector is an error, so that none is silently ignored.
KNOWN = {
    "stamps": {"text", "base64", "kind", "pid", "nonce", "fields"},
    "journals": {"text", "base64", "timestamp", "changed", "deleted"},
    "entries": {"path", "kind", "line"},
    "appends": {"before", "append", "stamp", "after", "rewritten"},
    "directories": {"files", "lock", "acquire"},
}
KNOWN_OF_FILES = {"name", "text", "base64", "age_s", "flock", "writer", "same_as", "type", "swept"}


def vectors(name: str) -> pytest.MarkDecorator:
    """One test for each vector."""
    found: list[Vector] = json.loads((VECTORS / f"{name}.json").read_bytes())
    assert found, name
    for vector in found:
        members = set(vector) - {"name"} - KNOWN[name]
        members |= {member for file in vector.get("files", []) for member in set(file) - KNOWN_OF_FILES}
        assert not members, f"{name}: {vector['name']}: {members}: not known"
    return pytest.mark.parametrize("vector", found, ids=[vector["name"] for vector in found])


def test_no_file_is_forgotten() -> None:
    assert {path.stem for path in VECTORS.glob("*.json")} == set(KNOWN)


def unpack(value: Any) -> bytes:
    if isinstance(value, list):
        return b"".join(map(unpack, value))
    if isinstance(value, str):
        return value.encode()
    if "base64" in value:
        return base64.b64decode(value["base64"])
    text, times = str(value["text"]), int(value.get("times", 1))
    return text.encode() * times


def paths(values: list[Any]) -> tuple[str, ...]:
    return tuple(unpack(value).decode("utf-8", "surrogateescape") for value in values)


@pytest.fixture
def there(directory: pathlib.Path) -> pathlib.Path:
    directory.mkdir()
    return directory


def set_age(path: pathlib.Path, seconds: float) -> None:
    changed = time.time() - seconds
    os.utime(path, (changed, changed))


# ------------------------------------------------------------------------------------------------- stamps, the journal


@vectors("stamps")
def test_stamp(vector: Vector, there: pathlib.Path) -> None:
    lock_file(there).write_bytes(unpack(vector))
    set_age(lock_file(there), 10)
    holder = Lock(there).inspect()
    peer, state = KINDS[vector["kind"]]
    assert (holder.peer, holder.state) == (peer, state or holder.state)
    assert (holder.pid, holder.nonce) == (vector.get("pid"), vector.get("nonce", ""))
    assert holder.host == vector.get("fields", {}).get("host", "")


@vectors("journals")
def test_journal(vector: Vector, there: pathlib.Path) -> None:
    (there / "changes.journal").write_bytes(unpack(vector))
    if vector["timestamp"] is None:
        with pytest.raises((HeaderError, UnstampedError)):
            Journal(there).read()
        return
    read = Journal(there).read()
    assert read.timestamp == vector["timestamp"]
    assert (read.changed, read.deleted) == (paths(vector["changed"]), paths(vector["deleted"]))


@vectors("entries")
def test_entry(vector: Vector, there: pathlib.Path) -> None:
    before, path = b"# codegraph-journal v1 1\n", unpack(vector["path"])
    assert vector["kind"] in ("changed", "deleted")
    (there / "changes.journal").write_bytes(before)
    with contextlib.nullcontext() if vector["line"] is not None else pytest.raises(EntryError):
        Journal(there).append(**{vector["kind"]: [path]})
    assert (there / "changes.journal").read_bytes() == before + unpack(vector["line"] or "")


@vectors("appends")
def test_append(vector: Vector, there: pathlib.Path) -> None:
    file, changed, before = there / "changes.journal", [unpack(path) for path in vector["append"]], vector["before"]
    with contextlib.ExitStack() as kept:
        if before is not None:
            file.write_bytes(unpack(before))
            stood = kept.enter_context(open(file))  # so that no other file gets its inode
        if "stamp" in vector:
            Journal(there).append_stamped(changed, timestamp_ms=vector["stamp"])
        else:
            Journal(there).append(changed)
        assert file.read_bytes() == unpack(vector["after"])
        if "rewritten" in vector:
            assert not os.path.samestat(os.fstat(stood.fileno()), file.stat()) is vector["rewritten"]


# --------------------------------------------------------------------------------------------------------- directories


@pytest.fixture(scope="module")
def here() -> dict[str, object]:
    """What the placeholders stand for. The living process is the one that started this one."""
    with subprocess.Popen(["true"]) as ended:
        pass
    living = os.getppid()
    stat = pathlib.Path(f"/proc/{living}/stat").read_text()
    return {
        "{living}": living,
        "{start}": stat.rpartition(")")[2].split()[19],
        "{dead}": ended.pid,
        "{boot}": pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "{pidns}": os.stat("/proc/self/ns/pid").st_ino,
        "{timens}": os.stat("/proc/self/ns/time").st_ino,
    }


def fill(text: str, here: dict[str, object]) -> str:
    for name, value in here.items():
        text = text.replace(name, str(value))
    return text


def make(there: pathlib.Path, file: Vector, here: dict[str, object]) -> pathlib.Path:
    path = there / fill(file["name"], here)
    if "same_as" in file:
        os.link(there / fill(file["same_as"], here), path)
    elif "type" in file:
        OTHERS[file["type"]](path)
    else:
        path.write_bytes(unpack(file) if "base64" in file else fill(file["text"], here).encode())
        set_age(path, file["age_s"])
    return path


def look(lock: Lock, expected: Optional[Vector], here: dict[str, object]) -> None:
    if expected is None:
        with pytest.raises(OSError):
            lock.inspect()
        return
    holder = lock.inspect()
    assert set(expected) == {"state", "kind", "pid"}
    pid = expected["pid"] and int(fill(str(expected["pid"]), here))
    found = (holder.state.name.lower(), holder.peer, holder.pid)
    assert found == (expected["state"], KINDS[expected["kind"]][0], pid)


def names(directory: pathlib.Path) -> set[str]:
    """What is in the directory, and in its subdirectories."""
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


class Stood:
    """What was at the lock's name, kept open so that no other file gets its inode."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.file = open(path, "rb") if path.is_file() else None
        self.before = self.now()

    def now(self) -> Optional[tuple[int, bytes]]:
        """The inode and, for a file, the content."""
        if not os.path.lexists(self.path):
            return None
        return self.path.lstat().st_ino, self.path.read_bytes() if self.path.is_file() else b""

    def close(self) -> None:
        if self.file:
            self.file.close()


def how(lock: Lock, stood: Stood) -> str:
    """How an acquire ended, in the words of the vectors."""
    began = time.monotonic()
    try:
        lock.acquire()
    except AcquireTimeoutError:
        return "times out"
    except OSError:
        return "refuses"
    now = stood.now()
    assert now is not None
    if stood.before is None:
        return "links"
    assert time.monotonic() - began >= SETTLE
    return "claims in place" if stood.before[0] == now[0] else "claims, and moves to another inode"


@vectors("directories")
def test_directory(vector: Vector, there: pathlib.Path, here: dict[str, object]) -> None:
    with contextlib.ExitStack() as kept:
        remaining: set[str] = set()
        swept: set[str] = set()
        for file in vector["files"]:
            path = make(there, file, here)
            if file.get("flock"):
                fcntl.flock(kept.enter_context(open(path)), fcntl.LOCK_EX)
            if file.get("writer"):
                kept.enter_context(open(path, "r+b"))
            (swept if file.get("swept") else remaining).add(str(path.relative_to(there)))

        timeout = 0.3 if vector["acquire"] == "times out" else HANG
        lock = kept.enter_context(contextlib.closing(Lock(there, timeout=timeout, settle=SETTLE)))
        look(lock, vector["lock"], here)
        assert names(there) == remaining | swept
        stood = kept.enter_context(contextlib.closing(Stood(lock_file(there))))
        came_to = how(lock, stood)
        assert came_to == vector["acquire"]
        if came_to in ("times out", "refuses"):
            assert stood.now() == stood.before
        else:
            holder = lock.inspect()
            assert (holder.state, holder.peer, holder.pid) == (State.MINE, Peer.LIBRARY, os.getpid())
            lock.release()
            remaining.discard(lock_file(there).name)
            assert not lock_file(there).exists()
        lock.close()
        assert names(there) == remaining

#!/usr/bin/env python3
"""Runs the test vectors (../vectors) on the second implementation.

    vectors.py LIVING       LIVING is the PID of a process that outlives this one
"""

from __future__ import annotations  # Python 3.9

import base64
import contextlib
import fcntl
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any, Callable, Iterator

import evidence
import journal
import peer

Vector = dict[str, Any]

VECTORS = pathlib.Path(__file__).parent.parent / "vectors"
KNOWN = {  # anything else in a vector is a failure, so that it does not go unnoticed
    "stamps": {"text", "base64", "kind", "pid", "nonce", "fields"},
    "journals": {"text", "base64", "timestamp", "changed", "deleted"},
    "entries": {"path", "kind", "line"},
    "appends": {"before", "append", "stamp", "after", "rewritten"},
    "directories": {"files", "lock", "acquire"},
}
KNOWN_OF_FILES = {"name", "text", "base64", "age_s", "flock", "writer", "same_as", "type", "swept"}
FIELDS = ("since", "boot", "pidns", "timens", "start", "host", "flock")
LOCK = "changes.journal.lock"
SETTLE_S, PATIENCE_S = 0.1, 60


def unpack(value: Any) -> Any:
    """The bytes that a value stands for."""
    if isinstance(value, list):
        return b"".join(map(unpack, value))
    if isinstance(value, dict):
        encoded = value.get("base64")
        return base64.b64decode(encoded) if encoded else value["text"].encode() * value.get("times", 1)
    return value if value is None else value.encode()


def equal(found: object, expected: object) -> None:
    assert found == expected, f"{found!r}, not {expected!r}"


def only(known: set[str], members: dict[str, Any]) -> None:
    equal(set(members) - known, set())


@contextlib.contextmanager
def directory() -> Iterator[pathlib.Path]:
    with tempfile.TemporaryDirectory() as path:
        yield pathlib.Path(path)


# ---------------------------------------------------------------------------------------------- stamps, the journal


def stamps(vector: Vector) -> None:
    stamp = evidence.parse(unpack(vector))
    equal((stamp.kind, stamp.pid, stamp.nonce), (vector["kind"], vector.get("pid", 0), vector.get("nonce", "")))
    known = {key: stamp.fields[key] for key in FIELDS if key in stamp.fields}
    equal(known, vector.get("fields", {}))


def journals(vector: Vector) -> None:
    with directory() as path:
        (path / "changes.journal").write_bytes(unpack(vector))
        with open(path / "changes.journal") as file:
            try:
                found = journal.read(file.fileno())
            except journal.Malformed:
                found = None
    if vector["timestamp"] is None:
        equal(found, None)
    else:
        equal(found, (vector["timestamp"], [*map(unpack, vector["changed"])], [*map(unpack, vector["deleted"])]))


def entries(vector: Vector) -> None:
    assert vector["kind"] in ("changed", "deleted")
    try:
        found = journal.line(unpack(vector["path"]), vector["kind"] == "deleted")
    except journal.Malformed:
        found = None
    equal(found, unpack(vector["line"]))


def appends(vector: Vector) -> None:
    with directory() as path, contextlib.closing(peer.Peer(str(path))) as writer:
        file, before = path / "changes.journal", unpack(vector["before"])
        if before is not None:
            file.write_bytes(before)
        inode = before is not None and os.open(file, os.O_RDONLY)  # kept open, so that its inode number is not reused
        writer.append(*map(unpack, vector["append"]), stamp_ms=vector.get("stamp"))
        equal(file.read_bytes(), unpack(vector["after"]))
        if "rewritten" in vector:
            equal(not os.path.sameopenfile(inode, os.open(file, os.O_RDONLY)), vector["rewritten"])


# ------------------------------------------------------------------------------------------------------- directories


class Here:
    """What the placeholders stand for."""

    def __init__(self, living: int) -> None:
        with subprocess.Popen(["true"]) as ended:
            fields = evidence.parse(evidence.own_stamp("1-" + "0" * 16)).fields
            start = evidence.start_time(living)
        self.values = {"living": living, "dead": ended.pid, "start": start}
        self.values |= {field: fields[field] for field in ("boot", "pidns", "timens")}

    def fill(self, value: str) -> str:
        if isinstance(value, str):
            for name, here in self.values.items():
                value = value.replace("{%s}" % name, str(here))
        return value


def make(path: pathlib.Path, here: Here, file: Vector, open_files: contextlib.ExitStack) -> pathlib.Path:
    only(KNOWN_OF_FILES, file)
    name = path / here.fill(file["name"])
    kind = file.get("type")
    if "same_as" in file:
        os.link(path / here.fill(file["same_as"]), name)
    elif kind:
        makers: dict[str, Callable[[], object]] = {
            "symlink": lambda: name.symlink_to("nowhere"),
            "directory": name.mkdir,
            "fifo": lambda: os.mkfifo(name),
        }
        makers[kind]()
    else:
        name.write_bytes(here.fill(unpack(file).decode("latin-1")).encode("latin-1"))
        changed = time.time() - file["age_s"]
        os.utime(name, (changed, changed))
    if file.get("flock"):
        fcntl.flock(open_files.enter_context(open(name)), fcntl.LOCK_EX)
    if file.get("writer"):
        open_files.enter_context(open(name, "r+b"))
    return name


def names(path: pathlib.Path) -> set[str]:
    return {str(name.relative_to(path)) for name in path.rglob("*")}


def look(contender: peer.Peer, here: Here, expected: Any) -> None:
    try:
        state, stamp, fd, _ = contender.look()
    except OSError:
        return equal(None, expected)
    if fd >= 0:
        os.close(fd)
    only({"state", "kind", "pid"}, expected)
    pid = int(here.fill(str(expected["pid"] or 0)))
    equal((state, stamp.kind, stamp.pid), (expected["state"], expected["kind"] or "none", pid))


def acquire(contender: peer.Peer, lock: pathlib.Path, expected: str) -> bool:
    """Whether it was acquired; checks that this was expected."""
    before = os.path.lexists(lock) and os.lstat(lock).st_ino
    if lock.is_file():
        os.open(lock, os.O_RDONLY)  # kept open, so that its inode number is not reused
    was = lock.read_bytes() if lock.is_file() else b""
    begun = time.monotonic()
    try:
        contender.acquire(0.3 if expected == "times out" else PATIENCE_S)
    except TimeoutError:
        equal(expected, "times out")
        equal(lock.read_bytes(), was)
        return False
    except OSError:
        equal(expected, "refuses")
        equal(os.lstat(lock).st_ino, before)
        return False
    took, inode = time.monotonic() - begun, lock.stat().st_ino
    if expected == "links":
        equal(before, False)
    else:
        equal("claims in place" if inode == before else "claims, and moves to another inode", expected)
        assert took >= SETTLE_S, f"{took} s are too short for a settle"
    stamp = evidence.parse(lock.read_bytes())
    equal((stamp.kind, stamp.pid), ("library", os.getpid()))
    contender.release()
    assert not lock.exists()
    return True


def directories(vector: Vector, here: Here) -> None:
    with directory() as path, contextlib.ExitStack() as open_files:
        paths = [(make(path, here, file, open_files), file) for file in vector["files"]]
        swept = {str(name.relative_to(path)) for name, file in paths if file.get("swept")}
        made = names(path)
        remaining = made - swept
        with contextlib.closing(peer.Peer(str(path))) as contender:
            look(contender, here, vector["lock"])
            equal(names(path), made)
            if acquire(contender, path / LOCK, vector["acquire"]):
                remaining.discard(LOCK)
        equal(names(path), remaining)


# ----------------------------------------------------------------------------------------------------------- running


def main(living: str) -> bool:
    here, count, failures = Here(int(living)), 0, []
    checks = {"stamps": stamps, "journals": journals, "entries": entries, "appends": appends}
    checks["directories"] = lambda vector: directories(vector, here)
    equal({path.stem for path in VECTORS.glob("*.json")}, set(KNOWN))
    for file, check in checks.items():
        for vector in json.loads((VECTORS / f"{file}.json").read_bytes()):
            count += 1
            try:
                only({"name"} | KNOWN[file], vector)
                check(vector)
            except Exception as error:
                failures.append(f"{file}: {vector['name']}: {type(error).__name__}: {error}")
    print(*failures, f"{count} vectors, {len(failures)} failures", sep="\n")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

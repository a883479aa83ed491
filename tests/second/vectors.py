#!/usr/bin/env python3
"""Runs the test vectors (../vectors) on the second implementation.

    vectors.py LIVING       LIVING: a process that lives for as long
"""

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

import journal
import peer

VECTORS = pathlib.Path(__file__).parent.parent / "vectors"
KNOWN = {  # here; anything else in them is a failure, lest it pass unseen
    "stamps": {"text", "base64", "kind", "pid", "nonce", "fields"},
    "journals": {"text", "base64", "timestamp", "changed", "deleted"},
    "entries": {"path", "kind", "line"},
    "appends": {"before", "append", "stamp", "after", "rewritten"},
    "directories": {"files", "lock", "acquire"},
}
KNOWN_OF_FILES = {"name", "text", "base64", "age_s", "flock", "same_as", "type", "swept"}
LOCK = "changes.journal.lock"
SETTLE_S = 0.1


def unpack(value):
    """The bytes that a value stands for."""
    if isinstance(value, list):
        return b"".join(map(unpack, value))
    if isinstance(value, dict):
        encoded = value.get("base64")
        return base64.b64decode(encoded) if encoded else value["text"].encode() * value.get("times", 1)
    return value if value is None else value.encode()


def equal(found, expected):
    assert found == expected, f"{found!r}, not {expected!r}"


def only(known, members):
    equal(set(members) - known, set())


@contextlib.contextmanager
def directory():
    with tempfile.TemporaryDirectory() as path:
        yield pathlib.Path(path)


# ---------------------------------------------------------------------------------------------- stamps, the journal


def stamps(vector):
    stamp = peer.parse(unpack(vector))
    equal((stamp.kind, stamp.pid, stamp.nonce), (vector["kind"], vector.get("pid", 0), vector.get("nonce", "")))
    known = {key: stamp.fields[key] for key in ("boot", "pidns", "start", "host", "flock") if key in stamp.fields}
    equal(known, vector.get("fields", {}))


def journals(vector):
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


def entries(vector):
    assert vector["kind"] in ("changed", "deleted")
    try:
        found = journal.line(unpack(vector["path"]), vector["kind"] == "deleted")
    except journal.Malformed:
        found = None
    equal(found, unpack(vector["line"]))


def appends(vector):
    with directory() as path, contextlib.closing(peer.Peer(path)) as writer:
        file, before = path / "changes.journal", unpack(vector["before"])
        if before is not None:
            file.write_bytes(before)
        inode = before is not None and os.open(file, os.O_RDONLY)  # kept open, so that its number is nobody else's
        writer.append(*map(unpack, vector["append"]), stamp_ms=vector.get("stamp"))
        equal(file.read_bytes(), unpack(vector["after"]))
        if "rewritten" in vector:
            equal(not os.path.sameopenfile(inode, os.open(file, os.O_RDONLY)), vector["rewritten"])


# ------------------------------------------------------------------------------------------------------- directories


class Here:
    """What the placeholders stand for."""

    def __init__(self, living):
        with subprocess.Popen(["true"]) as ended:
            fields = peer.parse(peer.own_stamp("1-" + "0" * 16)).fields
            start = peer.start_time(living)
        self.values = {"living": living, "dead": ended.pid, "start": start}
        self.values |= {"boot": fields["boot"], "pidns": fields["pidns"]}

    def fill(self, value):
        if isinstance(value, str):
            for name, here in self.values.items():
                value = value.replace("{%s}" % name, str(here))
        return value


def make(path, here, file, open_files):
    only(KNOWN_OF_FILES, file)
    name = path / here.fill(file["name"])
    kind = file.get("type")
    if "same_as" in file:
        os.link(path / here.fill(file["same_as"]), name)
    elif kind:
        makers = {"symlink": lambda: name.symlink_to("nowhere"), "directory": name.mkdir, "fifo": lambda: os.mkfifo(name)}
        makers[kind]()
    else:
        name.write_bytes(here.fill(unpack(file).decode("latin-1")).encode("latin-1"))
        changed = time.time() - file["age_s"]
        os.utime(name, (changed, changed))
    if file.get("flock"):
        fcntl.flock(open_files.enter_context(open(name)), fcntl.LOCK_EX)
    return name


def look(contender, here, expected):
    try:
        state, stamp, fd = contender.look()
    except OSError:
        return equal(None, expected)
    if fd >= 0:
        os.close(fd)
    only({"state", "kind", "pid"}, expected)
    pid = int(here.fill(str(expected["pid"] or 0)))
    equal((state, stamp.kind, stamp.pid), (expected["state"], expected["kind"] or "none", pid))


def acquire(contender, lock, expected):
    """Whether it was had, as expected."""
    before = os.path.lexists(lock) and os.lstat(lock).st_ino
    was = lock.is_file() and (os.open(lock, os.O_RDONLY), lock.read_bytes())  # kept open: no other gets its number
    begun = time.monotonic()
    try:
        contender.acquire(0.3)
    except TimeoutError:
        equal(expected, "times out")
        equal(lock.read_bytes(), was[1])
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
        assert took >= SETTLE_S, f"{took} s are no settling"
    stamp = peer.parse(lock.read_bytes())
    equal((stamp.kind, stamp.pid), ("library", os.getpid()))
    contender.release()
    assert not lock.exists()
    return True


def directories(vector, here):
    with directory() as path, contextlib.ExitStack() as open_files:
        made = [(make(path, here, file, open_files), file) for file in vector["files"]]
        remaining = {name.name for name, file in made if not file.get("swept")}
        with contextlib.closing(peer.Peer(path)) as contender:
            equal(set(os.listdir(path)), remaining)
            look(contender, here, vector["lock"])
            if acquire(contender, path / LOCK, vector["acquire"]):
                remaining.discard(LOCK)
        equal(set(os.listdir(path)), remaining)


# ----------------------------------------------------------------------------------------------------------- running


def main(living):
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

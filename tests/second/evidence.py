"""What is in a lock, and whether its holder is alive (PROTOCOL.md, *The stamp* and *Look*)."""

from __future__ import annotations  # Python 3.9

import contextlib
import errno
import fcntl
import math
import os
import re
import signal
import socket
import time
from typing import NamedTuple

PID = re.compile(r"\+?([0-9]+)")
NONCE, BEGUN = re.compile(r"[0-9]{1,10}-[0-9a-f]{16}"), re.compile(r"[0-9]{0,10}|[0-9]{1,10}-[0-9a-f]{0,16}")
NOTE = re.compile(rb"append=([0-9]+):([0-9]+):([0-9]+)\n")
PAGE, PID_MAX = 4096, 4194304
CUT_SHORT_S = 3

# ------------------------------------------------------------------------------------------------------------ stamps


class Stamp(NamedTuple):
    kind: str
    pid: int = 0
    nonce: str = ""
    fields: dict[str, str] = {}

    def known(self, field: str) -> str:
        """The value of a field; empty if it is unknown."""
        value = self.fields.get(field, "")
        return "" if value == "0" else value


def parse(content: bytes) -> Stamp:
    if not content[:PAGE].strip(b"\0"):
        return Stamp("cut short")
    try:
        first, ended, rest = content[:PAGE].decode().partition("\n")
    except UnicodeDecodeError:
        return Stamp("foreign")
    if not ended:
        return Stamp("cut short" if re.fullmatch("[0-9]*", first) else "foreign")
    digits = PID.fullmatch(first.strip())
    pid = int(digits[1]) if digits else 0
    if not 0 < pid < 2**31:
        return Stamp("foreign")
    second, ended, rest = rest.partition("\n")
    if not ended:
        return Stamp("cut short", pid) if BEGUN.fullmatch(second) else Stamp("foreign")
    if not NONCE.fullmatch(second):
        return Stamp("foreign")
    third, ended, _ = rest.partition("\n")
    if not ended or not third.startswith("jlock/1 "):
        return Stamp("shipped", pid, second)
    words = [word.partition("=") for word in third.split() if "=" in word]
    return Stamp("library", pid, second, {key: value for key, _, value in words})


def postscript(content: bytes) -> bytes:
    """What follows a library stamp, if it is whole."""
    rest = content[:PAGE].split(b"\n", 3)[2:]
    return rest[1] if len(rest) == 2 and rest[0].startswith(b"jlock/1 ") and rest[1].endswith(b"\n") else b""


def slurp(path: str) -> str:
    with contextlib.suppress(OSError), open(path) as file:
        return file.read().strip()
    return ""


def stat(pid: int | str) -> dict[int, str]:
    """The fields from the third on, by number."""
    return dict(enumerate(slurp(f"/proc/{pid}/stat").rpartition(")")[2].split(), 3))


def start_time(pid: int | str) -> str:
    return stat(pid).get(22, "0")


def proc_is_ours() -> bool:
    """Whether /proc belongs to our PID namespace, so that its PIDs are ours."""
    above = re.search(r"^NStgid:\s+\d+[ \t]+\d", slurp("/proc/self/status"), re.MULTILINE)
    return slurp("/proc/self/stat").partition(" ")[0] == str(os.getpid()) and not above


def namespace(kind: str) -> int:
    with contextlib.suppress(OSError):
        return os.stat(f"/proc/self/ns/{kind}").st_ino
    return 0


def own_stamp(nonce: str) -> bytes:
    """Our stamp, without `since`, which only messages need."""
    boot, pidns, timens = slurp("/proc/sys/kernel/random/boot_id"), namespace("pid"), namespace("time")
    start, host = start_time("self"), socket.gethostname()
    marks = f"jlock/1 boot={boot} pidns={pidns} timens={timens} start={start} host={host}"
    return f"{os.getpid()}\n{nonce}\n{marks}\n".encode()


# ---------------------------------------------------------------------------------------------------------- evidence


class Verdict(NamedTuple):
    """The seconds until the holder counts as dead, and whether nobody has the lock open for writing."""

    left: float
    closed: bool = False


ALIVE, DEAD = Verdict(math.inf), Verdict(0)


def gone(pid: int) -> bool:
    try:
        if pid <= PID_MAX:
            os.kill(pid, 0)
        return pid > PID_MAX
    except OSError as error:
        return error.errno == errno.ESRCH


def read_lease(fd: int) -> bool | None:
    """Whether nobody has the file open for writing; None if the kernel does not say."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return True
    except OSError as error:
        return False if error.errno == errno.EAGAIN else None


def judge(stamp: Stamp, fd: int, age: float, settle_s: float, stale_s: float) -> Verdict:
    """Judges a lock on a local file system, whose flock we have."""
    old = Verdict(max(stale_s - age, 0))
    if stamp.kind == "library":
        return judge_library(stamp, os.fstat(fd).st_mtime, old)
    pid_gone, no_pid = stamp.pid > 0 and gone(stamp.pid), stamp.kind == "cut short" and not stamp.pid
    if no_pid:
        old = Verdict(max(min(CUT_SHORT_S, stale_s) - age, 0))
    by_itself = DEAD if pid_gone else old
    if by_itself.left and not no_pid:
        return by_itself
    lease = read_lease(fd)
    if lease is False:
        return ALIVE
    if lease and (pid_gone or no_pid):
        return Verdict(max(settle_s - age, 0), closed=True)
    return Verdict(by_itself.left, closed=bool(lease))


def judge_library(stamp: Stamp, modified: float, old: Verdict) -> Verdict:
    ours = parse(own_stamp("1-" + "0" * 16))
    same = {field: ours.known(field) != "" and ours.known(field) == stamp.known(field) for field in ours.fields}
    if stamp.known("flock") != "none":
        booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        earlier = stamp.known("boot") and ours.known("boot") and modified < booted
        return DEAD if same["boot"] or earlier else old
    if not (same["boot"] and same["pidns"]):
        return old
    if gone(stamp.pid):
        return DEAD
    seen = stat(stamp.pid) if proc_is_ours() else {}
    another = same["timens"] and stamp.known("start") and seen.get(22, stamp.known("start")) != stamp.known("start")
    zombie = seen.get(3) in ("Z", "X") and int(seen[20]) <= 1
    return DEAD if another or zombie else ALIVE

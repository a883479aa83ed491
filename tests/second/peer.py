#!/usr/bin/env python3
"""A library peer in plain Python, written from PROTOCOL.md alone: it works if the document is complete.

    peer.py DIR PREFIX < PATHS      appends PREFIX/path for each line, every tenth stamped; prints `ack ENTRY`
    peer.py --hold N DIR ROOT       holds N times, with ROOT/marker and ROOT/counter; prints `held START END` or `clash`
    peer.py --keep DIR              holds until its standard input ends, or it is killed; prints `acquired`

It polls, and leaves out what is for file systems that have no flock, no hard links or no exchange.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import random
import re
import secrets
import socket
import stat
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from journal import MAGIC, crosses_page, line

FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
NOREPLACE, EXCHANGE = 1, 2
LIBC = ctypes.CDLL(None, use_errno=True)
NOTE = re.compile(rb"\d+\n.*\njlock/1 .*\n(append=(\d+):(\d+):(\d+)\n)")
PID_MAX = 4194304
CUT_SHORT_S, FRESH_S, DOUBTED_S, OLD_S = 5, 1, 15, 29


class Lost(OSError):
    """Somebody else has the lock that was held."""


# ------------------------------------------------------------------------------------------------------------ stamps


class Stamp(NamedTuple):
    kind: str
    pid: int = 0
    nonce: str = ""
    fields: dict[str, str] = {}


def parse(content: bytes) -> Stamp:
    text = content[:4096].decode("latin-1")
    whole = re.match(r"(\d{1,10})\n(\d{1,10}-[0-9a-f]{16})\n(jlock/1 [^\n]*\n)?", text, re.ASCII)
    if whole and 0 < int(whole[1]) < 2**31:
        words = [word for word in (whole[3] or "").split() if "=" in word]
        kind = "library" if whole[3] else "shipped"
        return Stamp(kind, int(whole[1]), whole[2], dict(word.partition("=")[::2] for word in words))
    begun = re.fullmatch(r"(\d{0,10})(\n(\d{1,10}(-[0-9a-f]{0,16})?)?)?", text, re.ASCII)
    if begun and (0 < int(begun[1] or 0) < 2**31 or not begun[2]):
        return Stamp("cut short", int(begun[1]) if begun[2] else 0)
    return Stamp("foreign")


def slurp(path: str) -> str:
    with contextlib.suppress(OSError), open(path) as file:
        return file.read().strip()
    return ""


def start_time(pid: int | str) -> str:
    return dict(enumerate(slurp(f"/proc/{pid}/stat").rpartition(")")[2].split(), 3)).get(22, "0")


def own_stamp(nonce: str) -> bytes:
    boot, pidns = slurp("/proc/sys/kernel/random/boot_id"), os.stat("/proc/self/ns/pid").st_ino
    marks = f"jlock/1 boot={boot} pidns={pidns} start={start_time('self')} host={socket.gethostname()}"
    return f"{os.getpid()}\n{nonce}\n{marks}\n".encode()


def gone(pid: int) -> bool:
    try:
        if pid <= PID_MAX:
            os.kill(pid, 0)
        return pid > PID_MAX
    except OSError as error:
        return error.errno == errno.ESRCH


def is_dead(stamp: Stamp, age: float, stale_s: float) -> bool:
    """Judges a lock whose flock is ours."""
    if stamp.kind == "library" and stamp.fields.get("flock") == "none":
        ours = parse(own_stamp("1-" + "0" * 16)).fields
        near = all(stamp.fields.get(key) == ours[key] for key in ("boot", "pidns"))
        return age > stale_s or near and (gone(stamp.pid) or start_time(stamp.pid) != stamp.fields.get("start"))
    if stamp.kind == "cut short":
        return age > (stale_s if stamp.pid and not gone(stamp.pid) else CUT_SHORT_S)
    return stamp.kind == "library" or age > stale_s or stamp.kind == "shipped" and gone(stamp.pid)


# -------------------------------------------------------------------------------------------------------------- lock


class Private:
    """A private file of ours, or the file through which we hold."""

    def __init__(self, name: str, *fds: int, stamp: bytes = b"", alive: float = 0) -> None:
        self.name, self.fds, self.stamp, self.alive = name, fds, stamp, alive
        self.id = file_id(os.fstat(fds[0]))

    def touch(self) -> None:
        self.alive = time.time()  # before: older than it is, if anything
        os.utime(self.fds[0])

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)


def file_id(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


class Peer:
    def __init__(self, directory: str, settle_s: float = 0.1, stale_s: float = 30) -> None:
        self.journal, self.lock = "changes.journal", "changes.journal.lock"
        self.dir = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.settle_s, self.stale_s = settle_s, stale_s
        self.parked: Private | None = None
        self.hold: Private | None = None
        self.sweep()

    @property
    def held(self) -> Private:
        assert self.hold, "the lock is not held"
        return self.hold

    def close(self) -> None:
        if self.hold:
            self.release()
        self.give_up_parked()
        self.sweep()
        os.close(self.dir)

    def open(self, name: str, flags: int) -> int:
        fd = os.open(name, flags | FLAGS, 0o666, dir_fd=self.dir)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "no regular file", name)
        return fd

    def unlink(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.dir)

    def id_of(self, name: str) -> tuple[int, int] | None:
        try:
            return file_id(os.stat(name, dir_fd=self.dir, follow_symlinks=False))
        except FileNotFoundError:
            return None

    def rename(self, old: str, new: str, flags: int = 0) -> None:
        if LIBC.renameat2(self.dir, os.fsencode(old), self.dir, os.fsencode(new), flags):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), new)

    def make_private(self) -> tuple[str, str, int]:
        while True:
            nonce = f"{os.getpid()}-{secrets.token_hex(8)}"
            name = f"{self.lock}.{nonce}.tmp"
            fd = self.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return nonce, name, fd
            except BlockingIOError:  # a sweep is looking
                self.unlink(name)
                os.close(fd)

    def park(self) -> Private:
        if not self.parked:
            nonce, name, fd = self.make_private()
            alive, stamp = time.time(), own_stamp(nonce)
            os.write(fd, stamp)
            self.parked = Private(name, fd, stamp=stamp, alive=alive)
        return self.parked

    def give_up_parked(self) -> None:
        if self.parked:
            self.unlink(self.parked.name)
            self.parked.close()
            self.parked = None

    def acquire(self, timeout_s: float = 60) -> None:
        deadline = time.monotonic() + timeout_s
        while not self.link():
            state, stamp, fd = self.look()
            if state == "abandoned" and self.claim(stamp, fd):
                return self.sweep()
            if time.monotonic() >= deadline:
                raise TimeoutError(errno.ETIMEDOUT, f"held by {stamp}", self.lock)
            if state == "held":
                time.sleep(random.uniform(0.0005, 0.002))

    def link(self) -> bool:
        parked = self.park()
        if time.time() - parked.alive > FRESH_S:
            parked.touch()
        try:
            os.link(parked.name, self.lock, src_dir_fd=self.dir, dst_dir_fd=self.dir)
        except FileExistsError:
            return False
        except FileNotFoundError:  # swept
            self.give_up_parked()
            return self.link()
        self.hold = parked
        return time.time() - parked.alive <= DOUBTED_S or self.settle(parked)

    def settle(self, held: Private) -> bool:
        """Whether we hold the lock, once whoever read what stood there before has renamed over it."""
        time.sleep(self.settle_s)
        sure = self.id_of(self.lock) == held.id and os.pread(held.fds[0], 4097, 0) == held.stamp
        self.hold = held if sure else None
        if not sure and held is self.parked:
            self.give_up_parked()
        elif not sure:
            held.close()
        return sure

    def look(self) -> tuple[str, Stamp, int]:
        """`free`, `held` or `abandoned`, whose, and of an abandoned lock the file with its flock."""
        try:
            if not stat.S_ISREG(os.stat(self.lock, dir_fd=self.dir, follow_symlinks=False).st_mode):
                raise OSError(errno.EINVAL, "no regular file", self.lock)
            fd = self.open(self.lock, os.O_RDONLY)
        except FileNotFoundError:
            return "free", Stamp("none"), -1
        except PermissionError:
            return "held", Stamp("unknown"), -1
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            busy = False
        except BlockingIOError:
            busy = True
        stamp, now = parse(os.pread(fd, 4096, 0)), time.time()
        if self.id_of(self.lock) != file_id(os.fstat(fd)):
            os.close(fd)
            return self.look()
        if not busy and is_dead(stamp, now - os.fstat(fd).st_mtime, self.stale_s):
            return "abandoned", stamp, fd
        os.close(fd)
        return "held", stamp, -1

    def claim(self, dead: Stamp, fd: int) -> bool:
        corpse = file_id(os.fstat(fd))
        try:
            writable = self.open(self.lock, os.O_WRONLY) if dead.kind != "foreign" else -1
        except (FileNotFoundError, PermissionError) as error:
            writable = -1
            if error.errno == errno.ENOENT:
                os.close(fd)
                return False
        if writable < 0:
            claimed = self.exchange(corpse)
            os.close(fd)
            return claimed
        note = NOTE.match(os.pread(fd, 4096, 0))
        held = Private("", fd, writable, stamp=self.park().stamp + (note[1] if note else b""), alive=time.time())
        if file_id(os.fstat(writable)) != corpse:
            held.close()
            return False
        self.overwrite(writable, os.pread(fd, 4096, 0), held.stamp)
        if not self.settle(held):
            return False
        if dead.kind == "cut short":  # its creator may yet write to it
            return self.move(held)
        if note:
            self.mend(*map(int, note.groups()[1:]))
            held.stamp = held.stamp.removesuffix(note[1])
            os.ftruncate(writable, len(held.stamp))
        remains = f"{self.lock}.{dead.nonce}.tmp"
        if self.id_of(remains) == corpse:
            self.unlink(remains)
        return True

    def overwrite(self, fd: int, old: bytes, new: bytes) -> None:
        try:
            os.pwrite(fd, new, 0)
            os.ftruncate(fd, len(new))
        except OSError:
            os.pwrite(fd, old, 0)
            os.ftruncate(fd, len(old))
            raise

    def move(self, old: Private) -> bool:
        parked, self.parked = self.park(), None
        parked.touch()
        self.rename(parked.name, self.lock)
        sure = self.settle(parked)
        old.close()
        return sure

    def exchange(self, corpse: tuple[int, int]) -> bool:
        parked = self.park()
        parked.touch()
        if self.id_of(self.lock) != corpse:
            return False
        self.rename(parked.name, self.lock, EXCHANGE)
        if self.id_of(parked.name) != corpse:
            try:
                self.rename(parked.name, self.lock, EXCHANGE)
            except FileNotFoundError:
                parked.close()
                self.parked = None
                self.rename(parked.name, self.lock, NOREPLACE)
            return False
        self.parked = None
        sure = self.settle(parked)
        self.unlink(parked.name)
        return sure

    def check(self) -> None:
        if self.id_of(self.lock) != self.held.id:
            self.let_go()
            self.give_up_parked()
            raise Lost(errno.ESTALE, "the lock was taken", self.lock)

    def release(self) -> None:
        self.check()
        if time.time() - self.held.alive > OLD_S:
            self.held.touch()
            time.sleep(self.settle_s)
            self.check()
        os.unlink(self.lock, dir_fd=self.dir)
        self.let_go()

    def let_go(self) -> None:
        if self.hold is not self.parked:
            self.held.close()
        self.hold = None

    def sweep(self) -> None:
        for name in os.listdir(self.dir):
            private = re.fullmatch(re.escape(self.lock) + r"\.(\d*).*\.tmp", name)
            if private and not (self.parked and name == self.parked.name):
                with contextlib.suppress(OSError):  # gone, or no file that may be opened: not ours to judge
                    self.sweep_one(name, int(private[1] or 0))

    def sweep_one(self, name: str, pid: int) -> None:
        fd = self.open(name, os.O_RDONLY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            content, old = os.pread(fd, 4096, 0), time.time() - os.fstat(fd).st_mtime > self.stale_s
            ours = parse(content).kind == "library" or content.startswith(MAGIC)
            if ours or old or pid and gone(pid):
                self.unlink(name)
        finally:
            os.close(fd)

    # ------------------------------------------------------------------------------------------------------- journal

    def append(self, *paths: bytes, stamp_ms: int | None = None) -> None:
        lines = b"".join(map(line, paths))
        while True:
            self.acquire()
            try:
                while not self.add(lines):
                    pass
                while stamp_ms is not None and not self.stamp(stamp_ms):
                    pass
                return self.release()
            except Lost:
                continue
            except BaseException:
                self.release()
                raise

    def add(self, lines: bytes) -> bool:
        try:
            fd = self.open(self.journal, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            return self.replace(MAGIC + b"0\n" + lines, None)
        try:
            size = os.fstat(fd).st_size
            ended = size > 0 and os.pread(fd, 1, size - 1) == b"\n"
            data = (b"" if ended else b"\n" if size else MAGIC + b"0\n") + lines
            with self.noted(fd, size, len(data)):
                written = os.write(fd, data)
                if written < len(data):
                    if os.fstat(fd).st_size == size + written and self.id_of(self.lock) == self.held.id:
                        os.ftruncate(fd, size)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.journal)
            return self.id_of(self.journal) == file_id(os.fstat(fd))
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def noted(self, fd: int, size: int, length: int) -> Iterator[None]:
        """Notes in the lock what a kill could cut in two, so that whoever claims it can take it back."""
        if not crosses_page(size, length):
            yield
            return
        end, lock = len(self.held.stamp), self.held.fds[-1]
        os.pwrite(lock, b"append=%d:%d:%d\n" % (os.fstat(fd).st_ino, size, size + length), end)
        try:
            yield
        finally:
            os.ftruncate(lock, end)

    def mend(self, inode: int, before: int, after: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            fd = self.open(self.journal, os.O_RDWR)
            found = os.fstat(fd)
            if found.st_ino == inode and before < found.st_size < after:
                os.ftruncate(fd, before)
            os.close(fd)

    def stamp(self, ms: int) -> bool:
        fd = self.open(self.journal, os.O_RDWR)  # not to append: pwrite would
        try:
            size, digits = os.fstat(fd).st_size, str(ms).encode()
            header = re.match(re.escape(MAGIC) + rb"(\d+)\n", os.pread(fd, 4096, 0))
            if header and len(header[1]) == len(digits):
                return os.pwrite(fd, digits, header.start(1)) > 0
            first, _, rest = os.pread(fd, size, 0).partition(b"\n")
            return self.replace(MAGIC + digits + b"\n" + rest, fd, size)
        finally:
            os.close(fd)

    def replace(self, content: bytes, old: int | None, size: int = 0) -> bool:
        """Makes the journal anew, in one step; `False` if it has become another meanwhile."""
        _, name, fd = self.make_private()
        try:
            os.write(fd, content)
            if old is None:
                self.check()
                self.rename(name, self.journal, NOREPLACE)
                return True
            os.fchmod(fd, stat.S_IMODE(os.fstat(old).st_mode))
            os.fdatasync(fd)
            self.check()
            if self.id_of(self.journal) != file_id(os.fstat(old)) or os.fstat(old).st_size != size:
                return False
            self.rename(name, self.journal)
            return os.write(fd, os.pread(old, 2**31 - 1, size)) >= 0
        except FileExistsError:
            return False
        finally:
            self.unlink(name)
            os.close(fd)


# ---------------------------------------------------------------------------------------------------------- programs


def write(peer: Peer, prefix: str) -> None:
    longest = 0.0
    for number, line in enumerate(sys.stdin, 1):
        entry, begun = f"{prefix}/{line.rstrip()}", time.monotonic()
        peer.append(entry.encode(), stamp_ms=None if number % 10 else int(time.time() * 1000))
        longest = max(longest, time.monotonic() - begun)
        print("ack", entry, flush=True)
    print(f"wait {longest * 1000:.3f}", flush=True)


def hold(peer: Peer, count: int, root: str) -> None:
    marker, counter = os.path.join(root, "marker"), os.path.join(root, "counter")
    for _ in range(count):
        peer.acquire()
        start, alone = time.monotonic_ns(), True
        try:
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            alone = False
            print("clash")
        counted = int(slurp(counter) or 0)
        os.sched_yield()
        with open(counter, "w") as file:
            file.write(str(counted + 1))
        if alone:
            os.unlink(marker)
        print("held", start, time.monotonic_ns())
        peer.release()


def keep(peer: Peer) -> None:
    peer.acquire()
    print("acquired", flush=True)
    sys.stdin.read()


def main(mode: str, *words: str) -> None:
    directory = {"--hold": words[1:2], "--keep": words[:1]}.get(mode, [mode])[0]
    with contextlib.closing(Peer(directory)) as peer:
        if mode == "--hold":
            hold(peer, int(words[0]), words[2])
        elif mode == "--keep":
            keep(peer)
        else:
            write(peer, words[0])


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A library peer in plain Python, written from PROTOCOL.md alone: it works if the document is complete.

As *What a peer may leave out* in PROTOCOL.md allows, it polls instead of lining up, writes no notes and no `since`,
neither refreshes nor forks, and works only on local file systems that have hard links, flock and exchange.
"""

from __future__ import annotations  # Python 3.9

import contextlib
import ctypes
import errno
import fcntl
import math
import os
import random
import re
import secrets
import stat
import time

from evidence import NOTE, PAGE, Stamp, gone, judge, own_stamp, parse, postscript
from journal import MAGIC, line, sound

FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
LIBC, RENAME_EXCHANGE, RENAME_NOREPLACE = ctypes.CDLL(None, use_errno=True), 2, 1
FRESH_S, LATE_LINK_S, LATE_S, CORRECTED_S, SWEEP_S = 1, 15, 29, 1, 1


class Inode:
    """A file of ours: a private one, or the one by which we hold. The first descriptor has its flock."""

    def __init__(self, name: str, stamp: bytes, *fds: int) -> None:
        self.name, self.stamp, self.fds, self.alive = name, stamp, fds, time.time()
        self.id = file_id(os.fstat(fds[0]))

    def is_late(self, than_s: float = LATE_S) -> bool:
        """Whether a shipped peer may have judged it by its age. (The wall clock may have been set back.)"""
        return not -CORRECTED_S <= time.time() - self.alive < than_s

    def touch(self) -> None:
        self.alive = time.time()  # taken before, so it is too old rather than too new
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
        self.parked: Inode | None = None
        self.held: Inode | None = None
        self.deadline = self.swept = -math.inf
        self.seen: tuple[tuple[int, int], int, float] | None = None

    def close(self) -> None:
        if self.held:
            self.release()
        self.give_up(self.parked)
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

    def link(self, old: str, new: str) -> None:
        os.link(old, new, src_dir_fd=self.dir, dst_dir_fd=self.dir)

    def rename(self, old: str, new: str, flags: int = 0) -> None:
        if LIBC.renameat2(self.dir, os.fsencode(old), self.dir, os.fsencode(new), flags):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), new)

    def id_of(self, name: str) -> tuple[int, int] | None:
        try:
            return file_id(os.stat(name, dir_fd=self.dir, follow_symlinks=False))
        except FileNotFoundError:
            return None

    def make_private(self, content: bytes | None = None) -> Inode:
        """Makes a private file with this content, or else with a stamp that has its name's nonce."""
        while True:
            nonce = f"{os.getpid()}-{secrets.token_hex(8)}"
            name = f"{self.lock}.{nonce}.tmp"
            file = Inode(name, own_stamp(nonce), self.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL))
            try:
                fcntl.flock(file.fds[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
                with open(os.dup(file.fds[0]), "wb") as out:
                    out.write(file.stamp if content is None else content)
                return file
            except OSError as error:
                self.give_up(file)
                if error.errno != errno.EAGAIN:  # a sweep is looking
                    raise

    def park(self) -> Inode:
        if not self.parked:
            self.sweep()
            self.parked = self.make_private()
        return self.parked

    def give_up(self, file: Inode | None) -> None:
        if file:
            self.unlink(file.name)
            file.close()
            self.parked = None if file is self.parked else self.parked

    def let_go(self, file: Inode) -> None:
        """Leaves a file that may have the lock's name; without its flock, it looks like a dead peer's."""
        file.close()
        self.parked = None if file is self.parked else self.parked

    def acquire(self, timeout_s: float = 60) -> None:
        self.deadline = time.monotonic() + timeout_s
        while not self.take():
            state, stamp, fd, closed = self.look()
            if state == "abandoned" and self.claim(stamp, fd, closed):
                return
            if time.monotonic() >= self.deadline:
                raise self.timed_out(stamp)
            if state == "held":
                time.sleep(random.uniform(0.0005, 0.002))

    def timed_out(self, stamp: Stamp) -> TimeoutError:
        return TimeoutError(errno.ETIMEDOUT, f"held by {stamp}", self.lock)

    def take(self) -> bool:
        parked = self.park()
        if parked.is_late(FRESH_S):
            parked.touch()
        try:
            self.link(parked.name, self.lock)
        except FileExistsError:
            return False
        except FileNotFoundError:  # swept
            self.give_up(parked)
            return self.take()
        self.held = parked
        if not parked.is_late(LATE_LINK_S):
            return True
        parked.touch()
        return self.settle(parked)

    def settle(self, file: Inode) -> bool:
        """Whether we hold the lock, after everybody who read what was there before has had time to rename over it."""
        while True:
            time.sleep(self.settle_s)
            if self.id_of(self.lock) != file.id or not os.pread(file.fds[0], PAGE, 0).startswith(file.stamp):
                self.held = None
                self.give_up(file)
                return False
            if not file.is_late():
                self.held = file
                return True
            if time.monotonic() >= self.deadline:
                self.held = None
                self.let_go(file)
                raise self.timed_out(parse(file.stamp))
            file.touch()  # it was frozen while it settled

    def age_of(self, found: os.stat_result) -> float:
        """Its age by the wall clock, or at least the time for which we have seen it unchanged."""
        now, state = time.monotonic(), (file_id(found), found.st_mtime_ns)
        since = self.seen[2] if self.seen and self.seen[:2] == state else now
        self.seen = (*state, since)
        return max(time.time() - found.st_mtime, now - since, 0)

    def look(self) -> tuple[str, Stamp, int, bool]:
        """`free`, `held` or `abandoned`; the stamp; if abandoned, the file with its flock; whether nobody has it
        open."""
        try:
            if not stat.S_ISREG(os.stat(self.lock, dir_fd=self.dir, follow_symlinks=False).st_mode):
                raise OSError(errno.EINVAL, "no regular file", self.lock)  # it must not even be opened
            fd = self.open(self.lock, os.O_RDONLY)
        except FileNotFoundError:
            return "free", Stamp("none"), -1, False
        except PermissionError:
            return "held", Stamp("unknown"), -1, False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            busy = False
        except BlockingIOError:
            busy = True
        found, stamp = os.fstat(fd), parse(os.pread(fd, PAGE, 0))
        if self.id_of(self.lock) != file_id(found):
            os.close(fd)
            return self.look()
        if not busy:
            verdict = judge(stamp, fd, self.age_of(found), self.settle_s, self.stale_s)
            if not verdict.left:
                return "abandoned", stamp, fd, verdict.closed
        os.close(fd)
        return "held", stamp, -1, False

    def claim(self, dead: Stamp, fd: int, closed: bool) -> bool:
        try:
            fds = (fd,) if dead.kind == "foreign" else (fd, self.open(self.lock, os.O_WRONLY))
        except (FileNotFoundError, PermissionError):
            fds = (fd,)
        corpse = Inode("", b"", *fds)
        if len(fds) == 1:  # we may not write into it
            return self.exchange(corpse)
        if file_id(os.fstat(corpse.fds[1])) != corpse.id:
            corpse.close()
            return False
        old = os.pread(fd, PAGE, 0)
        left, modified = postscript(old), os.fstat(fd).st_mtime_ns
        corpse.stamp, corpse.alive = self.park().stamp, time.time()
        try:
            self.overwrite(corpse, corpse.stamp + left)
        except OSError:
            self.overwrite(corpse, old)
            os.utime(fd, ns=(modified, modified))
            corpse.close()
            raise
        if not self.settle(corpse):
            return False
        if dead.kind == "cut short" and not closed:  # its creator may yet write to it
            return self.move(corpse)
        if left:
            note = NOTE.match(left)
            if note:
                self.take_back(*map(int, note.groups()))
            self.overwrite(corpse, corpse.stamp)
        remains = f"{self.lock}.{dead.nonce}.tmp"
        if self.id_of(remains) == corpse.id:
            self.unlink(remains)
        return True

    def overwrite(self, file: Inode, content: bytes) -> None:
        os.pwrite(file.fds[-1], content, 0)
        os.ftruncate(file.fds[-1], len(content))

    def move(self, corpse: Inode) -> bool:
        parked, self.parked = self.park(), None
        parked.touch()
        self.held = None
        if corpse.is_late():
            self.give_up(parked)
            corpse.close()
            return False
        self.rename(parked.name, self.lock)
        sure = self.settle(parked)
        corpse.close()
        return sure

    def exchange(self, corpse: Inode) -> bool:
        parked = self.park()
        parked.touch()
        with contextlib.closing(corpse):
            if self.id_of(self.lock) != corpse.id:
                return False
            self.rename(parked.name, self.lock, RENAME_EXCHANGE)
            if self.id_of(parked.name) == corpse.id:
                self.parked = None
                sure = self.settle(parked)
                self.unlink(parked.name)
                return sure
            try:
                self.rename(parked.name, self.lock, RENAME_EXCHANGE)
            except FileNotFoundError:
                self.rename(parked.name, self.lock, RENAME_NOREPLACE)
                self.give_up(parked)
            return False

    def take_back(self, inode: int, before: int, after: int) -> None:
        """Takes back a killed writer's append if it was cut in two."""
        with contextlib.suppress(FileNotFoundError):
            fd = self.open(self.journal, os.O_RDWR)
            found = os.fstat(fd)
            if found.st_ino == inode and before < found.st_size < after:
                os.ftruncate(fd, before)
            os.close(fd)

    def holds(self) -> bool:
        return self.held is not None and self.id_of(self.lock) == self.held.id

    def release(self) -> bool:
        """Releases the lock; returns whether it was ours to the end."""
        held, ours = self.held, self.holds()
        assert held, "the lock is not held"
        while ours and held.is_late():
            held.touch()
            time.sleep(self.settle_s)
            ours = self.holds()
        if ours:
            os.unlink(self.lock, dir_fd=self.dir)
        self.held = None
        if held is not self.parked or not ours:
            self.give_up(held)
        return ours

    def sweep(self) -> None:
        if time.monotonic() - self.swept < SWEEP_S:
            return
        self.swept = time.monotonic()
        for name in os.listdir(self.dir):
            private = re.fullmatch(re.escape(self.lock) + r"\.(\d*).*\.tmp", name)
            if private:
                with contextlib.suppress(OSError):  # it is gone, or may not be opened: not ours to judge
                    self.sweep_one(name, int(private[1] or 0))
        with contextlib.suppress(OSError):  # there is no line, or somebody waits
            self.sweep_line(f"{self.lock}.line")

    def sweep_one(self, name: str, pid: int) -> None:
        fd = self.open(name, os.O_RDONLY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            content, old = os.pread(fd, PAGE, 0), time.time() - os.fstat(fd).st_mtime > self.stale_s
            stamp = parse(content)
            ours = stamp.kind == "library" and stamp.known("flock") != "none" or content.startswith(b"# ")
            if ours or old or pid and gone(pid):
                self.unlink(name)
        finally:
            os.close(fd)

    def sweep_line(self, line_dir: str) -> None:
        """Removes the tickets of the dead. (This peer takes no tickets.)"""
        fd = os.open(line_dir, os.O_RDONLY | os.O_DIRECTORY | FLAGS, dir_fd=self.dir)
        tickets = os.listdir(fd)
        os.close(fd)
        for ticket in tickets:
            with contextlib.suppress(OSError):
                self.sweep_ticket(f"{line_dir}/{ticket}")
        os.rmdir(line_dir, dir_fd=self.dir)

    def sweep_ticket(self, name: str) -> None:
        fd = self.open(name, os.O_RDONLY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.unlink(name)
        finally:
            os.close(fd)

    # ------------------------------------------------------------------------------------------------------- journal

    def append(self, *paths: bytes, stamp_ms: int | None = None) -> None:
        lines, done = b"".join(map(line, paths)), False
        while not done:
            self.acquire()
            try:
                while self.holds() and not self.write(lines, stamp_ms):
                    pass
            finally:
                done = self.release()

    def write(self, lines: bytes, ms: int | None) -> bool:
        """Whether the lines are in the journal; if not, the journal was replaced meanwhile, or the lock is lost."""
        try:
            fd = self.open(self.journal, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            return self.replace(MAGIC + b"%d\n" % (ms or 0) + lines)
        try:
            size, digits = os.fstat(fd).st_size, b"" if ms is None else b"%d" % ms
            last = os.pread(fd, 1, size - 1) if size else b""
            if last == b"\0":
                size = len(sound(os.pread(fd, size, 0)))
                os.ftruncate(fd, size)
                last = b"\n"
            ended = size > 0 and last == b"\n"
            added = (b"" if ended else b"\n" if size else MAGIC + b"0\n") + lines
            header = re.match(re.escape(MAGIC) + rb"(\d+)\n", os.pread(fd, PAGE, 0))
            in_place = not digits or header and len(header[1]) == len(digits)
            if not in_place or size // PAGE != (size + len(added) - 1) // PAGE:  # a kill could cut it in two
                content = os.pread(fd, size, 0) + added
                if digits:
                    below = content.partition(b"\n")[2] if content.startswith(b"#") else content
                    content = MAGIC + digits + b"\n" + below
                return self.replace(content, fd, size)
            written = os.write(fd, added)
            if written < len(added):
                if os.fstat(fd).st_size == size + written and self.holds():
                    os.ftruncate(fd, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.journal)
            if header and digits:
                fcntl.fcntl(fd, fcntl.F_SETFL, 0)  # without O_APPEND, since pwrite would append
                os.pwrite(fd, digits, header.start(1))
            return self.id_of(self.journal) == file_id(os.fstat(fd))
        finally:
            os.close(fd)

    def replace(self, content: bytes, old: int | None = None, size: int = 0) -> bool:
        """Replaces the journal in one step."""
        new = self.make_private(content)
        try:
            os.fdatasync(new.fds[0])
            if old is None:
                self.link(new.name, self.journal)
                return self.holds()
            os.fchmod(new.fds[0], stat.S_IMODE(os.fstat(old).st_mode))
            if self.id_of(self.journal) != file_id(os.fstat(old)) or os.fstat(old).st_size != size or not self.holds():
                return False
            self.rename(new.name, self.journal)
            return os.pwrite(new.fds[0], os.pread(old, 2**31 - 1, size), len(content)) >= 0
        except FileExistsError:
            return False
        finally:
            self.give_up(new)

"""hold.py KIND FILE: takes a lock of this kind, prints `held` or `busy`, and then obeys its standard input line by
line: `close` opens the file once more and closes it; `again` tries to take the lock a second time; `fork` makes a
child that stays, and prints its PID. At the end of input it releases the lock. locks.py runs it."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Optional

Release = Callable[[], object]
SECONDS = 1.0  # for kinds that need a timeout


def take_flock(path: str) -> Release:
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return lambda: os.close(fd)


def wait_flock(path: str) -> Release:
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return lambda: os.close(fd)


def take_fcntl(path: str, wait: int = fcntl.LOCK_NB) -> Release:
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.lockf(fd, fcntl.LOCK_EX | wait)
    return lambda: os.close(fd)


def take_lockf(path: str, command: int = os.F_TLOCK) -> Release:
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.lockf(fd, command, 0)
    return lambda: os.close(fd)


F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW = 36, 37, 38  # linux/fcntl.h
FLOCK = "hhqqi4x"  # struct flock: type, whence, start, len, pid
WHOLE = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


def take_ofd(path: str, command: int = F_OFD_SETLK) -> Release:
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.fcntl(fd, command, WHOLE)
    return lambda: os.close(fd)


def take_excl(path: str) -> Release:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return lambda: os.unlink(path)


def take_pid_file(path: str) -> Release:
    """As it is commonly written."""
    while True:
        with contextlib.suppress(FileExistsError):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(fd, f"{os.getpid()}\n".encode())
            os.close(fd)
            return lambda: Path(path).unlink(missing_ok=True)  # the file may have been taken away
        try:
            os.kill(int(Path(path).read_text()), 0)
        except ProcessLookupError:
            os.unlink(path)  # stale
        else:
            raise BlockingIOError


def take_liblockfile(path: str) -> Release:
    library = ctypes.CDLL("liblockfile.so.1")
    with_pid = 16  # L_PID
    if library.lockfile_create(path.encode(), 0, with_pid) != 0:
        raise BlockingIOError
    return lambda: library.lockfile_remove(path.encode())


def take_filelock(kind: str, path: str, seconds: float) -> Release:
    import filelock

    lock = getattr(filelock, kind)(path, timeout=seconds)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise BlockingIOError from None
    return lambda: lock.release()


def take_jlock(path: str, seconds: float = SECONDS) -> Release:
    from jlock import Lock

    lock = Lock(os.path.dirname(path))
    try:
        lock.acquire(timeout=seconds)
    except TimeoutError:
        raise BlockingIOError from None
    return lambda: lock.close()


KINDS: dict[str, Callable[[str], Release]] = {
    "flock": take_flock,
    "fcntl": take_fcntl,
    "lockf": take_lockf,
    "ofd": take_ofd,
    "excl": take_excl,
    "pid": take_pid_file,
    "liblockfile": take_liblockfile,
    "FileLock": lambda path: take_filelock("FileLock", path, 0),
    "SoftFileLock": lambda path: take_filelock("SoftFileLock", path, 0),
    "jlock": take_jlock,
    "flock, waiting": wait_flock,
    "fcntl, waiting": lambda path: take_fcntl(path, 0),
    "lockf, waiting": lambda path: take_lockf(path, os.F_LOCK),
    "ofd, waiting": lambda path: take_ofd(path, F_OFD_SETLKW),
    "jlock, waiting": lambda path: take_jlock(path, 60),
}


def attempt(kind: str, path: str) -> Optional[Release]:
    try:
        return KINDS[kind](path)
    except (BlockingIOError, FileExistsError, PermissionError):
        return None


def main() -> None:
    kind, path = sys.argv[1:]
    release = attempt(kind, path)
    print("held" if release else "busy", flush=True)
    if not release:
        return
    for line in sys.stdin:
        if line == "close\n":
            os.close(os.open(path, os.O_RDWR))
            print("closed", flush=True)
        elif line == "again\n":
            print("held" if attempt(kind, path) else "busy", flush=True)
        elif line == "fork\n":
            child = os.fork()
            if child == 0:
                signal.pause()
            print(child, flush=True)
    release()


if __name__ == "__main__":
    main()

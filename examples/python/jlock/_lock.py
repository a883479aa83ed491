"""The lock: acquire and release, for threads and for asyncio."""

from __future__ import annotations

import ctypes
import os
import warnings
import weakref
from types import TracebackType
from typing import Any, Optional, TypeVar, Union

from . import _abi, _errors, _values
from ._handle import Handle
from ._model import Fallback, Holder, Peer, Place, Promise, State
from ._participant import Participant
from ._values import Path
from ._wait import TaskWaiter, ThreadWaiter, run_blocking

Directory = Union[Path, int]
_Self = TypeVar("_Self", bound="Lock")

JOURNAL = "changes.journal"


class Lock:
    """The lock of one journal. While one process, thread, task or `Lock` holds it, all others stay out.

        with Lock(directory):
            ...

    `directory` is the directory that holds the journal itself: a path or an open descriptor. A missing one is created,
    unless you pass `create=False`, a descriptor, or a `journal` other than changes.journal. The object follows the path
    if the directory is replaced; if it was opened by descriptor, or for another journal, it stays with the directory.

    timeout    seconds to wait for the lock; math.inf or a negative number: forever; 0: do not wait
    retry      longest sleep between two looks at the lock; longer behind other waiters
    stale      age at which a lock that a shipped peer holds counts as abandoned
    settle     wait after taking over from a dead holder; 0 only where every peer uses this library
    sync       a journal call returns only once its data is on disk
    keepalive  refresh the lock automatically while it is held

    One object is one participant, and any thread may use or release it. A thread that acquires an object that is already
    held gets an OSError (EDEADLK), and so does a task that holds it itself; other tasks wait for their turn. Threads that
    should exclude each other use a `Lock` each.

    After fork the child opens its own: there every method but `close` raises `ForkedError`. Pickling a `Lock`, as
    multiprocessing does under spawn, opens another one on the same journal.

    Close it when you are done with it. If you do not, it is closed with the last reference, with a ResourceWarning, or
    when the interpreter exits.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        journal: Union[str, bytes] = JOURNAL,
        timeout: float = 5.0,
        retry: float = 0.025,
        stale: float = 30.0,
        settle: float = 0.1,
        create: bool = True,
        sync: bool = False,
        keepalive: bool = False,
    ) -> None:
        self._timeout = _values.limit(timeout)
        options = _abi.jlock_options()
        _abi.lib.jlock_options_init(ctypes.byref(options), ctypes.sizeof(options))
        options.flags = (
            (0 if create else _abi.JLOCK_NO_CREATE)
            | (_abi.JLOCK_SYNC if sync else 0)
            | (_abi.JLOCK_KEEPALIVE if keepalive else 0)
        )
        options.timeout_ms = 0  # nothing waits inside the library
        options.retry_ms = _values.milliseconds(retry, "retry")
        options.stale_ms = _values.milliseconds(stale, "stale")
        options.settle_ms = _values.milliseconds(settle, "settle")
        # Absolute, so that chdir changes nothing, and a process that unpickles it finds the same directory.
        self.directory = (
            _values.descriptor(directory) if isinstance(directory, int) else os.path.abspath(_values.name(directory))
        )
        self.journal = _values.name(journal)
        self._sync = sync
        self._again = dict(
            journal=self.journal, timeout=timeout, retry=retry, stale=stale, settle=settle,
            create=create, sync=sync, keepalive=keepalive,
        )  # fmt: skip
        self._handle = Handle(_open(self.directory, self.journal, options))
        self._participant = Participant(self._handle, f"{self.journal}.lock", retry)
        self._finalizer = weakref.finalize(self, _collected, self._handle, repr(self))
        setattr(self._finalizer, "atexit", False)  # _handle takes care of that. (mypy does not know the property.)

    def acquire(self, timeout: Optional[float] = None) -> None:
        """Acquire the lock, waiting at most `timeout` seconds (default: the object's own timeout).

        Raises AcquireTimeoutError, a TimeoutError, whose message names the holder, and WaitCancelledError after `cancel`.
        If a signal handler raises, as Ctrl-C does, the wait ends at once, and the lock is not held.
        """
        run_blocking(self._participant.acquire(ThreadWaiter(), self._limit(timeout)))

    async def acquire_async(self, timeout: Optional[float] = None) -> None:
        """`acquire` for asyncio: the event loop keeps running, without a thread, and the wait keeps its place in line.

        Tasks that share this object wait for each other, first come, first served. Cancelling the task ends the wait at
        once, and the lock is not held.
        """
        await self._participant.acquire(TaskWaiter(), self._limit(timeout))

    def try_acquire(self) -> bool:
        """Acquire the lock if nobody holds it. (Taking over from a dead holder waits `settle` seconds.)"""
        try:
            self.acquire(timeout=0)
        except _errors.AcquireTimeoutError:
            return False
        return True

    def release(self) -> None:
        """Release the lock. If somebody had taken it away, raises LockLostError, and the new holder keeps it."""
        self._participant.release()

    def refresh(self) -> None:
        """Renew the sign of life. Call it at least every 30 seconds under a long hold. Raises LockLostError."""
        self._participant.refresh()

    def cancel(self) -> None:
        """From another thread or a signal handler: end all waits in progress on this object with WaitCancelledError."""
        self._handle.cancel()

    def close(self) -> None:
        """Release the lock if it is held, end all waits on it, and free what the object keeps. Closing twice is fine.

        Raises LockLostError, or another OSError of the release; the object is closed whatever it raises.
        """
        self._finalizer.detach()
        rc = self._handle.close()
        if rc < 0:
            raise _errors.from_code(rc)

    @property
    def closed(self) -> bool:
        return self._handle.closed

    @property
    def recovered(self) -> bool:
        """Whether the last acquire took over from a dead holder: what the lock protects may be half done."""
        return bool(self._handle.call(_abi.lib.jlock_recovered))

    def inspect(self) -> Holder:
        """Say who holds the lock. Takes and changes nothing, and never waits."""
        found = _abi.jlock_holder()
        self._handle.call(_abi.lib.jlock_inspect, ctypes.byref(found), ctypes.sizeof(found))
        return Holder(
            State(found.state),
            Peer(found.peer),
            found.pid or None,
            found.age_ms / 1000,
            None if found.held_ms < 0 else found.held_ms / 1000,
            os.fsdecode(found.nonce),
            os.fsdecode(found.host),
            Fallback(found.fallback),
        )

    def __enter__(self: _Self) -> _Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.release()

    async def __aenter__(self: _Self) -> _Self:
        await self.acquire_async()
        return self

    async def __aexit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.release()

    def __reduce__(self) -> tuple[Any, ...]:
        if isinstance(self.directory, int):
            raise TypeError("cannot pickle a lock opened by descriptor: the number means nothing elsewhere")
        return _reopen, (type(self), self.directory, self._again)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.directory!r}{' closed' if self.closed else ''}>"

    def _limit(self, timeout: Optional[float]) -> float:
        return self._timeout if timeout is None else _values.limit(timeout)


def probe(directory: Path) -> Place:
    """Find out by trying what a directory can promise. Takes a second at most and leaves nothing behind."""
    found, name = _abi.jlock_place(), os.path.abspath(_values.name(directory))
    rc = _abi.lib.jlock_probe(os.fsencode(name), ctypes.byref(found), ctypes.sizeof(found))
    if rc < 0:
        raise _errors.from_code(rc, filename=name)
    return Place(
        Promise(found.promises), Fallback(found.missing), os.fsdecode(found.file_system), os.fsdecode(found.reason)
    )


def _collected(handle: Handle, shown: str) -> None:
    """Close a lock to which nobody refers any more."""
    try:
        if not handle.closed and not handle.inherited:
            warnings.warn(f"unclosed {shown}", ResourceWarning, stacklevel=2)
    finally:
        handle.close()  # nobody is left who could use the result


def _reopen(kind: type[Lock], directory: str, options: dict[str, Any]) -> Lock:
    return kind(directory, **options)


def _open(directory: Union[str, int], journal: str, options: _abi.jlock_options) -> ctypes.c_void_p:
    if isinstance(directory, int):
        return _open_at(directory, journal, options, f"descriptor {directory}")
    if journal == JOURNAL:
        pointer = ctypes.c_void_p()
        rc = _abi.lib.jlock_open(
            os.fsencode(directory), ctypes.byref(options), ctypes.sizeof(options), ctypes.byref(pointer)
        )
        return _opened(rc, pointer, directory)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return _open_at(descriptor, journal, options, os.path.join(directory, journal))
    finally:
        os.close(descriptor)


def _open_at(descriptor: int, journal: str, options: _abi.jlock_options, shown: str) -> ctypes.c_void_p:
    pointer = ctypes.c_void_p()
    rc = _abi.lib.jlock_open_at(
        descriptor, os.fsencode(journal), ctypes.byref(options), ctypes.sizeof(options), ctypes.byref(pointer)
    )
    return _opened(rc, pointer, shown)


def _opened(rc: int, pointer: ctypes.c_void_p, shown: str) -> ctypes.c_void_p:
    if rc < 0:
        raise _errors.from_code(rc, filename=shown)
    return pointer

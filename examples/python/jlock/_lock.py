"""The lock: acquire and release, for threads and for asyncio."""

from __future__ import annotations

import asyncio
import ctypes
import os
import weakref
from types import TracebackType
from typing import Any, Optional, TypeVar, Union

from . import _abi, _errors
from ._handle import SLICE, Handle, gave_up, milliseconds
from ._model import Fallback, Holder, Peer, State

Directory = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]", int]
_Self = TypeVar("_Self", bound="Lock")

JOURNAL = "changes.journal"


class Lock:
    """The lock of one journal, held while another process, thread or `Lock` must stay out.

        with Lock(directory):
            ...

    `directory` is the one that holds the journal itself: a path or an open descriptor. A missing one is created,
    except with `create=False`, a descriptor, or another `journal` than changes.journal.

    timeout    seconds to wait for the lock; math.inf or a negative number: for ever; 0: not at all
    retry      longest sleep between two looks at the lock
    stale      age at which a lock that a shipped peer holds counts as abandoned
    settle     wait after a take-over from a dead holder; 0 where every peer uses this library
    sync       a journal call returns once its data is on disk
    keepalive  refresh the lock by itself while it is held

    One object is one participant: acquiring it while it is held is an error (EDEADLK), and any thread may use or
    release it. Threads and tasks that want to exclude each other use a `Lock` each. After fork the child opens its
    own: in the child every method but `close` raises `ForkedError`. To pickle a `Lock`, as multiprocessing does to
    spawn, means to open another one on the same journal.

    It is closed with the last reference, at the latest when the interpreter exits.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        journal: str = JOURNAL,
        timeout: float = 5.0,
        retry: float = 0.025,
        stale: float = 30.0,
        settle: float = 0.1,
        create: bool = True,
        sync: bool = False,
        keepalive: bool = False,
    ) -> None:
        self._timeout = _limit(timeout)
        self._retry = retry
        options = _abi.jlock_options()
        _abi.lib.jlock_options_init(ctypes.byref(options))
        options.flags = (
            (0 if create else _abi.JLOCK_NO_CREATE)
            | (_abi.JLOCK_SYNC if sync else 0)
            | (_abi.JLOCK_KEEPALIVE if keepalive else 0)
        )
        options.timeout_ms = milliseconds(_slice(self._timeout))
        options.retry_ms = milliseconds(retry)
        options.stale_ms = milliseconds(stale)
        options.settle_ms = milliseconds(settle)
        # Absolute, so that the process that unpickles it finds the same directory.
        self.directory = directory if isinstance(directory, int) else os.path.abspath(os.fsdecode(directory))
        self.journal = journal
        self._again = dict(
            journal=journal, timeout=timeout, retry=retry, stale=stale, settle=settle,
            create=create, sync=sync, keepalive=keepalive,
        )  # fmt: skip
        self._handle = Handle(_open(self.directory, journal, options))
        self._finalizer = weakref.finalize(self, self._handle.close)

    def acquire(self, timeout: Optional[float] = None) -> None:
        """Take the lock, waiting `timeout` seconds, or as long as the object was made to.

        Raises AcquireTimeoutError, a TimeoutError, whose message names the holder; CanceledError after `cancel`.
        A signal handler runs within a tenth of a second; when it raises, as Ctrl-C does, the lock is not held.
        """
        limit = self._timeout if timeout is None else _limit(timeout)
        self._handle.wait(lambda ms: self._handle.take(_abi.lib.jlock_acquire_for, ms), limit)

    def try_acquire(self) -> bool:
        """Take the lock if it can be had without waiting for a live holder."""
        return self._try() is None

    def _try(self) -> Optional[BlockingIOError]:
        try:
            self._handle.take(_abi.lib.jlock_try_acquire)
        except BlockingIOError as held:
            return held
        return None

    def release(self) -> None:
        """Let the lock go. Raises LockLostError when somebody had taken it away: his lock stays."""
        self._handle.call(_abi.lib.jlock_release)

    def refresh(self) -> None:
        """Show a sign of life, for a holder that may need more than 30 seconds. Raises LockLostError."""
        self._handle.call(_abi.lib.jlock_refresh)

    def cancel(self) -> None:
        """From another thread: end the wait in progress on this object, if any, with CanceledError.

        A task that waits in `acquire_async` is cancelled as any other task is.
        """
        self._handle.cancel()

    def close(self) -> None:
        """Release the lock if it is held, and free what the object keeps. Closing twice is fine."""
        self._finalizer()

    @property
    def closed(self) -> bool:
        return self._handle.closed

    @property
    def recovered(self) -> bool:
        """Whether the last acquire took over from a dead holder, who may have left his work half done."""
        return bool(self._handle.call(_abi.lib.jlock_recovered))

    def inspect(self) -> Holder:
        """Who holds the lock. Takes and changes nothing."""
        found = _abi.jlock_holder(size=ctypes.sizeof(_abi.jlock_holder))
        self._handle.call(_abi.lib.jlock_inspect, ctypes.byref(found))
        return Holder(
            State(found.state),
            Peer(found.peer),
            found.pid or None,
            found.age_ms / 1000,
            os.fsdecode(found.nonce),
            os.fsdecode(found.host),
            Fallback(found.fallback),
        )

    async def acquire_async(self, timeout: Optional[float] = None) -> None:
        """`acquire` for asyncio: the event loop goes on, and a task that is cancelled does not get the lock."""
        loop = asyncio.get_running_loop()
        limit = self._timeout if timeout is None else _limit(timeout)
        deadline = loop.time() + limit
        while True:
            held = await self._try_async(loop)
            if held is None:
                return
            left = deadline - loop.time()
            if left <= 0:
                raise gave_up(held.strerror or str(held), limit)
            await self._worth_trying(loop, min(left, self._retry))

    async def _try_async(self, loop: asyncio.AbstractEventLoop) -> Optional[BlockingIOError]:
        # A take-over from a dead holder waits until the lock has settled: in a thread, then, not in the loop. (Only a
        # holder that dies between these two lines makes the loop wait.)
        if self.inspect().state is not State.ABANDONED:
            return self._try()
        claim = loop.run_in_executor(None, self._try)
        try:
            return await asyncio.shield(claim)
        except asyncio.CancelledError:
            claim.add_done_callback(self._give_back)
            raise

    def _give_back(self, claim: asyncio.Future[Optional[BlockingIOError]]) -> None:
        if not claim.cancelled() and claim.result() is None:
            self.release()

    async def _worth_trying(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        """Wait until the holder has done something to the lock, at most `seconds`."""
        try:
            descriptor = self._handle.call(_abi.lib.jlock_wait_fd)
        except _errors.Error:
            raise
        except OSError:  # no inotify to be had: by time alone
            await asyncio.sleep(seconds)
            return
        ready = loop.create_future()
        loop.add_reader(descriptor, _wake, ready)
        try:
            await asyncio.wait([ready], timeout=seconds)
        finally:
            loop.remove_reader(descriptor)

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


def _reopen(kind: type[Lock], directory: str, options: dict[str, Any]) -> Lock:
    return kind(directory, **options)


def _limit(timeout: float) -> float:
    return float("inf") if timeout < 0 else timeout


def _slice(timeout: float) -> float:
    """The time-out for one call of the library's own wait: equal parts, so that the last does not overrun."""
    if timeout == float("inf"):
        return SLICE
    return timeout / max(1, -(-timeout // SLICE))


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _open(directory: Union[str, int], journal: str, options: _abi.jlock_options) -> ctypes.c_void_p:
    if isinstance(directory, int):
        return _open_at(directory, journal, options, f"descriptor {directory}")
    if journal == JOURNAL:
        pointer = ctypes.c_void_p()
        rc = _abi.lib.jlock_open(_name(directory), ctypes.byref(options), ctypes.byref(pointer))
        return _opened(rc, pointer, directory)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return _open_at(descriptor, journal, options, os.path.join(directory, journal))
    finally:
        os.close(descriptor)


def _open_at(descriptor: int, journal: str, options: _abi.jlock_options, shown: str) -> ctypes.c_void_p:
    pointer = ctypes.c_void_p()
    rc = _abi.lib.jlock_open_at(descriptor, _name(journal), ctypes.byref(options), ctypes.byref(pointer))
    return _opened(rc, pointer, shown)


def _opened(rc: int, pointer: ctypes.c_void_p, shown: str) -> ctypes.c_void_p:
    if rc < 0:
        raise _errors.from_answer(rc, filename=shown)
    return pointer


def _name(text: str) -> bytes:
    name = os.fsencode(text)
    if b"\0" in name:  # C would open what stands before it
        raise ValueError("embedded null byte")
    return name

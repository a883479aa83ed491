"""How an object acquires and writes. The code is the same for threads and tasks: a `Waiter` knows how to wait.

Each acquire is the library's own, in steps. It keeps its place in line between them; the wait is Python's, so a signal or
a cancellation ends it at once. Calls that acquire take turns, one after another.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Awaitable
from typing import Callable, Optional, TypeVar

from . import _abi, _errors
from ._handle import Handle, exiting, park
from ._wait import Deadline, Line, TaskWaiter, ThreadWaiter, Waiter

T = TypeVar("T")
Write = Callable[[ctypes.c_void_p], int]

# How often a write is repeated if its lock was taken away before it was certain to be in the journal. As in the library.
OVERTAKEN = 3

# The last part of a timeout's message.
_GAVE_UP = "; gave up after "

# With these errors there is no descriptor to wait on, so we look again after a while.
_NO_DESCRIPTOR = (-errno.EMFILE, -errno.ENFILE, -errno.ENOMEM)


class Participant:
    def __init__(self, handle: Handle, name: str, retry: float) -> None:
        self.handle = handle
        self._name = name
        self._retry = retry
        self._turn = Line()  # a turn lasts for an acquire, or for a write with its own hold
        self._tasks = Line()  # tasks that wait to hold this object; the first of them waits for its release
        self._unreleased = False  # whether a write could not release its own hold

    async def acquire(self, waiter: Waiter, seconds: float) -> None:
        deadline = Deadline(seconds)

        async def act(pointer: ctypes.c_void_p) -> None:
            while not await self._acquire_in_turn(pointer, waiter, deadline):
                self._refuse_deadlock(waiter)
                await self._pause(waiter, deadline)

        async def act_as_task(pointer: ctypes.c_void_p) -> None:
            try:
                await self._wait_for_turn(self._tasks, waiter, deadline)
                await act(pointer)
            finally:
                self._tasks.leave(waiter)

        await self._participate(waiter, act_as_task if isinstance(waiter, TaskWaiter) else act)

    async def commit(self, waiter: Waiter, seconds: float, write: Write, slow: bool) -> int:
        """Write under the caller's hold, or otherwise under its own, and return what `write` returned."""
        deadline = Deadline(seconds)

        async def act(pointer: ctypes.c_void_p) -> int:
            overtaken = 0
            while True:
                try:
                    return await self._commit_in_turn(pointer, waiter, deadline, write, slow)
                except _Overtaken as lost:
                    # Not written; or written, but perhaps to a journal that a thief has replaced by an older copy. So
                    # write again: an entry that is there twice is read once.
                    if overtaken == OVERTAKEN:
                        raise lost.error from None
                    overtaken += 1

        return await self._participate(waiter, act)

    def release(self) -> None:
        handle = self.handle
        handle.refuse_child()
        if handle.closed:
            handle.refuse_closed()
        try:
            holder = handle.holders.pop()  # if several threads release, only one gets it
        except IndexError:
            raise _errors.from_code(_abi.JLOCK_ENOTHELD) from None
        try:
            handle.call(_abi.lib.jlock_release)
        except (_errors.LockLostError, _errors.NotHeldError):
            raise
        except OSError:  # it is still held
            handle.holders.append(holder)
            raise
        finally:
            self._tasks.wake_first()

    def refresh(self) -> None:
        if not self.handle.holders and not self.handle.closed and not self.handle.inherited:
            raise _errors.from_code(_abi.JLOCK_ENOTHELD)
        self.handle.call(_abi.lib.jlock_refresh)

    async def _participate(self, waiter: Waiter, act: Callable[[ctypes.c_void_p], Awaitable[T]]) -> T:
        self.handle.refuse_child()
        user = object()
        try:
            try:
                pointer = self.handle.enter(user, waiter.thread if isinstance(waiter, ThreadWaiter) else None)
                self.handle.waiters[waiter] = None
                return await act(pointer)
            finally:
                self.handle.waiters.pop(waiter, None)
                self.handle.leave(user)
        except _errors.WaitCancelledError:
            if exiting():
                park()
            raise

    async def _acquire_in_turn(self, pointer: ctypes.c_void_p, waiter: Waiter, deadline: Deadline) -> bool:
        try:
            await self._wait_for_turn(self._turn, waiter, deadline)
            return await self._obtain(pointer, waiter, deadline, for_caller=True)
        finally:
            self._turn.leave(waiter)

    async def _commit_in_turn(
        self, pointer: ctypes.c_void_p, waiter: Waiter, deadline: Deadline, write: Write, slow: bool
    ) -> int:
        def checked_write() -> int:
            return self.handle.check(write(pointer))

        own = False
        try:
            await self._wait_for_turn(self._turn, waiter, deadline)
            own = True
            own = await self._obtain(pointer, waiter, deadline, for_caller=False)
            try:
                written = await waiter.run(checked_write) if slow else checked_write()
            except OSError as error:
                if own:
                    own = False
                    self._let_go(pointer)
                    raise _Overtaken.or_else(error) from None
                if isinstance(error, _errors.AcquireTimeoutError):
                    # The handle's own timeout is 0, so another thread has released the caller's hold in between.
                    raise _Overtaken(error) from None
                raise
            if own:
                own = False
                self._check_release(self._let_go(pointer))
            return written
        finally:
            if own and not self.handle.holders:
                self._let_go(pointer)
            self._turn.leave(waiter)

    async def _obtain(self, pointer: ctypes.c_void_p, waiter: Waiter, deadline: Deadline, for_caller: bool) -> bool:
        """Acquire the lock, in one's turn. Returns False if a caller already holds it through this same object."""
        rc: Optional[int] = None
        try:
            self._release_the_unreleased(pointer)
            rc = _abi.lib.jlock_acquire_start(pointer, deadline.milliseconds())
            while rc == -errno.EINPROGRESS:
                self._refuse_cancelled(waiter)
                await self._until_worth_polling(pointer, waiter)
                rc = _abi.lib.jlock_acquire_poll(pointer)
            if rc == -errno.EDEADLK:
                return False
            if rc == 0 and for_caller:
                self.handle.holders.append(waiter)
            if rc == -errno.ETIMEDOUT:
                raise self._timed_out(self.handle.message(pointer), deadline)
            self.handle.check(rc or 0)
            return True
        except BaseException:
            # rc may be None: a signal handler may have raised between the library's return and the assignment.
            if rc in (None, 0, -errno.EINPROGRESS):
                self._undo(pointer, waiter)
            raise

    async def _until_worth_polling(self, pointer: ctypes.c_void_p, waiter: Waiter) -> None:
        descriptor = _abi.lib.jlock_wait_fd(pointer)
        if descriptor in _NO_DESCRIPTOR:
            await waiter.woken(self._retry)
        else:
            await waiter.readable(self.handle.check(descriptor))

    def _undo(self, pointer: ctypes.c_void_p, waiter: Waiter) -> None:
        """Leave the line, and hold nothing that was not held before."""
        _abi.lib.jlock_cancel(pointer)
        while _abi.lib.jlock_acquire_poll(pointer) == -errno.EINPROGRESS:
            _abi.lib.jlock_cancel(pointer)
        if waiter in self.handle.holders:
            self.handle.holders.remove(waiter)
        if not self.handle.holders:
            self._let_go(pointer)  # refused if the acquire had not succeeded

    def _let_go(self, pointer: ctypes.c_void_p) -> int:
        rc: int = _abi.lib.jlock_release(pointer)
        self._unreleased = rc not in (0, _abi.JLOCK_ELOST, _abi.JLOCK_ENOTHELD)
        return rc

    def _release_the_unreleased(self, pointer: ctypes.c_void_p) -> None:
        if self._unreleased:
            rc = self._let_go(pointer)
            if self._unreleased:
                self.handle.check(rc)

    def _check_release(self, rc: int) -> None:
        """Check the result of the release after a write that succeeded."""
        try:
            self.handle.check(rc)
        except OSError as error:
            message = f"{error.strerror}; the journal was written, but the lock could not be released"
            raise _Overtaken.or_else(error, _errors.from_code(rc, message)) from None

    async def _wait_for_turn(self, line: Line, waiter: Waiter, deadline: Deadline) -> None:
        line.join(waiter)
        while not line.is_turn_of(waiter):
            await self._pause(waiter, deadline)

    async def _pause(self, waiter: Waiter, deadline: Deadline) -> None:
        self._refuse_cancelled(waiter)
        left = deadline.left()
        if left == 0:
            what = "held through this same object" if self.handle.holders else "another call on this object is acquiring it"
            raise self._timed_out(f"{self._name}: {what}", deadline)
        await waiter.woken(left)
        self._refuse_cancelled(waiter)

    def _timed_out(self, message: str, deadline: Deadline) -> OSError:
        # The library says how long it has waited itself. The caller has also waited for its turn.
        head, _, tail = message.rpartition(_GAVE_UP)
        return _errors.from_code(-errno.ETIMEDOUT, f"{head or tail}{_GAVE_UP}{deadline.seconds:.1f} s")

    def _refuse_cancelled(self, waiter: Waiter) -> None:
        if waiter.cancelled or self.handle.closed:
            raise _errors.from_code(-errno.ECANCELED, f"{self._name}: cancelled")

    def _refuse_deadlock(self, waiter: Waiter) -> None:
        """The lock is held through this object: a task waits for its turn, unless it would wait for itself."""
        itself = waiter.task is not None and any(holder.task is waiter.task for holder in self.handle.holders)
        if itself or not isinstance(waiter, TaskWaiter):
            raise _errors.from_code(-errno.EDEADLK, f"{self._name}: this object already holds the lock")


class _Overtaken(Exception):
    """A write that had acquired the lock by itself lost it."""

    def __init__(self, error: OSError) -> None:
        self.error = error

    @classmethod
    def or_else(cls, error: OSError, other: Optional[OSError] = None) -> Exception:
        return cls(error) if isinstance(error, _errors.LockLostError) else other or error

"""One `struct jlock *`, made safe for Python's threads, signals, forks, garbage collector and exit."""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
from typing import Any, NoReturn, Optional

from . import _abi, _errors
from ._wait import Waiter


class Handle:
    """Owns the pointer: frees it once, never during a call, and does nothing but free it in a forked child.

    There is no mutex here, because a signal handler may call any method in the middle of another. Each step is one
    operation on a list or dict, which is atomic in Python.
    """

    def __init__(self, pointer: ctypes.c_void_p) -> None:
        self._pointer = [pointer]  # empty: freed
        self._open = [True]  # empty: closed, though perhaps not freed yet
        self._users: dict[object, Optional[int]] = {}  # the calls in progress, each with its thread; None: a task
        self._freed = threading.Lock()
        self._freed.acquire()
        self._closing_code = 0
        self._pid = os.getpid()
        self.waiters: dict[Waiter, None] = {}
        self.holders: list[Waiter] = []  # one, while a caller holds the lock: the call that acquired it
        _handles[id(self)] = self

    @property
    def closed(self) -> bool:
        return not self._open

    @property
    def inherited(self) -> bool:
        """Whether this is a forked child's copy."""
        return os.getpid() != self._pid

    def call(self, function: Any, *arguments: Any) -> int:
        """`function(handle, *arguments)`. A negative return code raises its exception."""
        user = object()
        try:
            return self.check(function(self.enter(user, threading.get_ident()), *arguments))
        finally:
            self.leave(user)

    def enter(self, user: object, thread: Optional[int]) -> ctypes.c_void_p:
        """The pointer, valid until `leave(user)`. Another thread's `close` waits for that, but not for a task."""
        self.refuse_child()
        self._users[user] = thread
        if self.closed:  # checked after `user` is registered: close() does these two things in the other order
            self.leave(user)
            self.refuse_closed()
        return self._pointer[0]

    def leave(self, user: object) -> None:
        self._users.pop(user, None)
        if self.closed and not self._users:
            self._free()

    def check(self, rc: int) -> int:
        """Raise the exception for a negative return code of a call in progress."""
        if rc < 0:
            raise _errors.from_code(rc, self.message(self._pointer[0]))
        return rc

    def cancel(self) -> None:
        """End the waits in progress on this handle. A closed one has none."""
        self.refuse_child()
        for waiter in list(self.waiters):
            waiter.cancelled = True
            waiter.wake()
        if not self.closed:
            self.call(_abi.lib.jlock_cancel)

    def close(self, timeout: float = -1) -> int:
        """End all waits, and free the handle after the calls in progress. Returns what the library's close returned."""
        if self.inherited:  # there are no other threads here, whatever `_users` says
            self._open.clear()
            self._free()
            return 0
        user = object()
        try:
            self._users[user] = threading.get_ident()
            if self._close_once():
                _abi.lib.jlock_cancel(self._pointer[0])
        finally:
            self.leave(user)
        for waiter in list(self.waiters):
            waiter.wake()
        # A task, or a call in this very thread that a signal handler interrupted, continues only after this returns. That
        # call then frees the handle as it leaves.
        if not {None, threading.get_ident()}.intersection(self._users.copy().values()):
            if self._freed.acquire(timeout=timeout):
                self._freed.release()
        rc, self._closing_code = self._closing_code, 0
        return rc

    def _close_once(self) -> bool:
        try:
            return self._open.pop()
        except IndexError:
            return False

    def _free(self) -> None:
        try:
            self._closing_code = _abi.lib.jlock_close(self._pointer.pop())
        except IndexError:
            return
        _handles.pop(id(self), None)
        self._freed.release()

    def refuse_child(self) -> None:
        # The library says the same, but asking it could take mutexes that fork has left locked.
        if self.inherited:
            raise _errors.from_code(_abi.JLOCK_EFORKED)

    def refuse_closed(self) -> NoReturn:
        if exiting():
            park()
        raise ValueError("operation on a closed lock")

    def message(self, pointer: ctypes.c_void_p) -> str:
        """The message of the last failure in full."""
        size = 512
        while True:
            buffer = ctypes.create_string_buffer(size)
            length: int = _abi.lib.jlock_message(pointer, buffer, size)
            if length < size:
                return os.fsdecode(buffer.value) if length > 0 else ""
            size = length + 1


# ---------------------------------------------------------------------------------------------- the interpreter's end

_handles: dict[int, Handle] = {}
_exiting: Optional[int] = None


def exiting() -> bool:
    """Whether the interpreter is ending while this thread, which must be a daemon thread, still runs."""
    return _exiting not in (None, threading.get_ident())


def park() -> NoReturn:
    """Wait for the process to end: an exception would only print a traceback in a thread that nobody waits for."""
    forever = threading.Lock()
    while True:
        forever.acquire()


@atexit.register
def _exit() -> None:
    """Release what is held, and leave all lines. Only daemon threads still run."""
    global _exiting
    _exiting = threading.get_ident()
    alive = {thread.ident for thread in threading.enumerate()} - {_exiting}
    for handle in list(_handles.values()):
        # What a daemon thread holds stays held to the last, because that thread is still working on what the lock
        # protects. The next program to acquire takes over, and `recovered` says that the work may be half done.
        if not any(holder.thread in alive for holder in handle.holders):
            handle.close(timeout=5)  # a daemon thread leaves its call in no time; nobody needs the result any more

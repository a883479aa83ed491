"""One `struct jlock *`, made safe for Python's threads, signals, forks and garbage collector."""

from __future__ import annotations

import ctypes
import errno
import math
import os
import threading
import time
from typing import Any, Callable, Optional

from . import _abi, _errors

# The longest a signal waits for its Python handler while the library waits for the lock: handlers run only
# between two calls into C, so a long wait is made of short ones.
SLICE = 0.1

# At the end of the library's time-out message; it knows one slice, the caller waited for all of them.
_GAVE_UP = "; gave up after "


def milliseconds(seconds: float) -> int:
    """Rounded up, so that a short wait does not become none."""
    return max(0, math.ceil(seconds * 1000))


class Handle:
    """Owns the pointer: it is freed once, never during a call, and never used in a forked child but to free it."""

    def __init__(self, pointer: ctypes.c_void_p) -> None:
        self._pointer: Optional[ctypes.c_void_p] = pointer
        self._pid = os.getpid()
        self._calling = threading.RLock()  # re-entrant, because a signal handler may call release()
        self._pointing = threading.Lock()  # cancel() cannot wait for `_calling`, yet needs the pointer to last
        self._cancellations = 0

    @property
    def closed(self) -> bool:
        return self._pointer is None

    def call(self, function: Any, *arguments: Any) -> int:
        """`function(handle, *arguments)`; a negative answer raises its exception."""
        self._refuse_child()
        with self._calling:
            rc: int = function(self._live(), *arguments)
            return self._answer(rc)

    def take(self, function: Any, *arguments: Any) -> int:
        """`call` for what acquires: the lock is not left held when a signal handler raises instead of returning."""
        self._refuse_child()
        with self._calling:
            pointer = self._live()
            try:
                rc: int = function(pointer, *arguments)
            except BaseException:
                # The library may have taken the lock before the handler ran; if not, it refuses to release.
                _abi.lib.jlock_release(pointer)
                raise
            return self._answer(rc)

    def _answer(self, rc: int) -> int:
        if rc < 0:
            raise _errors.from_answer(rc, self._message())
        return rc

    def wait(self, attempt: Callable[[int], int], timeout: float) -> int:
        """Call `attempt(milliseconds)` in slices until it does not time out, or `timeout` is over."""
        deadline = time.monotonic() + timeout
        cancellations = self._cancellations
        while True:
            left = deadline - time.monotonic()
            try:
                return attempt(milliseconds(min(left, SLICE)))
            except _errors.AcquireTimeoutError as error:
                if time.monotonic() >= deadline:
                    raise gave_up(str(error), timeout) from None
            if self._cancellations != cancellations:  # it came between two slices
                raise _errors.from_answer(-errno.ECANCELED)

    def cancel(self) -> None:
        """End the waits in progress on this handle; on a closed one there are none."""
        self._refuse_child()
        with self._pointing:
            self._cancellations += 1
            rc: int = 0 if self._pointer is None else _abi.lib.jlock_cancel(self._pointer)
        if rc < 0:
            raise _errors.from_answer(rc)

    def close(self) -> None:
        """Free the handle, after the calls that other threads have in progress; their waits are ended."""
        if os.getpid() != self._pid:
            # The threads that may have held a mutex here were not forked with us: do not wait for them.
            self._free()
            return
        while not self._calling.acquire(timeout=0.01):
            self.cancel()
        try:
            with self._pointing:
                self._free()
        finally:
            self._calling.release()

    def _free(self) -> None:
        pointer, self._pointer = self._pointer, None
        if pointer is not None:
            _abi.lib.jlock_close(pointer)

    def _live(self) -> ctypes.c_void_p:
        if self._pointer is None:
            raise ValueError("operation on a closed lock")
        return self._pointer

    def _refuse_child(self) -> None:
        # The library says the same, but asking it takes mutexes that a fork may have left locked.
        if os.getpid() != self._pid:
            raise _errors.from_answer(_abi.JLOCK_EFORKED)

    def _message(self) -> str:
        size = 512
        while True:
            buffer = ctypes.create_string_buffer(size)
            length: int = _abi.lib.jlock_message(self._live(), buffer, size)
            if length < size:
                return os.fsdecode(buffer.value) if length > 0 else ""
            size = length + 1


def gave_up(message: str, timeout: float) -> _errors.AcquireTimeoutError:
    """The library's message for a time-out, with the whole time that was waited."""
    head, _, tail = message.rpartition(_GAVE_UP)
    return _errors.AcquireTimeoutError(errno.ETIMEDOUT, f"{head or tail}{_GAVE_UP}{timeout:.1f} s")

"""How a call waits: a thread blocks, a task is suspended. Also the line in which the calls on one object wait."""

from __future__ import annotations

import abc
import asyncio
import collections
import errno
import math
import os
import select
import threading
import time
from collections.abc import Coroutine
from typing import Any, Callable, Optional, TypeVar

from . import _errors
from ._values import INT32_MAX

T = TypeVar("T")


def now() -> float:
    """Seconds on a clock that nobody sets. A test that freezes Python's own clocks does not stop this one."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


class Deadline:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = now() + seconds

    def left(self) -> float:
        return max(0.0, self._end - now())

    def milliseconds(self) -> int:
        """The time left, for the library: rounded up, and negative (forever) if it is more than 24 days."""
        left = self.left() * 1000
        return math.ceil(left) if left < INT32_MAX else -1


def _current_task() -> Optional[asyncio.Task[Any]]:
    loop = asyncio._get_running_loop()
    return None if loop is None else asyncio.current_task(loop)


class Waiter(abc.ABC):
    """One call that may wait. Its methods may return too early: check the condition again after each."""

    def __init__(self) -> None:
        self.cancelled = False
        self.thread = threading.get_ident()
        self.task = _current_task()

    @abc.abstractmethod
    def wake(self) -> None:
        """End the `woken` in progress, or the next one. Works from any thread, and from a signal handler."""

    @abc.abstractmethod
    async def woken(self, seconds: float) -> None:
        """Wait for `wake`, no longer than this many seconds."""

    @abc.abstractmethod
    async def readable(self, descriptor: int) -> None:
        """Wait until the descriptor polls readable."""

    @abc.abstractmethod
    async def run(self, function: Callable[[], T]) -> T:
        """Call a function that may have to wait for a disk."""


# A signal ends the main thread's sleep, and then its handler runs. But a signal that arrives after Python last looked for
# signals, and before the system call begins, does not. So the main thread looks again after this many seconds.
LOOK_FOR_SIGNALS = 1.0


class ThreadWaiter(Waiter):
    """Blocks, so its coroutines never suspend, and `run_blocking` runs them. A signal handler that raises ends the wait."""

    def __init__(self) -> None:
        super().__init__()
        self._gate = threading.Lock()
        self._gate.acquire()
        self._longest = LOOK_FOR_SIGNALS if self.thread == threading.main_thread().ident else math.inf

    def wake(self) -> None:
        try:
            self._gate.release()
        except RuntimeError:  # already open
            pass

    async def woken(self, seconds: float) -> None:
        seconds = min(seconds, self._longest)
        self._gate.acquire(timeout=seconds if seconds < threading.TIMEOUT_MAX else -1)

    async def readable(self, descriptor: int) -> None:
        if not hasattr(select, "poll"):  # eventlet has removed it, and replaced `select` by its own
            select.select([descriptor], [], [], None if self._longest == math.inf else self._longest)
            return
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        found = poll.poll(None if self._longest == math.inf else self._longest * 1000)
        if any(events & select.POLLNVAL for _, events in found):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))  # or the caller would spin

    async def run(self, function: Callable[[], T]) -> T:
        return function()


class TaskWaiter(Waiter):
    """Suspends the task; the event loop keeps running."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:  # the loop is closed, so nobody waits there any more
            pass

    async def woken(self, seconds: float) -> None:
        timer = None if seconds == math.inf else self._loop.call_later(seconds, self._event.set)
        try:
            await self._event.wait()
        finally:
            if timer is not None:
                timer.cancel()
        self._event.clear()

    async def readable(self, descriptor: int) -> None:
        self._loop.add_reader(descriptor, self._event.set)
        try:
            await self._event.wait()
        finally:
            if not self._loop.is_closed():
                self._loop.remove_reader(descriptor)
        self._event.clear()

    async def run(self, function: Callable[[], T]) -> T:
        running = self._loop.run_in_executor(None, function)
        cancelled: Optional[BaseException] = None
        while not running.done():  # what has begun must finish, whatever happens to the task
            try:
                await asyncio.wait([running])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            running.exception()  # marks it as retrieved
            raise cancelled
        return running.result()


def run_blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits only with a `ThreadWaiter`."""
    try:
        coroutine.send(None)
    except StopIteration as result:
        value: T = result.value
        return value
    raise RuntimeError("a blocking call was suspended")


class Line:
    """First come, first served: the first in line has its turn."""

    def __init__(self) -> None:
        self._mutex = threading.RLock()  # re-entrant, because a signal handler may interrupt
        self._line: collections.deque[Waiter] = collections.deque()

    def __bool__(self) -> bool:
        return bool(self._line)

    def join(self, waiter: Waiter) -> None:
        with self._mutex:
            # A thread cannot wait for what only it can continue: a task, or a call that a signal interrupted.
            if isinstance(waiter, ThreadWaiter) and any(other.thread == waiter.thread for other in self._line):
                raise _errors.from_code(-errno.EDEADLK, "this thread is already in a call that acquires on this object")
            self._line.append(waiter)

    def is_turn_of(self, waiter: Waiter) -> bool:
        with self._mutex:
            return bool(self._line) and self._line[0] is waiter

    def leave(self, waiter: Waiter) -> None:
        """Leave the line; harmless if the waiter is not in it."""
        with self._mutex:
            if waiter in self._line:
                self._line.remove(waiter)
            self.wake_first()

    def wake_first(self) -> None:
        with self._mutex:
            if self._line:
                self._line[0].wake()

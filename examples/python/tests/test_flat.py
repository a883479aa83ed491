"""Memory and descriptors stay flat, however often a call is repeated."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import pathlib
import threading
import tracemalloc
from collections.abc import Callable

import pytest

from jlock import AcquireTimeoutError, Journal, Lock, LockLostError, UnstampedError

from .conftest import lock_file, steal

TIMES = 150


class Mallinfo2(ctypes.Structure):
    _fields_ = [(f"field{number}", ctypes.c_size_t) for number in range(10)]

    @property
    def uordblks(self) -> int:
        """Bytes that malloc has given out."""
        value: int = self.field7
        return value


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def in_use() -> int:
    """Bytes that the library has allocated, plus a little of Python's own."""
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        pytest.skip("a C library without mallinfo2")
    mallinfo2.restype = Mallinfo2
    info: Mallinfo2 = mallinfo2()
    return info.uordblks


def flat(operation: Callable[[], object]) -> None:
    """Fails if each call keeps 200 bytes, or any call keeps a descriptor."""
    for _ in range(TIMES // 10):
        operation()  # what is allocated once and kept is allocated by now
    gc.collect()  # frees the other tests' handles

    def growth(measure: Callable[[], int]) -> int:
        gc.collect()
        before = measure()
        for _ in range(TIMES):
            operation()
        gc.collect()
        return measure() - before

    assert growth(descriptors) == 0
    assert growth(in_use) < TIMES * 200
    tracemalloc.start()
    try:
        assert growth(lambda: tracemalloc.get_traced_memory()[0]) < TIMES * 200
    finally:
        tracemalloc.stop()


def test_open_use_and_close(directory: pathlib.Path) -> None:
    def operation() -> None:
        journal = Journal(directory)
        with journal:
            journal.inspect()
        journal.close()

    flat(operation)


def test_open_and_forget(directory: pathlib.Path) -> None:
    flat(lambda: Lock(directory).acquire())


def test_write_and_read(directory: pathlib.Path) -> None:
    journal = Journal(directory)

    def operation() -> None:
        journal.append_stamped(["a", "b"], deleted=["c"], timestamp_ms=1_700_000_000_000)
        assert journal.checkpoint(journal.read(), 1_700_000_000_001)

    flat(operation)


def test_failures(directory: pathlib.Path) -> None:
    holder, lock = Lock(directory), Journal(directory)

    def operation() -> None:
        holder.acquire()
        with pytest.raises(AcquireTimeoutError):
            lock.acquire(timeout=0)
        with pytest.raises(AcquireTimeoutError):
            lock.append(["a"])
        steal(directory)
        with pytest.raises(LockLostError):
            holder.release()
        lock_file(directory).unlink()
        with pytest.raises((UnstampedError, FileNotFoundError)):
            lock.read()

    lock._timeout = 0.0
    flat(operation)


def test_waits_of_tasks(directory: pathlib.Path) -> None:
    holder, journal = Lock(directory), Journal(directory)

    async def operation() -> None:
        holder.acquire()
        tasks = [asyncio.ensure_future(journal.append_async(["a"])) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.wait(tasks[:1])
        holder.release()
        await asyncio.gather(*tasks[1:])
        await journal.write_header_async(1)

    loop = asyncio.new_event_loop()
    try:
        flat(lambda: loop.run_until_complete(operation()))
    finally:
        loop.close()


# `make prove` asks for a million operations. What each kept would add up: a pointer to 8 MB, and here a short text shows.
OPERATIONS = int(os.environ.get("JLOCK_OPERATIONS", "3000"))


def test_many_operations(directory: pathlib.Path) -> None:
    journal, other = Journal(directory), Journal(directory, timeout=0)
    long = ["x" * 200]

    def operations(count: int) -> None:
        for number in range(count):
            journal.append(long)
            if number % 10 == 0:
                with journal:
                    with pytest.raises(AcquireTimeoutError):
                        other.acquire()
                    journal.append_stamped(["a"], deleted=["b"], timestamp_ms=1_700_000_000_000)
                assert journal.checkpoint(journal.read(), 1_700_000_000_001)
                journal.inspect()
            if number % 100 == 0:
                Lock(directory).close()
                asyncio.run(journal.append_async(["c"]))

    def measured(count: int) -> tuple[int, int, int]:
        operations(count)
        gc.collect()
        return descriptors(), threading.active_count(), in_use()

    before = measured(OPERATIONS // 10)
    after = measured(OPERATIONS)
    assert after[:2] == before[:2]
    assert after[2] - before[2] < 1_000_000
    print(f"figure: operations in Python, with memory, threads and descriptors as before = {OPERATIONS}")

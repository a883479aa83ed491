"""The lock for asyncio: the loop goes on while a task waits."""

from __future__ import annotations

import asyncio
import pathlib
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from jlock import AcquireTimeoutError, Journal, Lock, State

from .conftest import Hold


def soon(main: Coroutine[Any, Any, None]) -> None:
    """Run a test, which would otherwise hang when it fails."""

    async def bounded() -> None:
        await asyncio.wait_for(main, 30)

    asyncio.run(bounded())


def test_tasks_exclude_each_other_and_all_get_their_turn(directory: pathlib.Path) -> None:
    inside = 0

    async def work() -> None:
        nonlocal inside
        lock = Lock(directory, timeout=20)
        for _ in range(10):
            async with lock:
                inside += 1
                assert inside == 1
                await asyncio.sleep(0.001)
                inside -= 1

    async def main() -> None:
        await asyncio.gather(*(work() for _ in range(5)))

    soon(main())


def test_the_loop_goes_on_while_a_task_waits_and_is_not_kept_busy(directory: pathlib.Path, hold: Hold) -> None:
    async def main() -> None:
        lock = Lock(directory)
        with hold() as process:
            task = asyncio.ensure_future(lock.acquire_async())
            used, began = time.process_time(), time.monotonic()
            worst = 0.0
            while time.monotonic() - began < 1:
                before = time.monotonic()
                await asyncio.sleep(0.005)
                worst = max(worst, time.monotonic() - before)
            assert worst < 0.5
            assert time.process_time() - used < 0.5
            assert not task.done()
            process.communicate("")
            await task
        assert lock.inspect().state is State.MINE
        lock.release()

    soon(main())


def test_a_release_wakes_the_waiter_through_the_descriptor(directory: pathlib.Path) -> None:
    async def main() -> None:
        holder, waiter = Lock(directory), Lock(directory, timeout=20, retry=10)
        holder.acquire()
        task = asyncio.ensure_future(waiter.acquire_async())
        await asyncio.sleep(0.05)
        began = time.monotonic()
        holder.release()
        await task
        assert time.monotonic() - began < 5  # a retry would take 10 s

    soon(main())


def test_a_timeout_names_the_holder(directory: pathlib.Path, hold: Hold) -> None:
    async def main() -> None:
        with hold() as process:
            with pytest.raises(AcquireTimeoutError) as caught:
                await Lock(directory).acquire_async(timeout=0.2)
            assert f"held by pid {process.pid}" in str(caught.value)
            assert str(caught.value).endswith("; gave up after 0.2 s")

    soon(main())


def test_a_cancelled_task_leaves_nothing_behind(directory: pathlib.Path) -> None:
    async def main() -> None:
        holder, waiter = Lock(directory), Lock(directory, timeout=20)
        holder.acquire()
        task = asyncio.ensure_future(waiter.acquire_async())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        holder.release()
        assert waiter.inspect().state is State.FREE
        await waiter.acquire_async()

    soon(main())


def test_taking_over_from_a_dead_holder_does_not_block_the_loop(directory: pathlib.Path, hold: Hold) -> None:
    async def main() -> None:
        with hold() as process:
            process.kill()
        lock = Lock(directory, settle=1)
        task = asyncio.ensure_future(lock.acquire_async())
        worst = 0.0
        while not task.done():
            before = time.monotonic()
            await asyncio.sleep(0.005)
            worst = max(worst, time.monotonic() - before)
        await task
        assert lock.recovered
        assert worst < 0.5

    soon(main())


def test_a_task_cancelled_while_it_takes_over_gives_the_lock_back(directory: pathlib.Path, hold: Hold) -> None:
    async def main() -> None:
        with hold() as process:
            process.kill()
        lock = Lock(directory, settle=0.3)
        task = asyncio.ensure_future(lock.acquire_async())
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await Lock(directory, timeout=10).acquire_async()

    soon(main())


def test_journal_calls_work_under_an_asynchronous_hold(directory: pathlib.Path) -> None:
    async def main() -> None:
        async with Journal(directory) as journal:
            journal.append_stamped(["a"], timestamp_ms=7)
            assert journal.read().changed == ("a",)

    soon(main())

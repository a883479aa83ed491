"""The lock for asyncio: the loop keeps running while a task waits, and no thread is needed."""

from __future__ import annotations

import asyncio
import errno
import math
import os
import pathlib
import re
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from jlock import AcquireTimeoutError, Journal, Lock, LockLostError, State, WaitCancelledError, _abi

from . import conftest
from .conftest import HANG, Hold, acquires, in_thread, joined, spy, steal

STAMP = 1_700_000_000_000


def soon(main: Coroutine[Any, Any, None]) -> None:
    """Run a test with a time limit, because it would otherwise hang instead of failing."""

    async def bounded() -> None:
        await asyncio.wait_for(main, HANG)

    asyncio.run(bounded())


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def ended(task: Awaitable[object]) -> BaseException:
    (result,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(result, BaseException)
    return result


def test_tasks_with_a_lock_each_exclude_each_other(directory: pathlib.Path) -> None:
    inside = 0

    async def work() -> None:
        nonlocal inside
        lock = Lock(directory, timeout=math.inf)
        for _ in range(10):
            async with lock:
                inside += 1
                assert inside == 1
                await asyncio.sleep(0)
                inside -= 1

    async def main() -> None:
        await asyncio.gather(*(work() for _ in range(5)))

    soon(main())


def test_the_loop_goes_on_while_a_task_waits_and_no_thread_is_started(directory: pathlib.Path, hold: Hold) -> None:
    async def main() -> None:
        lock, threads = Lock(directory, timeout=math.inf), threading.active_count()
        with hold() as process:
            task = asyncio.ensure_future(lock.acquire_async())
            await until(lambda: acquires(lock))
            for _ in range(100):
                await asyncio.sleep(0)
            assert not task.done()
            assert threading.active_count() == threads
            process.communicate("")
            await task
        assert lock.inspect().state is State.MINE
        lock.release()

    soon(main())


def test_a_wait_is_one_acquire(directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a wait consisted of several acquires, it would lose its place in line with each."""
    starts: list[int] = []

    def start(original: Callable[..., int], pointer: object, ms: int) -> int:
        starts.append(ms)
        return original(pointer, ms)

    async def main() -> None:
        holder, waiter = Lock(directory), Lock(directory, timeout=math.inf)
        holder.acquire()
        spy(monkeypatch, "jlock_acquire_start", start)
        task = asyncio.ensure_future(waiter.acquire_async())
        await until(lambda: acquires(waiter))
        holder.release()
        await task
        assert starts == [-1]

    soon(main())


def test_a_timeout_names_the_holder(directory: pathlib.Path, hold: Hold) -> None:
    async def main() -> None:
        with hold() as process:
            with pytest.raises(AcquireTimeoutError) as caught:
                await Lock(directory).acquire_async(timeout=0.2)
            assert f"held by pid {process.pid}" in str(caught.value)
            assert re.search(r"; gave up after \d+\.\d s$", str(caught.value))

    soon(main())


def test_a_task_that_is_cancelled_leaves_the_line_at_once(directory: pathlib.Path) -> None:
    async def main() -> None:
        holder, waiter = Lock(directory), Journal(directory, timeout=math.inf)
        descriptor = waiter._handle.call(_abi.lib.jlock_wait_fd)
        holder.acquire()
        for wait in (waiter.acquire_async(), waiter.append_async(["a"])):
            task = asyncio.ensure_future(wait)
            await until(lambda: acquires(waiter))
            task.cancel()
            assert isinstance(await ended(task), asyncio.CancelledError)
            assert not acquires(waiter)
            assert not asyncio.get_running_loop().remove_reader(descriptor)
        holder.release()
        assert waiter.inspect().state is State.FREE
        await waiter.acquire_async()

    soon(main())


def test_taking_over_from_a_dead_holder(directory: pathlib.Path, hold: Hold) -> None:
    async def main() -> None:
        with hold() as process:
            process.kill()
        lock = Lock(directory)
        async with lock:
            assert lock.recovered

    soon(main())


def test_a_task_cancelled_while_it_takes_over_leaves_nothing_held(directory: pathlib.Path, hold: Hold) -> None:
    async def main() -> None:
        with hold() as process:
            process.kill()
        lock = Lock(directory, settle=0.3)
        task = asyncio.ensure_future(lock.acquire_async())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():  # it was quicker
            lock.release()
        await Lock(directory).acquire_async()

    soon(main())


# ------------------------------------------------------------------------------------------------ tasks on one object


def test_tasks_on_one_object_get_their_turn_in_the_order_in_which_they_came(directory: pathlib.Path) -> None:
    async def main() -> None:
        lock, order = Lock(directory, timeout=math.inf), []

        async def work(number: int) -> None:
            async with lock:
                order.append(number)
                await asyncio.sleep(0)
                assert order[-1] == number

        await asyncio.gather(*(work(number) for number in range(20)))
        assert order == list(range(20))
        assert lock.inspect().state is State.FREE

    soon(main())


def test_a_task_that_waits_for_itself_is_a_deadlock_reported_at_once(directory: pathlib.Path) -> None:
    async def main() -> None:
        lock = Lock(directory, timeout=math.inf)
        async with lock:
            with pytest.raises(OSError) as caught:
                await lock.acquire_async()
            assert caught.value.errno == errno.EDEADLK
            assert lock.inspect().state is State.MINE

    soon(main())


def test_a_task_that_waits_for_another_gives_up_in_time(directory: pathlib.Path) -> None:
    async def main() -> None:
        lock = Lock(directory)
        async with lock:
            task = asyncio.ensure_future(lock.acquire_async(timeout=0.1))
            message = r"changes\.journal\.lock: held through this same object; gave up after \d+\.\d s"
            assert re.fullmatch(message, str(await ended(task)))
        await lock.acquire_async()

    soon(main())


def test_a_task_cancelled_in_the_line_lets_those_behind_it_pass(directory: pathlib.Path) -> None:
    async def main() -> None:
        lock = Lock(directory, timeout=math.inf)
        await lock.acquire_async()
        tasks = [asyncio.ensure_future(lock.acquire_async()) for _ in range(3)]
        await until(lambda: len(lock._handle.waiters) == 3)
        tasks[0].cancel()
        tasks[1].cancel()
        lock.release()
        await tasks[2]
        assert tasks[0].cancelled() and tasks[1].cancelled()

    soon(main())


def test_a_task_waits_for_the_hold_of_a_blocking_call(directory: pathlib.Path) -> None:
    async def main() -> None:
        lock = Lock(directory, timeout=math.inf)
        await asyncio.get_running_loop().run_in_executor(None, lock.acquire)
        task = asyncio.ensure_future(lock.acquire_async())
        await until(lambda: lock._handle.waiters)
        lock.release()
        await task

    soon(main())


def test_a_blocking_call_that_would_wait_for_a_task_of_its_thread_is_refused(directory: pathlib.Path) -> None:
    async def main() -> None:
        with Lock(directory):
            journal = Journal(directory, timeout=math.inf)
            task = asyncio.ensure_future(journal.acquire_async())
            await until(lambda: acquires(journal))
            for name, arguments in (("acquire", ()), ("append", (["a"],))):
                with pytest.raises(OSError) as caught:
                    getattr(journal, name)(*arguments)
                assert caught.value.errno == errno.EDEADLK
            journal.cancel()
            assert isinstance(await ended(task), WaitCancelledError)

    soon(main())


def test_loops_in_several_threads_share_one_object(directory: pathlib.Path) -> None:
    lock, inside = Lock(directory, timeout=math.inf), []

    async def work() -> None:
        async with lock:
            inside.append(1)
            await asyncio.sleep(0)
            assert inside == [1]
            inside.clear()

    lock.acquire()
    threads = [in_thread(lambda: asyncio.run(work())) for _ in range(3)]
    conftest.until(lambda: len(lock._handle.waiters) == 3, "all tasks wait")
    lock.release()
    for thread in threads:
        joined(thread)
    assert inside == []
    assert lock.inspect().state is State.FREE


def test_close_ends_the_waits_of_tasks(directory: pathlib.Path) -> None:
    async def main() -> None:
        with Lock(directory):
            lock = Journal(directory, timeout=math.inf)
            tasks = [asyncio.ensure_future(lock.acquire_async()), asyncio.ensure_future(lock.append_async(["a"]))]
            await until(lambda: len(lock._handle.waiters) == 2 and acquires(lock))
            lock.close()
            assert [type(await ended(task)) for task in tasks] == [WaitCancelledError] * 2
            assert not lock._handle._pointer
            with pytest.raises(ValueError, match="closed"):
                await lock.acquire_async()

    soon(main())


def test_a_loop_that_ends_while_a_task_waits_leaves_nothing(directory: pathlib.Path) -> None:
    with Lock(directory):
        lock = Lock(directory, timeout=math.inf)

        async def main() -> None:
            task = asyncio.ensure_future(lock.acquire_async())
            await until(lambda: acquires(lock))
            assert not task.done()

        asyncio.run(main())
        assert not acquires(lock)
        assert not lock._handle.waiters
    with lock:
        pass


# --------------------------------------------------------------------------------------------------------- the journal


def test_every_journal_call_has_its_form_for_asyncio(directory: pathlib.Path) -> None:
    async def main() -> None:
        journal = Journal(directory)
        await journal.write_header_async(STAMP)
        await journal.append_async(["a"], deleted=["b"])
        await journal.append_stamped_async(["c"], timestamp_ms=STAMP + 1)
        snapshot = await journal.read_async()
        assert (snapshot.timestamp, snapshot.changed, snapshot.deleted) == (STAMP + 1, ("a", "c"), ("b",))
        await journal.append_async(["d"])
        assert await journal.checkpoint_async(snapshot, STAMP + 2)
        assert (await journal.read_async()).changed == ("d",)
        assert journal.inspect().state is State.FREE

    soon(main())


@pytest.mark.parametrize("sync", [False, True])
def test_an_append_waits_without_blocking_the_loop(directory: pathlib.Path, sync: bool) -> None:
    async def main() -> None:
        holder, journal = Lock(directory), Journal(directory, timeout=math.inf, sync=sync)
        holder.acquire()
        threads = threading.active_count()
        tasks = [asyncio.ensure_future(journal.append_async([str(number)])) for number in range(5)]
        await until(lambda: len(journal._handle.waiters) == 5 and acquires(journal))
        assert threading.active_count() == threads
        holder.release()
        await asyncio.gather(*tasks)
        await journal.append_stamped_async(timestamp_ms=STAMP)
        assert journal.read().changed == ("0", "1", "2", "3", "4")
        assert journal.inspect().state is State.FREE

    soon(main())


def test_journal_calls_work_under_an_asynchronous_hold(directory: pathlib.Path) -> None:
    async def main() -> None:
        async with Journal(directory) as journal:
            journal.append_stamped(["a"], timestamp_ms=7)
            await asyncio.gather(journal.append_async(["b"]), journal.append_async(["c"]))
            assert journal.read().changed == ("a", "b", "c")
            assert journal.inspect().state is State.MINE

    soon(main())


def test_a_write_that_has_begun_is_finished_before_the_cancelled_task_releases(
    directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes, go_on = threading.Event(), threading.Event()

    def append(original: Callable[..., int], *arguments: object) -> int:
        writes.set()
        go_on.wait(HANG)
        return original(*arguments)

    async def main() -> None:
        spy(monkeypatch, "jlock_append_stamped", append)
        journal = Journal(directory, sync=True)
        task = asyncio.ensure_future(journal.append_stamped_async(["a"], timestamp_ms=STAMP))
        await until(writes.is_set)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        assert journal.inspect().state is State.MINE
        go_on.set()
        assert isinstance(await ended(task), asyncio.CancelledError)
        assert journal.inspect().state is State.FREE
        assert journal.read().changed == ("a",)

    soon(main())


def test_a_write_that_is_overtaken_is_done_again(directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overtaken: list[int] = []

    def append(original: Callable[..., int], *arguments: object) -> int:
        if overtaken:
            return original(*arguments)
        steal(directory)
        overtaken.append(original(*arguments))
        os.unlink(directory / "changes.journal.lock")
        return overtaken[0]

    async def main() -> None:
        journal = Journal(directory)
        await journal.write_header_async(STAMP)
        spy(monkeypatch, "jlock_append", append)
        await journal.append_async(["a"])
        assert overtaken == [_abi.JLOCK_ELOST]
        assert journal.read().changed == ("a",)

    soon(main())


def test_leaving_the_block_reports_a_lost_lock(directory: pathlib.Path) -> None:
    async def main() -> None:
        lock = Lock(directory)
        with pytest.raises(LockLostError):
            async with lock:
                steal(directory)
        with pytest.raises(AcquireTimeoutError):  # not held by this object any more
            await lock.acquire_async(timeout=0)

    soon(main())

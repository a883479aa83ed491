"""The lock: who is kept out, who is told, and what is left."""

from __future__ import annotations

import errno
import gc
import math
import os
import pathlib
import signal
import threading
import time

import pytest

from jlock import AcquireTimeoutError, CanceledError, Fallback, Lock, LockLostError, NotHeldError, Peer, State

from .conftest import Hold, leftovers, lock_file, steal


def test_two_locks_in_one_process_exclude_each_other(directory: pathlib.Path) -> None:
    first, second = Lock(directory), Lock(directory)
    with first:
        assert not second.try_acquire()
    assert second.try_acquire()
    assert not first.try_acquire()
    second.release()


def test_another_process_is_kept_out_and_then_let_in(directory: pathlib.Path, hold: Hold) -> None:
    lock = Lock(directory)
    with hold():
        assert not lock.try_acquire()
    with lock:
        assert not lock.recovered


def test_a_timeout_is_a_timeout_error_that_names_the_holder(directory: pathlib.Path, hold: Hold) -> None:
    with hold() as process:
        began = time.monotonic()
        with pytest.raises(TimeoutError) as caught:
            Lock(directory, timeout=0.25).acquire()
        waited = time.monotonic() - began
    assert isinstance(caught.value, AcquireTimeoutError)
    assert caught.value.errno == errno.ETIMEDOUT
    assert f"held by pid {process.pid} (library peer)" in str(caught.value)
    assert str(caught.value).endswith("; gave up after 0.2 s")
    assert 0.25 <= waited < 2


def test_acquire_takes_a_timeout_of_its_own(directory: pathlib.Path) -> None:
    with Lock(directory):
        with pytest.raises(TimeoutError, match="gave up after 0.0 s"):
            Lock(directory, timeout=math.inf).acquire(timeout=0)


def test_a_waiting_thread_lets_the_others_run_and_gets_the_lock(directory: pathlib.Path) -> None:
    holder, waiter = Lock(directory), Lock(directory, timeout=-1)
    holder.acquire()
    waiting = threading.Event()

    def wait() -> None:
        waiting.set()
        waiter.acquire()

    thread = threading.Thread(target=wait)
    thread.start()
    waiting.wait()
    now = began = time.monotonic()
    still = 0.0
    while now - began < 0.5:
        before, now = now, time.monotonic()
        if now - before > 0.05:
            still += now - before
    assert still < 0.25  # nearly all of the time, if the GIL were kept
    assert thread.is_alive()
    holder.release()
    thread.join(10)
    assert waiter.inspect().state is State.MINE


def test_a_holder_that_was_killed_is_taken_over_from(directory: pathlib.Path, hold: Hold) -> None:
    with hold() as process:
        process.kill()
    lock = Lock(directory)
    assert lock.inspect().state is State.ABANDONED
    with lock:
        assert lock.recovered


def test_inspect_tells_who_holds(directory: pathlib.Path, hold: Hold) -> None:
    lock = Lock(directory)
    assert lock.inspect().state is State.FREE
    assert lock.inspect().pid is None
    with hold() as process:
        found = lock.inspect()
        assert (found.state, found.peer, found.pid) == (State.HELD, Peer.LIBRARY, process.pid)
        assert found.nonce.startswith(f"{process.pid}-")
        assert 0 <= found.age < 60
    with lock:
        assert lock.inspect().state is State.MINE
        assert lock.inspect().fallback == Fallback(0)


def test_who_loses_the_lock_is_told_and_leaves_the_new_one_alone(directory: pathlib.Path) -> None:
    lock = Lock(directory)
    lock.acquire()
    steal(directory)
    stolen = lock_file(directory).read_text()
    with pytest.raises(LockLostError):
        lock.refresh()
    with pytest.raises(LockLostError) as caught:
        lock.release()
    assert caught.value.errno == 4097
    assert lock_file(directory).read_text() == stolen


def test_release_and_refresh_need_the_lock(directory: pathlib.Path) -> None:
    lock = Lock(directory)
    for function in (lock.release, lock.refresh):
        with pytest.raises(NotHeldError):
            function()


def test_acquiring_twice_is_a_deadlock_told_at_once(directory: pathlib.Path) -> None:
    with Lock(directory) as lock:
        with pytest.raises(OSError) as caught:
            lock.acquire()
        assert caught.value.errno == errno.EDEADLK
        assert lock.inspect().state is State.MINE


def test_cancel_ends_a_wait_whenever_it_comes(directory: pathlib.Path) -> None:
    with Lock(directory):
        for pause in (0, 0, 0, 0.001, 0.05, 0.15):
            waiter = Lock(directory, timeout=math.inf)
            raised: list[BaseException] = []
            begun = threading.Event()

            def wait() -> None:
                begun.set()
                try:
                    waiter.acquire()
                except CanceledError as error:
                    raised.append(error)

            thread = threading.Thread(target=wait)
            thread.start()
            begun.wait()
            thread.join(pause)
            while thread.is_alive():
                waiter.cancel()
                thread.join(0.3)
            assert [type(error) for error in raised] == [CanceledError]


def test_a_cancel_between_two_slices_of_a_wait_is_not_lost(directory: pathlib.Path) -> None:
    lock = Lock(directory)

    def attempt(ms: int) -> int:
        lock.cancel()
        raise AcquireTimeoutError(errno.ETIMEDOUT, "this slice")

    with pytest.raises(CanceledError):
        lock._handle.wait(attempt, math.inf)


def test_cancel_without_a_wait_does_nothing(directory: pathlib.Path) -> None:
    lock = Lock(directory)
    lock.cancel()
    with lock:
        lock.cancel()


def test_close_releases_and_leaves_nothing(directory: pathlib.Path) -> None:
    lock = Lock(directory)
    lock.acquire()
    lock.close()
    lock.close()
    assert lock.closed
    assert leftovers(directory) == []
    with pytest.raises(ValueError, match="closed"):
        lock.acquire()


def test_close_ends_another_threads_wait(directory: pathlib.Path) -> None:
    with Lock(directory):
        waiter = Lock(directory, timeout=math.inf)
        outcome: list[BaseException] = []

        def wait() -> None:
            try:
                waiter.acquire()
            except (CanceledError, ValueError) as error:
                outcome.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(0.05)
        waiter.close()
        thread.join(10)
        assert len(outcome) == 1


def test_a_lock_that_nobody_refers_to_is_closed(directory: pathlib.Path) -> None:
    Lock(directory).acquire()
    gc.collect()
    assert leftovers(directory) == []
    assert Lock(directory).try_acquire()


def test_an_exception_in_the_block_releases(directory: pathlib.Path) -> None:
    lock = Lock(directory)
    with pytest.raises(ZeroDivisionError):
        with lock:
            1 / 0
    assert lock.inspect().state is State.FREE


def test_a_signal_handler_that_raises_ends_a_wait(directory: pathlib.Path, hold: Hold) -> None:
    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with hold():
        lock = Lock(directory, timeout=math.inf)
        timer = threading.Timer(0.2, interrupt)
        timer.start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            lock.acquire()
        assert time.monotonic() - began < 5
    assert lock.inspect().state is not State.MINE


def test_an_interrupted_acquire_never_leaves_the_lock_held(directory: pathlib.Path) -> None:
    """The signal comes while the library waits, the lock is had, and only then does the handler run."""

    class Interrupted(Exception):
        pass

    def handler(number: int, frame: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, handler)
    holder, waiter = Lock(directory), Lock(directory, timeout=math.inf)
    main = threading.main_thread().ident
    assert main is not None
    try:
        for _ in range(20):
            holder.acquire()
            interrupted = threading.Event()

            def act() -> None:
                signal.pthread_kill(main, signal.SIGUSR1)
                holder.release()
                interrupted.set()

            timer = threading.Timer(0.01, act)
            with pytest.raises(Interrupted):
                timer.start()  # in here: on a busy machine the signal may come before the next line
                waiter.acquire()
            assert interrupted.wait(10)
            assert waiter.inspect().state is State.FREE
            timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_directory_may_be_a_descriptor_and_the_journal_another(directory: pathlib.Path) -> None:
    directory.mkdir()
    descriptor = os.open(directory, os.O_RDONLY)
    by_descriptor = Lock(descriptor, journal="other.journal")
    os.close(descriptor)
    by_path = Lock(directory, journal="other.journal")
    with by_descriptor:
        assert not by_path.try_acquire()
        assert (directory / "other.journal.lock").exists()
        assert Lock(os.fsencode(directory)).try_acquire()  # changes.journal has a lock of its own


def test_the_type_of_self_survives_with(directory: pathlib.Path) -> None:
    lock = Lock(directory)
    with lock as inside:
        assert inside is lock
    assert repr(lock) == f"<Lock {str(directory)!r}>"

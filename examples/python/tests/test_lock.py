"""The lock: who is kept out, who learns of what, and what is left behind."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import gc
import math
import os
import pathlib
import re
import select
import signal
import threading
import time
import typing
import warnings
from collections.abc import Callable, Iterator
from typing import Optional

import pytest

import jlock
from jlock import (
    AcquireTimeoutError,
    Fallback,
    Journal,
    Lock,
    LockLostError,
    NotHeldError,
    Peer,
    Promise,
    State,
    WaitCancelledError,
    _abi,
)

from .conftest import HANG, Hold, acquires, in_thread, joined, leftovers, lock_file, spy, steal, until


class Interrupted(Exception):
    """What a signal handler raises."""


class Outcome:
    """The outcome of a call in another thread."""

    def __init__(self, function: Callable[[], object]) -> None:
        self.value: object = None
        self._function = function
        self._thread = in_thread(self._run)

    def _run(self) -> None:
        try:
            self.value = self._function()
        except (OSError, ValueError) as error:
            self.value = error

    @property
    def there(self) -> bool:
        return not self._thread.is_alive()

    def get(self) -> object:
        joined(self._thread)
        return self.value


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
    assert re.search(r"; gave up after \d+\.\d s$", str(caught.value))
    assert 0.25 <= waited


def test_acquire_takes_a_timeout_of_its_own(directory: pathlib.Path) -> None:
    with Lock(directory):
        with pytest.raises(TimeoutError, match=r"gave up after \d+\.\d s"):
            Lock(directory, timeout=math.inf).acquire(timeout=0)


def test_a_holder_that_was_killed_is_taken_over_from(directory: pathlib.Path, hold: Hold) -> None:
    with hold() as process:
        process.kill()
    lock = Lock(directory)
    assert lock.inspect().state is State.ABANDONED
    with lock:
        assert lock.recovered


def test_a_holder_that_loses_the_lock_learns_of_it_and_leaves_the_new_one_alone(directory: pathlib.Path) -> None:
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


def test_acquiring_twice_is_a_deadlock_reported_at_once(directory: pathlib.Path) -> None:
    with Lock(directory) as lock:
        with pytest.raises(OSError) as caught:
            lock.acquire()
        assert caught.value.errno == errno.EDEADLK
        assert lock.inspect().state is State.MINE


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


def test_an_exception_in_the_block_releases(directory: pathlib.Path) -> None:
    lock = Lock(directory)
    with pytest.raises(ZeroDivisionError):
        with lock:
            1 / 0
    assert lock.inspect().state is State.FREE


def test_an_interrupted_acquire_never_leaves_the_lock_held(directory: pathlib.Path) -> None:
    """The signal comes while the library waits; the lock is acquired, and only then does the handler run."""

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
                timer.start()  # inside the try: on a busy machine the signal may come before the next line
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
        assert Lock(os.fsencode(directory)).try_acquire()  # changes.journal has another lock


def test_the_type_of_self_survives_with(directory: pathlib.Path) -> None:
    lock = Lock(directory)
    with lock as inside:
        assert inside is lock
    assert repr(lock) == f"<Lock {str(directory)!r}>"


# ------------------------------------------------------------------------------------------------------------- waiting


def test_a_wait_is_one_acquire_and_sleeps_until_the_descriptor_wakes_it(
    directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait made of several would lose its place in line with each."""
    starts: list[int] = []
    timeouts: list[object] = []
    poll = select.poll

    class Poll:
        def __init__(self) -> None:
            self._poll = poll()
            self.register = self._poll.register

        def poll(self, timeout: Optional[float]) -> object:
            timeouts.append(timeout)
            return self._poll.poll(timeout)

    def start(original: Callable[..., int], pointer: object, ms: int) -> int:
        starts.append(ms)
        return original(pointer, ms)

    holder, waiter = Lock(directory), Lock(directory, timeout=math.inf)
    holder.acquire()
    spy(monkeypatch, "jlock_acquire_start", start)
    monkeypatch.setattr(select, "poll", Poll)
    outcome = Outcome(waiter.acquire)
    until(lambda: timeouts, "the thread waits")
    holder.release()
    assert outcome.get() is None
    assert waiter.inspect().state is State.MINE
    assert starts == [-1]
    assert set(timeouts) == {None}


def test_a_wait_does_without_poll(directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`eventlet.monkey_patch()` takes it away."""
    waits: list[object] = []
    original = select.select

    def spied(*arguments: typing.Any) -> object:
        waits.append(arguments)
        return original(*arguments)

    holder, waiter = Lock(directory), Lock(directory, timeout=math.inf)
    holder.acquire()
    monkeypatch.delattr(select, "poll")
    monkeypatch.setattr(select, "select", spied)
    outcome = Outcome(waiter.acquire)
    until(lambda: waits or outcome.there, "the thread waits")
    holder.release()
    assert outcome.get() is None
    assert waiter.inspect().state is State.MINE


def test_a_waiting_thread_lets_the_others_run(directory: pathlib.Path) -> None:
    holder, waiter = Lock(directory), Lock(directory, timeout=-1)
    holder.acquire()
    outcome = Outcome(waiter.acquire)
    until(lambda: acquires(waiter), "the thread waits")  # would never come true if it kept the GIL
    holder.release()
    assert outcome.get() is None


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The library's descriptor never becomes readable. The event says that somebody waits for it."""
    waits = threading.Event()
    read, write = os.pipe()

    def wait_fd(original: object, pointer: object) -> int:
        waits.set()
        return read

    spy(monkeypatch, "jlock_wait_fd", wait_fd)
    yield waits
    os.close(read)
    os.close(write)


def interrupted(deaf: threading.Event, call: Callable[[], object]) -> None:
    """Make a call that waits, and end it with Ctrl-C."""
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        deaf.wait(HANG)
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    with pytest.raises(KeyboardInterrupt):
        thread.start()
        call()
    joined(thread)


def test_ctrl_c_ends_a_wait_and_leaves_the_line(directory: pathlib.Path, deaf: threading.Event) -> None:
    with Lock(directory):
        lock = Lock(directory, timeout=math.inf)
        interrupted(deaf, lock.acquire)
        assert not acquires(lock)
        assert lock.inspect().state is State.HELD
    with lock:  # it still works
        pass


def test_ctrl_c_ends_an_append_that_waits(directory: pathlib.Path, deaf: threading.Event) -> None:
    with Lock(directory):
        journal = Journal(directory, timeout=math.inf)
        interrupted(deaf, lambda: journal.append(["a"]))
        assert not acquires(journal)
    assert not (directory / "changes.journal").exists()
    journal.append(["b"])


def test_an_exception_between_two_steps_leaves_nothing_held(
    directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler raises just when the library has acquired the lock."""

    def start(original: Callable[..., int], pointer: object, ms: int) -> int:
        assert original(pointer, ms) == 0
        raise Interrupted

    lock = Journal(directory)
    with monkeypatch.context() as patched:
        spy(patched, "jlock_acquire_start", start)
        for function in (lock.acquire, lock.try_acquire, lambda: lock.append(["a"])):
            with pytest.raises(Interrupted):
                function()
            assert lock.inspect().state is State.FREE

    def append(original: Callable[..., int], *arguments: object) -> int:
        raise Interrupted

    with monkeypatch.context() as patched:
        spy(patched, "jlock_append", append)
        with pytest.raises(Interrupted):
            lock.append(["a"])
    assert lock.inspect().state is State.FREE
    with lock:
        pass


def test_a_descriptor_that_the_program_closed_is_an_error_and_no_endless_loop(
    directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = fcntl.fcntl(0, fcntl.F_DUPFD, 200)  # a number that will not be used again soon
    os.close(closed)
    with Lock(directory):
        waiter = Lock(directory, timeout=math.inf)
        with monkeypatch.context() as patched:
            spy(patched, "jlock_wait_fd", lambda original, pointer: closed)
            with pytest.raises(OSError) as caught:
                waiter.acquire()
        assert caught.value.errno == errno.EBADF
        assert not acquires(waiter)


def test_without_a_descriptor_to_wait_on_time_does(directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def wait_fd(original: object, pointer: object) -> int:
        asked.append(1)
        return -errno.EMFILE

    spy(monkeypatch, "jlock_wait_fd", wait_fd)
    holder, waiter = Lock(directory), Lock(directory, timeout=math.inf, retry=0.001)
    holder.acquire()
    outcome = Outcome(waiter.acquire)
    until(lambda: len(asked) > 1, "it has looked twice")
    holder.release()
    assert outcome.get() is None


# ---------------------------------------------------------------------------------------------- threads on one object


def test_of_two_threads_that_wait_one_acquires_and_the_other_would_deadlock(directory: pathlib.Path) -> None:
    holder, lock = Lock(directory), Lock(directory, timeout=math.inf)
    holder.acquire()
    outcomes = [Outcome(lock.acquire), Outcome(lock.acquire)]
    until(lambda: len(lock._handle.waiters) == 2, "both threads wait")
    holder.release()
    results = [outcome.get() for outcome in outcomes]
    assert None in results
    (failure,) = (result for result in results if result is not None)
    assert isinstance(failure, OSError) and failure.errno == errno.EDEADLK
    lock.release()


def test_a_call_waits_for_its_turn_no_longer_than_its_own_timeout(directory: pathlib.Path) -> None:
    with Lock(directory):
        lock = Lock(directory, timeout=math.inf)
        outcome = Outcome(lock.acquire)
        until(lambda: acquires(lock), "the thread waits")
        assert not lock.try_acquire()
        with pytest.raises(AcquireTimeoutError, match=r"another call on this object is acquiring it; gave up after \d+\.\d s"):
            lock.acquire(timeout=0.1)
        assert lock.inspect().state is State.HELD  # inspect does not wait
        assert not outcome.there
        lock.cancel()
        assert isinstance(outcome.get(), WaitCancelledError)


def test_a_clock_that_a_test_froze_stops_no_wait(directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    test_a_call_waits_for_its_turn_no_longer_than_its_own_timeout(directory)


def test_a_turn_that_ends_is_passed_on(directory: pathlib.Path) -> None:
    holder, journal = Lock(directory), Journal(directory, timeout=math.inf)
    holder.acquire()
    outcomes = [Outcome(lambda: journal.append(["a"])) for _ in range(5)]
    until(lambda: len(journal._handle.waiters) == 5, "all threads wait")
    holder.release()
    assert [outcome.get() for outcome in outcomes] == [None] * 5
    assert journal.inspect().state is State.FREE


def test_another_threads_append_works_under_the_hold(directory: pathlib.Path) -> None:
    journal = Journal(directory)
    with journal:
        assert Outcome(lambda: journal.append(["a"])).get() is None
        assert journal.inspect().state is State.MINE


def test_the_hold_of_an_append_is_nobody_elses_to_release(
    directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes, go_on = threading.Event(), threading.Event()

    def append(original: Callable[..., int], *arguments: object) -> int:
        writes.set()
        go_on.wait(HANG)
        return original(*arguments)

    spy(monkeypatch, "jlock_append", append)
    journal = Journal(directory)
    outcome = Outcome(lambda: journal.append(["a"]))
    writes.wait(HANG)
    for function in (journal.release, journal.refresh):
        with pytest.raises(NotHeldError):
            function()
    go_on.set()
    assert outcome.get() is None


def test_cancel_ends_all_waits_on_the_object(directory: pathlib.Path) -> None:
    with Lock(directory):
        waiter = Lock(directory, timeout=math.inf)
        outcomes = [Outcome(waiter.acquire) for _ in range(3)]
        until(lambda: len(waiter._handle.waiters) == 3 and acquires(waiter), "the threads wait")
        waiter.cancel()
        assert [type(outcome.get()) for outcome in outcomes] == [WaitCancelledError] * 3
        assert not acquires(waiter)


def test_a_cancel_just_before_the_library_starts_is_not_lost(
    directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(original: Callable[..., int], pointer: object, ms: int) -> int:
        lock.cancel()
        return original(pointer, ms)

    with Lock(directory):
        lock = Lock(directory, timeout=math.inf)
        spy(monkeypatch, "jlock_acquire_start", start)
        with pytest.raises(WaitCancelledError):
            lock.acquire()


def test_a_signal_handler_that_acquires_the_same_object_deadlocks_with_nobody(
    directory: pathlib.Path, deaf: threading.Event
) -> None:
    seen: list[object] = []

    def handler(number: int, frame: object) -> None:
        for function in (lock.acquire, lambda: lock.append(["a"]), lock.release, lock.inspect, lock.cancel):
            try:
                seen.append(function())
            except OSError as error:
                seen.append(type(error) if isinstance(error, jlock.Error) else error.errno)
        raise Interrupted

    main = threading.main_thread().ident
    assert main is not None
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with Lock(directory):
            lock = Journal(directory, timeout=math.inf)

            def interrupt() -> None:
                deaf.wait(HANG)
                signal.pthread_kill(main, signal.SIGUSR1)

            thread = threading.Thread(target=interrupt)
            with pytest.raises(Interrupted):
                thread.start()
                lock.acquire()
            joined(thread)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen[:3] == [errno.EDEADLK, errno.EDEADLK, NotHeldError]
    assert isinstance(seen[3], jlock.Holder) and seen[4] is None


# --------------------------------------------------------------------------------------------------------------- close


def test_close_ends_another_threads_wait(directory: pathlib.Path) -> None:
    with Lock(directory):
        waiter = Lock(directory, timeout=math.inf)
        outcomes = [Outcome(waiter.acquire) for _ in range(2)]
        until(lambda: len(waiter._handle.waiters) == 2 and acquires(waiter), "the threads wait")
        waiter.close()
        assert [type(outcome.get()) for outcome in outcomes] == [WaitCancelledError] * 2
        assert not waiter._handle._pointer


def test_close_waits_for_another_threads_call(directory: pathlib.Path) -> None:
    lock = Lock(directory)
    called, go_on = threading.Event(), threading.Event()

    def slow(pointer: object) -> int:
        called.set()
        go_on.wait(HANG)
        return len(lock._handle._pointer)  # 0: freed under the call

    call = Outcome(lambda: lock._handle.call(slow))
    called.wait(HANG)
    close = Outcome(lock.close)
    until(lambda: lock.closed, "it closes")
    with pytest.raises(ValueError, match="closed"):
        lock.inspect()
    go_on.set()
    assert call.get() == 1
    assert close.get() is None
    assert not lock._handle._pointer


def test_a_signal_handler_may_close_in_the_middle_of_a_call(directory: pathlib.Path) -> None:
    lock = Lock(directory)

    def interrupted(pointer: object) -> int:
        lock.close()
        return 0

    lock._handle.call(interrupted)
    assert not lock._handle._pointer


def test_close_reports_a_lost_lock_and_closes_nevertheless(directory: pathlib.Path) -> None:
    lock = Lock(directory)
    lock.acquire()
    steal(directory)
    stolen = lock_file(directory).read_text()
    with pytest.raises(LockLostError):
        lock.close()
    assert lock.closed
    lock.close()
    assert lock_file(directory).read_text() == stolen


def test_a_lock_that_nobody_refers_to_is_closed_with_a_warning_as_files_are(directory: pathlib.Path) -> None:
    with pytest.warns(ResourceWarning, match=rf"unclosed <Lock '{directory}'>"):
        Lock(directory).acquire()
        gc.collect()
    assert leftovers(directory) == []
    with Lock(directory):
        pass


def test_a_closed_lock_is_collected_without_a_warning(directory: pathlib.Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Lock(directory).close()
        gc.collect()
    assert [warning for warning in caught if "jlock" in str(warning.message) or "Lock" in str(warning.message)] == []


# ------------------------------------------------------------------------------------------------------------ reports


def test_inspect_says_who_holds(directory: pathlib.Path, hold: Hold) -> None:
    lock = Lock(directory)
    free = lock.inspect()
    assert (free.state, free.peer, free.pid, free.held) == (State.FREE, Peer.NONE, None, None)
    with hold() as process:
        found = lock.inspect()
        assert (found.state, found.peer, found.pid) == (State.HELD, Peer.LIBRARY, process.pid)
        assert found.nonce.startswith(f"{process.pid}-")
        assert found.held is None or found.held >= 0
    with lock:
        assert lock.inspect().state is State.MINE
        assert lock.inspect().fallback == Fallback(0)


def test_inspect_hands_on_what_the_library_found(directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def inspect(original: object, pointer: object, out: typing.Any, size: int) -> int:
        assert size == ctypes.sizeof(_abi.jlock_holder)
        out._obj.age_ms, out._obj.held_ms, out._obj.fallback = 1500, 61_000, 3
        return 0

    lock = Lock(directory)
    spy(monkeypatch, "jlock_inspect", inspect)
    found = lock.inspect()
    assert (found.age, found.held) == (1.5, 61)
    assert found.fallback == Fallback.WITHOUT_LINK | Fallback.WITHOUT_FLOCK


def test_probe_says_what_a_directory_can_promise(directory: pathlib.Path) -> None:
    directory.mkdir()
    place = jlock.probe(directory)
    assert Promise.PROCESSES_OF_MOUNT in place.promises
    assert place.file_system
    assert os.listdir(directory) == []
    assert jlock.probe(os.fsencode(directory)) == place
    with pytest.raises(FileNotFoundError) as caught:
        jlock.probe(directory / "missing")
    assert caught.value.filename == str(directory / "missing")

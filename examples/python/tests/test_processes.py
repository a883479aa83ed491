"""Many processes on one journal: fork, spawn, signals, the end of the interpreter."""

from __future__ import annotations

import multiprocessing
import multiprocessing.pool
import os
import pathlib
import signal
import subprocess
import sys
import threading

import pytest

from jlock import ForkedError, Journal, Lock, State

from .conftest import Hold, environment, leftovers, run

WORKERS = 4
EACH = 50


def work(journal: Journal, name: int) -> bool:
    """The worker's part; under spawn the journal was pickled, and is another handle here."""
    for number in range(EACH):
        with journal:
            marker = os.open(os.path.join(str(journal.directory), "marker"), os.O_CREAT | os.O_EXCL)
            os.close(marker)
            journal.append([f"{name}/{number}"])
            os.unlink(os.path.join(str(journal.directory), "marker"))
    return True


def work_in(directory: str, name: int) -> bool:
    return work(Journal(directory, timeout=30), name)


def check(directory: pathlib.Path) -> None:
    journal = Journal(directory)
    journal.append_stamped(timestamp_ms=1)
    assert set(journal.read().changed) == {f"{w}/{n}" for w in range(WORKERS) for n in range(EACH)}
    journal.close()
    assert leftovers(directory) == []


# Python 3.12 warns of fork beside threads, even of a pool's own.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_workers_that_open_their_own_exclude_each_other(directory: pathlib.Path) -> None:
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        assert all(pool.starmap(work_in, [(str(directory), name) for name in range(WORKERS)]))
    check(directory)


def test_spawned_workers_get_a_handle_of_their_own_by_pickling(directory: pathlib.Path) -> None:
    journal = Journal(directory, timeout=30)
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        assert all(pool.starmap(work, [(journal, name) for name in range(WORKERS)]))
        pool.close()
        pool.join()
    journal.close()
    check(directory)


def in_child(function: object) -> int:
    """Run a function in a forked child; its exit status is what the function returns."""
    assert callable(function)
    child = os.fork()
    if child == 0:
        status = 99
        try:
            status = function()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_an_inherited_lock_refuses_and_closing_it_releases_nothing(directory: pathlib.Path) -> None:
    lock = Journal(directory)
    lock.acquire()

    def child() -> int:
        refused = 0
        for function in (lock.acquire, lock.release, lock.refresh, lock.cancel, lock.inspect, lock.read, lock.append):
            try:
                function()
            except ForkedError:
                refused += 1
        lock.close()
        return refused

    assert in_child(child) == 7
    lock.refresh()
    assert not Lock(directory).try_acquire()


def test_a_child_may_close_while_the_parents_other_thread_waits(directory: pathlib.Path) -> None:
    holder, waiter = Lock(directory), Lock(directory, timeout=30)
    holder.acquire()
    thread = threading.Thread(target=waiter.acquire)
    thread.start()
    thread.join(0.05)

    def child() -> int:
        with pytest.raises(ForkedError):  # without a look at the mutex, which that thread may hold for ever here
            waiter.inspect()
        waiter.close()
        holder.close()
        return 0

    assert in_child(child) == 0
    holder.release()
    thread.join(10)
    assert waiter.inspect().state is State.MINE


def test_a_child_that_outlives_the_holder_does_not_keep_the_lock(directory: pathlib.Path) -> None:
    holder = """
import os, sys
from jlock import Lock
lock = Lock(sys.argv[1])
lock.acquire()
if os.fork() == 0:
    sys.stdin.read()
    os._exit(0)
os.kill(os.getpid(), 9)
"""
    command = [sys.executable, "-c", holder, str(directory)]
    with subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE) as process:
        process.wait()
        lock = Lock(directory, timeout=10)
        with lock:
            assert lock.recovered


@pytest.mark.parametrize("timeout", ["60", "inf"])
def test_ctrl_c_ends_a_program_that_waits_to_append(directory: pathlib.Path, hold: Hold, timeout: str) -> None:
    waiter = """
import sys
from jlock import Journal
journal = Journal(sys.argv[1], timeout=float(sys.argv[2]))
print("waiting", flush=True)
journal.append(["a"])
"""
    with hold():
        command = [sys.executable, "-c", waiter, str(directory), timeout]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, env=environment(), stdout=pipe, stderr=pipe, text=True) as process:
            assert process.stdout is not None and process.stdout.readline() == "waiting\n"
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=10)
            assert errors.strip().endswith("KeyboardInterrupt")


def test_the_end_of_the_interpreter_releases(directory: pathlib.Path) -> None:
    ran = run("import sys, jlock\nlock = jlock.Lock(sys.argv[1])\nlock.acquire()", directory)
    assert ran.returncode == 0, ran.stderr
    assert leftovers(directory) == []


def test_the_end_of_the_interpreter_ends_a_daemon_threads_wait(directory: pathlib.Path, hold: Hold) -> None:
    code = """
import math, sys, threading, jlock
lock = jlock.Lock(sys.argv[1], timeout=math.inf)
def wait():
    try:
        lock.acquire()
    except (jlock.WaitCancelledError, ValueError):
        pass
thread = threading.Thread(target=wait, daemon=True)
thread.start()
thread.join(0.05)
"""
    with hold():
        ran = run(code, directory)
    assert (ran.returncode, ran.stderr) == (0, "")

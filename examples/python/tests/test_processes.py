"""Many processes on one journal: fork, spawn, signals, the end of the interpreter."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import multiprocessing.pool
import os
import pathlib
import signal
import subprocess
import sys
import warnings

import pytest

from jlock import ForkedError, Journal, Lock, State

from .conftest import HANG, Hold, acquires, environment, in_thread, joined, leftovers, run, until

WORKERS = 4
EACH = 50


def work(journal: Journal, name: int) -> bool:
    """The worker's part. Under spawn the journal was pickled, so it is another handle here."""
    for number in range(EACH):
        with journal:
            marker = os.open(os.path.join(str(journal.directory), "marker"), os.O_CREAT | os.O_EXCL)
            os.close(marker)
            journal.append([f"{name}/{number}"])
            os.unlink(os.path.join(str(journal.directory), "marker"))
    return True


def work_in(directory: str, name: int) -> bool:
    return work(Journal(directory, timeout=HANG), name)


def check(directory: pathlib.Path) -> None:
    journal = Journal(directory)
    journal.append_stamped(timestamp_ms=1)
    assert set(journal.read().changed) == {f"{w}/{n}" for w in range(WORKERS) for n in range(EACH)}
    journal.close()
    assert leftovers(directory) == []


# Python 3.12 warns about fork in a process with threads, even a pool's own.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_workers_that_open_their_own_exclude_each_other(directory: pathlib.Path) -> None:
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        assert all(pool.starmap(work_in, [(str(directory), name) for name in range(WORKERS)]))
    check(directory)


def test_spawned_workers_get_a_handle_of_their_own_by_pickling(directory: pathlib.Path) -> None:
    journal = Journal(directory, timeout=HANG)
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
        calls = (lock.acquire, lock.release, lock.refresh, lock.cancel, lock.inspect, lock.read, lock.append)
        for function in (*calls, lambda: asyncio.run(lock.acquire_async())):
            try:
                function()
            except ForkedError:
                refused += 1
        lock.close()
        return refused

    assert in_child(child) == 8
    lock.refresh()
    assert not Lock(directory).try_acquire()


def test_a_child_may_close_while_the_parents_other_thread_waits(directory: pathlib.Path) -> None:
    holder, waiter = Lock(directory), Lock(directory, timeout=HANG)
    holder.acquire()
    thread = in_thread(waiter.acquire)
    until(lambda: acquires(waiter), "the thread waits")

    def child() -> int:
        with pytest.raises(ForkedError):  # without touching the mutex, which that thread may hold forever here
            waiter.inspect()
        waiter.close()
        holder.close()
        return 0

    assert in_child(child) == 0
    holder.release()
    joined(thread)
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
        lock = Lock(directory, timeout=HANG)
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
            _, errors = process.communicate(timeout=HANG)
            assert errors.strip().endswith("KeyboardInterrupt")


def test_a_lock_that_a_child_inherited_is_collected_there_in_silence(directory: pathlib.Path) -> None:
    locks = [Lock(directory)]
    locks[0].acquire()
    pointers = locks[0]._handle._pointer

    def child() -> int:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            locks.clear()
            gc.collect()
        return len(pointers) + len(caught)

    assert in_child(child) == 0
    locks[0].refresh()


# ------------------------------------------------------------------------------------------- the end of an interpreter


def test_the_end_of_the_interpreter_releases(directory: pathlib.Path) -> None:
    ran = run("import sys, jlock\nlock = jlock.Lock(sys.argv[1])\nlock.acquire()", directory)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert leftovers(directory) == []


# A daemon thread is waiting for the lock when the interpreter ends, or begins to wait only then.
DAEMON = """
import atexit, math, sys, threading

waits, ends = threading.Event(), threading.Event()

@atexit.register  # registered before jlock's own, so it is called after it
def go_on():
    ends.set()
    thread.join(0.1)

import jlock

lock = jlock.Journal(sys.argv[1], timeout=math.inf)

def wait():
    waits.set()
    if len(sys.argv) > 2:
        ends.wait()
    lock.append(["a"])

thread = threading.Thread(target=wait, daemon=True)
thread.start()
waits.wait()
"""


@pytest.mark.parametrize("late", [[], ["late"]])
def test_the_end_of_the_interpreter_ends_a_daemon_threads_wait_in_silence(
    directory: pathlib.Path, hold: Hold, late: list[str]
) -> None:
    with hold():
        ran = run(DAEMON, directory, *late)
    assert (ran.returncode, ran.stderr) == (0, "")


READ_AT_THE_END = """
import atexit, sys, threading

began, ended = threading.Event(), threading.Event()

@atexit.register  # registered first, so it is called after all others
def last():
    ended.set()
    thread.join()

from jlock import Journal, _abi

count = _abi.lib.jlock_snapshot_count

def count_at_the_end(*arguments):
    began.set()
    ended.wait()
    return count(*arguments)

def read():
    print(journal.read().changed)

journal = Journal(sys.argv[1])
journal.append_stamped(["a", "b"], timestamp_ms=1)
_abi.lib.jlock_snapshot_count = count_at_the_end
thread = threading.Thread(target=read, daemon=True)
thread.start()
began.wait()
"""


def test_what_a_daemon_thread_reads_is_not_freed_under_it_at_the_end_of_the_interpreter(directory: pathlib.Path) -> None:
    ran = run(READ_AT_THE_END, directory)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "('a', 'b')\n", "")


def test_what_a_daemon_thread_holds_is_not_released_before_it_dies(directory: pathlib.Path) -> None:
    """It is still working on what the lock protects. So the next holder takes over, and learns that the work may be half
    done."""
    code = """
import sys, threading, jlock

lock, held = jlock.Lock(sys.argv[1]), threading.Event()

def work():
    with lock:
        held.set()
        threading.Event().wait()

threading.Thread(target=work, daemon=True).start()
held.wait()
"""
    ran = run(code, directory)
    assert (ran.returncode, ran.stderr) == (0, "")
    with Lock(directory) as lock:
        assert lock.recovered


SUBINTERPRETERS = """
import sys, jlock

if sys.version_info >= (3, 13):
    import _interpreters as interpreters
    create = interpreters.create
else:
    import _xxsubinterpreters as interpreters
    def create():  # ctypes cannot be loaded into an isolated interpreter
        return interpreters.create(isolated=False)

code = "import sys; sys.path[:0] = " + repr(sys.path) + "; directory = " + repr(sys.argv[1])
code += '''
import jlock
lock = jlock.Lock(directory)
open(directory + ("/held" if lock.try_acquire() else "/refused"), "x").close()
'''
first, second = create(), create()
for each in (first, second):
    failed = interpreters.run_string(each, code)
    assert failed is None, failed
interpreters.destroy(first)
with jlock.Lock(sys.argv[1], timeout=0) as lock:
    print("taken over" if lock.recovered else "released")
interpreters.destroy(second)
"""


def test_subinterpreters_exclude_each_other_and_release_at_their_end(directory: pathlib.Path) -> None:
    directory.mkdir()
    ran = run(SUBINTERPRETERS, directory)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "released\n", "")
    assert leftovers(directory) == ["held", "refused"]

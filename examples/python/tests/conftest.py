"""What several tests need: a directory, and another process that holds its lock."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import typing
from collections.abc import Callable, Iterator

import pytest

from jlock import Lock, _abi

PYTHON = pathlib.Path(__file__).resolve().parents[1]
ROOT = PYTHON.parents[1]

# A test that would otherwise hang fails after this many seconds. A test that works needs far less, however busy the machine.
HANG = 600

HOLD = """
import sys
from jlock import Lock
with Lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""

Hold = Callable[[], "contextlib.AbstractContextManager[subprocess.Popen[str]]"]


def environment() -> dict[str, str]:
    """For a child that imports the same package."""
    return {**os.environ, "PYTHONPATH": str(PYTHON)}


def run(code: str, *arguments: object, **options: typing.Any) -> subprocess.CompletedProcess[str]:
    """Run Python code in a separate process."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=HANG, **options)


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> Iterator[None]:
    """Ctrl-C works in the tests and in their children, even if they were started with it ignored (nohup, a shell's &)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def directory(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "journal"


@pytest.fixture
def hold(directory: pathlib.Path) -> Hold:
    """`with hold() as process:` another process holds the lock of `directory`, until the block ends or it is killed."""

    @contextlib.contextmanager
    def holding() -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-c", HOLD, str(directory)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, env=environment(), stdin=pipe, stdout=pipe, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process

    return holding


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition."""
    limit = time.monotonic() + HANG
    while not condition():
        assert time.monotonic() < limit, f"still waiting until {what}"
        time.sleep(0.001)


def in_thread(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def joined(thread: threading.Thread) -> None:
    thread.join(HANG)
    assert not thread.is_alive()


def acquires(lock: Lock) -> bool:
    """Whether an acquire is in progress in the library on this object. (Use only while another one holds the lock.)"""
    rc: int = _abi.lib.jlock_acquire_poll(lock._handle._pointer[0])
    assert rc in (-errno.EINPROGRESS, -errno.EINVAL)
    return rc == -errno.EINPROGRESS


def spy(monkeypatch: pytest.MonkeyPatch, name: str, instead: Callable[..., int]) -> None:
    """Call `instead(original, *arguments)` for a function of the library."""
    original = getattr(_abi.lib, name)
    monkeypatch.setattr(_abi.lib, name, lambda *arguments: instead(original, *arguments))


def lock_file(directory: pathlib.Path) -> pathlib.Path:
    return directory / "changes.journal.lock"


def leftovers(directory: pathlib.Path) -> list[str]:
    """What is there apart from the journal."""
    return sorted(path.name for path in directory.iterdir() if path.name != "changes.journal")


def steal(directory: pathlib.Path) -> None:
    """Take the lock away as a shipped peer does, by renaming its own stamp over the lock."""
    nonce = f"{os.getpid()}-0123456789abcdef"
    stamp = directory / f"changes.journal.lock.{nonce}.tmp"
    stamp.write_text(f"{os.getpid()}\n{nonce}\n")
    stamp.rename(lock_file(directory))

"""A system call's error is Python's own; the library's states have their classes."""

from __future__ import annotations

import errno
import fractions
import math
import pathlib
import pickle
import shutil
import subprocess
import sys
from typing import Any, cast

import pytest

import jlock
from jlock import Journal, Lock, NotLockError
from jlock._errors import _CLASSES, from_code

from .conftest import environment, lock_file, run

OPEN = """
import sys
from jlock import Journal
try:
    Journal(sys.argv[1]).append(["a"])
except OSError as error:
    print(error.errno, type(error).__name__, error)
"""

# By descriptor, so that only the directory's own mode counts; and as another user, because root may write anywhere.
DENIED = """
import os, sys
from jlock import Journal
directory = os.open(sys.argv[1], os.O_RDONLY)
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    Journal(directory).append(["a"])
except OSError as error:
    print(error.errno, type(error).__name__, error)
"""


def test_a_missing_directory_that_may_not_be_made(directory: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        Lock(directory, create=False)
    assert caught.value.filename == str(directory)


def test_a_file_where_the_directory_should_be(directory: pathlib.Path) -> None:
    directory.write_text("")
    with pytest.raises(NotADirectoryError):
        Lock(directory)


def test_a_directory_that_was_removed_under_the_lock(directory: pathlib.Path) -> None:
    directory.mkdir()
    journal = Journal(directory, create=False)
    shutil.rmtree(directory)
    with pytest.raises(FileNotFoundError):
        journal.append(["a"])


def test_a_directory_without_permission_to_write(directory: pathlib.Path) -> None:
    directory.mkdir(mode=0o555)
    assert run(DENIED, directory).stdout.startswith(f"{errno.EACCES} PermissionError ")


def test_a_file_system_that_is_read_only(directory: pathlib.Path) -> None:
    directory.mkdir()
    mounted = 'mount -t tmpfs -o ro none "$1" || exit 77; shift; exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mounted, "sh", str(directory)]
    ran = subprocess.run(
        [*command, sys.executable, "-c", OPEN, str(directory)], env=environment(), capture_output=True, text=True
    )
    if ran.returncode == 77 or ran.stderr.startswith("unshare:"):
        pytest.skip(f"no mount namespace is available here: {ran.stderr.strip()}")
    assert ran.stdout.startswith(f"{errno.EROFS} OSError "), ran


def test_a_directory_at_the_locks_path(directory: pathlib.Path) -> None:
    lock_file(directory).mkdir(parents=True)
    with pytest.raises(NotLockError) as caught:
        Lock(directory).acquire()
    assert caught.value.errno == 4102
    assert "changes.journal.lock" in str(caught.value)


def test_a_symlink_at_the_locks_path(directory: pathlib.Path) -> None:
    directory.mkdir()
    lock_file(directory).symlink_to(directory / "elsewhere")
    with pytest.raises(OSError) as caught:
        Lock(directory).acquire()
    assert caught.value.errno == errno.ELOOP


def test_a_name_with_a_nul_is_refused(directory: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="null"):
        Lock(f"{directory}\0")


def test_an_empty_name_is_not_the_working_directory(directory: pathlib.Path) -> None:
    for call in (lambda: Lock(""), lambda: Lock(b""), lambda: Lock(directory, journal=""), lambda: jlock.probe("")):
        with pytest.raises(ValueError, match="empty path"):
            call()


def test_a_number_that_is_no_descriptor_is_not_cut_to_one() -> None:
    for number in (-1, -100, 2**31, 2**32):  # AT_FDCWD; a C int
        with pytest.raises(ValueError, match="is not a descriptor"):
            Lock(number)
    with pytest.raises(TypeError):
        Lock(True)


def test_options_that_make_no_sense_are_refused(directory: pathlib.Path) -> None:
    with pytest.raises(OSError) as caught:
        Lock(directory, retry=0)
    assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize("name", ["timeout", "retry", "stale", "settle"])
def test_a_time_is_a_number_of_seconds(directory: pathlib.Path, name: str) -> None:
    bad: Any
    for bad in ("5", b"5", None, True):
        with pytest.raises(TypeError, match=f"{name}: expected a number of seconds"):
            Lock(directory, **{name: bad})
    with pytest.raises(ValueError, match=name):
        Lock(directory, **{name: cast(Any, math.nan)})
    assert not directory.exists()
    good: Any
    for good in (1, 1.5, fractions.Fraction(1, 2)):
        Lock(directory, **{name: good})


@pytest.mark.parametrize("name", ["retry", "stale", "settle"])
def test_an_option_that_is_too_large_is_not_cut(directory: pathlib.Path, name: str) -> None:
    bad: Any
    for bad in (-1, 2**32, math.inf):
        with pytest.raises(ValueError, match=f"{name}: .* is not between"):
            Lock(directory, **{name: bad})


def test_a_timeout_may_be_longer_than_the_library_counts(directory: pathlib.Path) -> None:
    with Lock(directory, timeout=1e9) as lock:
        assert not lock.closed


@pytest.mark.parametrize("rc", sorted(_CLASSES))
def test_each_class_keeps_its_number_and_message_even_pickled(rc: int) -> None:
    error = pickle.loads(pickle.dumps(from_code(rc, "in full")))
    assert type(error) is _CLASSES[rc]
    assert isinstance(error, jlock.Error)
    assert (error.errno, error.strerror, str(error)) == (-rc, "in full", "in full")


def test_every_error_class_is_public() -> None:
    assert {error.__name__ for error in _CLASSES.values()} < set(jlock.__all__)

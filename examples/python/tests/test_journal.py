"""The journal: what is appended is read, and nothing else."""

from __future__ import annotations

import copy
import dataclasses
import errno
import os
import pathlib
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from jlock import EntryError, HeaderError, Journal, Lock, LockLostError, Snapshot, State, UnstampedError, _abi

from .conftest import lock_file, spy, steal

STAMP = 1_700_000_000_000


@pytest.fixture
def journal(directory: pathlib.Path) -> Journal:
    journal = Journal(directory)
    journal.write_header(STAMP)
    return journal


def lines(directory: pathlib.Path) -> list[str]:
    return (directory / "changes.journal").read_text().splitlines()


def test_append_writes_changed_and_deleted(directory: pathlib.Path, journal: Journal) -> None:
    journal.append(["a", pathlib.PurePath("b/c"), b"d"], deleted=["e"])
    assert lines(directory) == [f"# codegraph-journal v1 {STAMP}", "a", "b/c", "d", "DELETED e"]


def test_the_first_append_makes_the_journal(directory: pathlib.Path) -> None:
    Journal(directory).append(["a"])
    assert lines(directory) == ["# codegraph-journal v1 0", "a"]


def test_append_stamped_sets_the_timestamp(directory: pathlib.Path, journal: Journal) -> None:
    journal.append_stamped(["a"], timestamp_ms=STAMP + 1)
    assert lines(directory) == [f"# codegraph-journal v1 {STAMP + 1}", "a"]


def test_read_gives_each_path_once_in_order(journal: Journal) -> None:
    journal.append(["b", "a", "b"], deleted=["c", "c"])
    assert journal.read() == Snapshot(float(STAMP), ("b", "a"), ("c",))


def test_paths_that_are_not_utf8_come_back_as_they_went(journal: Journal) -> None:
    journal.append([b"\xff/\xe9", "\u00e9"])
    assert journal.read().changed == ("\udcff/\udce9", "\u00e9")
    journal.append(journal.read().changed)
    assert len(journal.read().changed) == 2


def test_a_nul_within_is_damage_which_the_message_names(directory: pathlib.Path, journal: Journal) -> None:
    with open(directory / "changes.journal", "ab") as file:
        file.write(b"a\0b\n")
    with pytest.raises(HeaderError, match="damaged"):
        journal.read()


def test_checkpoint_keeps_what_came_after_the_snapshot(journal: Journal) -> None:
    journal.append(["old"])
    snapshot = journal.read()
    journal.append(["new"], deleted=["gone"])
    assert journal.checkpoint(snapshot, STAMP + 5) is True
    assert journal.read() == Snapshot(float(STAMP + 5), ("new",), ("gone",))


def test_checkpoint_says_that_it_kept_all_when_the_journal_had_been_replaced(
    directory: pathlib.Path, journal: Journal
) -> None:
    journal.append(["old"])
    snapshot = journal.read()
    copied = directory / "copy"
    copied.write_bytes((directory / "changes.journal").read_bytes())
    copied.rename(directory / "changes.journal")
    assert journal.checkpoint(snapshot, STAMP + 5) is False
    assert journal.read().changed == ("old",)


def test_a_snapshot_is_a_value(journal: Journal) -> None:
    journal.append(["a"])
    snapshot = journal.read()
    journal.close()
    assert pickle.loads(pickle.dumps(snapshot)) == copy.copy(snapshot) == snapshot
    assert dataclasses.asdict(snapshot) == {"timestamp": STAMP, "changed": ("a",), "deleted": ()}
    with pytest.raises(dataclasses.FrozenInstanceError):
        snapshot.timestamp = 0.0  # type: ignore[misc]


def test_checkpoint_refuses_a_copy(journal: Journal) -> None:
    with pytest.raises(ValueError, match="read"):
        journal.checkpoint(copy.copy(journal.read()), STAMP)


def test_calls_inside_with_work_under_that_hold(directory: pathlib.Path, journal: Journal) -> None:
    other = Lock(directory)
    with journal:
        journal.append(["a"])
        journal.append(["b"])
        assert not other.try_acquire()
    assert other.try_acquire()


def test_append_waits_as_long_as_the_journal_was_made_to(directory: pathlib.Path) -> None:
    with Lock(directory):
        with pytest.raises(TimeoutError, match=r"held by pid .*; gave up after \d+\.\d s"):
            Journal(directory, timeout=0.3).append(["a"])


@pytest.mark.parametrize("bad", ["", "a\nb", "a\rb", "a\0b", " a", "a\t", "#a", "DELETED a"])
def test_an_entry_that_the_format_cannot_carry_is_refused(directory: pathlib.Path, journal: Journal, bad: str) -> None:
    before = lines(directory)
    with pytest.raises(EntryError) as caught:
        journal.append(["good", bad])
    assert isinstance(caught.value, ValueError)
    assert lines(directory) == before


@pytest.mark.parametrize(
    "bad, kind",
    [
        (2**64 + 7, ValueError),  # ctypes would write 7
        (2**63, ValueError),
        (-1, ValueError),
        (1.5, TypeError),
        (1.0, TypeError),
        (True, TypeError),
        ("7", TypeError),
        (None, TypeError),
    ],
)
def test_a_timestamp_that_is_not_one_is_refused(
    directory: pathlib.Path, journal: Journal, bad: Any, kind: type[Exception]
) -> None:
    snapshot = journal.read()
    for call in (
        lambda: journal.append_stamped(["a"], timestamp_ms=bad),
        lambda: journal.write_header(bad),
        lambda: journal.checkpoint(snapshot, bad),
    ):
        with pytest.raises(kind, match="timestamp_ms: "):
            call()
    assert lines(directory) == [f"# codegraph-journal v1 {STAMP}"]


def test_a_timestamp_may_be_as_large_as_the_format_has_room_for(directory: pathlib.Path) -> None:
    class Number:
        """Like numpy's numbers."""

        def __index__(self) -> int:
            return 2**63 - 1

    Journal(directory).write_header(Number())  # type: ignore[arg-type]
    assert lines(directory) == [f"# codegraph-journal v1 {2**63 - 1}"]


def test_one_string_is_not_a_list_of_paths(journal: Journal) -> None:
    with pytest.raises(TypeError):
        journal.append("abc")
    with pytest.raises(TypeError):
        journal.append(pathlib.PurePath("abc"))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        journal.append([], deleted="abc")


def test_appending_nothing_adds_nothing(directory: pathlib.Path, journal: Journal) -> None:
    journal.append([])
    assert lines(directory) == [f"# codegraph-journal v1 {STAMP}"]


def test_a_journal_that_was_never_stamped_says_so(directory: pathlib.Path) -> None:
    journal = Journal(directory)
    with pytest.raises(FileNotFoundError):
        journal.read()
    journal.append(["a"])
    with pytest.raises(UnstampedError) as caught:
        journal.read()
    assert caught.value.errno == 4104
    journal.append_stamped(["b"], timestamp_ms=STAMP)
    assert journal.read().changed == ("a", "b")


def test_a_journal_without_a_header_says_so(directory: pathlib.Path) -> None:
    journal = Journal(directory)
    (directory / "changes.journal").write_text("a\n")
    with pytest.raises(HeaderError) as caught:
        journal.read()
    assert caught.value.errno == 4100


def test_a_write_under_a_lost_hold_says_so(directory: pathlib.Path, journal: Journal) -> None:
    journal.acquire()
    steal(directory)
    before = lines(directory)
    with pytest.raises(LockLostError):
        journal.append(["a"])
    assert lines(directory) == before


def test_with_sync_the_same_is_written(directory: pathlib.Path) -> None:
    journal = Journal(directory, sync=True)
    journal.append_stamped(["a"], timestamp_ms=STAMP)
    journal.append(["b"])
    assert journal.read().changed == ("a", "b")


class Overtaken:
    """The first few times, take the lock away during an append; it is free again afterwards."""

    def __init__(self, directory: pathlib.Path, times: int) -> None:
        self.directory, self.times = directory, times
        self.codes: list[int] = []

    def __call__(self, original: Callable[..., int], *arguments: object) -> int:
        if len(self.codes) == self.times:
            return original(*arguments)
        steal(self.directory)
        self.codes.append(original(*arguments))
        lock_file(self.directory).unlink()
        return self.codes[-1]


def test_an_append_that_is_overtaken_is_done_again(
    directory: pathlib.Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    overtaken = Overtaken(directory, 3)
    spy(monkeypatch, "jlock_append", overtaken)
    journal.append(["a"])
    assert overtaken.codes == [_abi.JLOCK_ELOST] * 3
    assert journal.read().changed == ("a",)
    assert journal.inspect().state is State.FREE


def test_an_append_that_is_overtaken_again_and_again_says_so(
    directory: pathlib.Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy(monkeypatch, "jlock_append", Overtaken(directory, 4))
    with pytest.raises(LockLostError):
        journal.append(["a"])
    assert journal.read().changed == ()


def test_an_append_whose_lock_is_lost_by_its_release_is_done_again(
    directory: pathlib.Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written, but perhaps to a journal that the thief has replaced by an older copy."""
    released: list[int] = []

    def release(original: Callable[..., int], pointer: object) -> int:
        if released:
            return original(pointer)
        steal(directory)
        released.append(original(pointer))
        lock_file(directory).unlink()
        return released[0]

    spy(monkeypatch, "jlock_release", release)
    journal.append(["a"])
    assert released == [_abi.JLOCK_ELOST]
    assert lines(directory)[1:] == ["a", "a"]


def test_a_release_that_fails_after_the_write_is_reported_and_done_before_the_next(
    directory: pathlib.Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        spy(patched, "jlock_release", lambda original, pointer: -errno.EIO)
        with pytest.raises(OSError, match="; the journal was written, but the lock could not be released") as caught:
            journal.append(["a"])
        assert caught.value.errno == errno.EIO
        with pytest.raises(OSError) as caught:
            journal.append(["b"])
        assert caught.value.errno == errno.EIO
    journal.append(["c"])
    assert journal.read().changed == ("a", "c")
    assert journal.inspect().state is State.FREE


def test_an_append_whose_hold_another_thread_releases_acquires_by_itself(
    directory: pathlib.Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for the lock as always, if somebody else is quicker."""
    other = Lock(directory)
    appended: list[int] = []

    def append(original: Callable[..., int], *arguments: object) -> int:
        if not appended:  # the moment between the check of the hold and the write
            journal.release()
            other.acquire()
        appended.append(original(*arguments))
        if other.inspect().state is State.MINE:
            other.release()
        return appended[-1]

    journal.acquire()
    spy(monkeypatch, "jlock_append", append)
    journal.append(["a"])
    assert appended == [-errno.ETIMEDOUT, 0]
    assert journal.read().changed == ("a",)


def test_names_that_are_not_utf8(tmp_path: pathlib.Path) -> None:
    directory = os.fsencode(tmp_path) + b"/\xff\xfe"
    by_bytes, by_text = Journal(directory), Journal(os.fsdecode(directory))
    by_bytes.append_stamped([b"\xff"], timestamp_ms=STAMP)
    assert b"changes.journal" in os.listdir(directory)
    assert by_text.read().changed == ("\udcff",)
    assert by_bytes.directory == os.fsdecode(directory)
    other = Journal(directory, journal=b"\xfe.journal")
    other.append(["a"])
    assert os.path.exists(directory + b"/\xfe.journal")
    copied = pickle.loads(pickle.dumps(other))
    assert (copied.directory, copied.journal) == (os.fsdecode(directory), "\udcfe.journal")
    with by_bytes:
        assert not by_text.try_acquire()

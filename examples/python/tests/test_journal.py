"""The journal: what is appended is read, and nothing else."""

from __future__ import annotations

import copy
import dataclasses
import pathlib
import pickle

import pytest

from jlock import EntryError, HeaderError, Journal, Lock, LockLostError, Snapshot

from .conftest import steal

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


def test_a_nul_in_somebody_elses_line_does_not_cut_it(directory: pathlib.Path, journal: Journal) -> None:
    with open(directory / "changes.journal", "ab") as file:
        file.write(b"a\0b\n")
    assert journal.read().changed == ("a\0b",)


def test_checkpoint_keeps_what_came_after_the_snapshot(journal: Journal) -> None:
    journal.append(["old"])
    snapshot = journal.read()
    journal.append(["new"], deleted=["gone"])
    journal.checkpoint(snapshot, STAMP + 5)
    assert journal.read() == Snapshot(float(STAMP + 5), ("new",), ("gone",))


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
        with pytest.raises(TimeoutError, match="held by pid .*; gave up after 0.3 s"):
            Journal(directory, timeout=0.3).append(["a"])


@pytest.mark.parametrize("bad", ["", "a\nb", "a\rb", "a\0b", " a", "a\t", "#a", "DELETED a"])
def test_an_entry_that_the_format_cannot_carry_is_refused(directory: pathlib.Path, journal: Journal, bad: str) -> None:
    before = lines(directory)
    with pytest.raises(EntryError) as caught:
        journal.append(["good", bad])
    assert isinstance(caught.value, ValueError)
    assert lines(directory) == before


def test_one_string_is_not_a_list_of_paths(journal: Journal) -> None:
    with pytest.raises(TypeError):
        journal.append("abc")
    with pytest.raises(TypeError):
        journal.append([], deleted="abc")


def test_appending_nothing_adds_nothing(directory: pathlib.Path, journal: Journal) -> None:
    journal.append([])
    assert lines(directory) == [f"# codegraph-journal v1 {STAMP}"]


def test_a_journal_without_a_timestamp_has_no_header(directory: pathlib.Path) -> None:
    journal = Journal(directory)
    with pytest.raises(FileNotFoundError):
        journal.read()
    journal.append(["a"])
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

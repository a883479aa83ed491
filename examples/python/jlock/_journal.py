"""The journal of what has changed: many programs append to it, and one reads it."""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Iterable
from typing import Any, Union

from . import _abi, _values
from ._lock import Lock
from ._model import Snapshot, Source
from ._participant import Write
from ._values import ENCODING, Path
from ._wait import TaskWaiter, ThreadWaiter, run_blocking


class Journal(Lock):
    """A journal and its lock.

        journal = Journal(directory)
        journal.append_stamped(["src/a.py"], deleted=["src/b.py"], timestamp_ms=time.time_ns() // 1_000_000)

    Each call acquires the lock and releases it. Inside `with journal:` the calls work under that one hold. Arguments
    and exceptions are those of `Lock`; timestamps are whole milliseconds since 1970.

    A new journal has never been stamped: `read` raises UnstampedError until `append_stamped`, as above, or
    `write_header`, after a full scan, has stamped it. After that `append` is enough.

    Signals and cancellation end the wait for the lock, and then nothing was written. A call that is already writing
    finishes that; if a signal handler raises at that moment, as Ctrl-C does, the entries may be in the journal even so.

    In a task, await the calls that end in `_async`: the others block the event loop while they wait. Tasks may share
    the object; they then wait for each other.
    """

    def append(self, changed: Iterable[Path] = (), deleted: Iterable[Path] = ()) -> None:
        """Add all these paths or none. Raises EntryError, a ValueError, for one that the format cannot carry."""
        self._commit(_append(changed, deleted))

    async def append_async(self, changed: Iterable[Path] = (), deleted: Iterable[Path] = ()) -> None:
        """`append` for asyncio."""
        await self._commit_async(_append(changed, deleted), slow=self._sync)

    def append_stamped(
        self, changed: Iterable[Path] = (), deleted: Iterable[Path] = (), *, timestamp_ms: int
    ) -> None:
        """`append`, and set the header's timestamp."""
        self._commit(_append_stamped(changed, deleted, timestamp_ms))

    async def append_stamped_async(
        self, changed: Iterable[Path] = (), deleted: Iterable[Path] = (), *, timestamp_ms: int
    ) -> None:
        """`append_stamped` for asyncio."""
        await self._commit_async(_append_stamped(changed, deleted, timestamp_ms), slow=self._sync)

    def write_header(self, timestamp_ms: int) -> None:
        """Begin a new journal with nothing but a header. Entries that nobody has read are lost: see `checkpoint`."""
        self._commit(_call(_abi.lib.jlock_write_header, _values.timestamp(timestamp_ms)))

    async def write_header_async(self, timestamp_ms: int) -> None:
        """`write_header` for asyncio."""
        await self._commit_async(_call(_abi.lib.jlock_write_header, _values.timestamp(timestamp_ms)), slow=self._sync)

    def read(self) -> Snapshot:
        """The journal as it is now, without acquiring the lock.

        Raises FileNotFoundError if there is none, UnstampedError if it has never been stamped, and HeaderError if its
        first line is not a header.
        """
        pointer = ctypes.c_void_p()
        self._handle.call(_abi.lib.jlock_read, ctypes.byref(pointer))
        return Snapshot.of(Source(pointer))

    async def read_async(self) -> Snapshot:
        """`read` for asyncio. Reading a large journal takes time, so a thread of the loop's executor does it."""
        return await asyncio.get_running_loop().run_in_executor(None, self.read)

    def checkpoint(self, snapshot: Snapshot, timestamp_ms: int) -> bool:
        """Drop what `snapshot` holds, now that it has been processed, and keep what was appended after it.

        Returns False if somebody had replaced the journal in between, and all entries were kept. They will be seen
        again, and nothing is lost.
        """
        return bool(self._commit(_checkpoint(snapshot, timestamp_ms)))

    async def checkpoint_async(self, snapshot: Snapshot, timestamp_ms: int) -> bool:
        """`checkpoint` for asyncio. Once the lock is held, a thread of the loop's executor rewrites the journal."""
        return bool(await self._commit_async(_checkpoint(snapshot, timestamp_ms), slow=True))

    def _commit(self, write: Write) -> int:
        return run_blocking(self._participant.commit(ThreadWaiter(), self._timeout, write, slow=False))

    async def _commit_async(self, write: Write, slow: bool) -> int:
        return await self._participant.commit(TaskWaiter(), self._timeout, write, slow)


def _call(function: Any, *arguments: Any) -> Write:
    def write(pointer: ctypes.c_void_p) -> int:
        rc: int = function(pointer, *arguments)
        return rc

    return write


def _append(changed: Iterable[Path], deleted: Iterable[Path]) -> Write:
    return _call(_abi.lib.jlock_append, *_entries(changed, deleted))


def _append_stamped(changed: Iterable[Path], deleted: Iterable[Path], timestamp_ms: int) -> Write:
    return _call(_abi.lib.jlock_append_stamped, *_entries(changed, deleted), _values.timestamp(timestamp_ms))


def _checkpoint(snapshot: Snapshot, timestamp_ms: int) -> Write:
    source = snapshot.source
    if source is None:
        raise ValueError("checkpoint needs the snapshot that read() returned, not a copy of it")
    now = _values.timestamp(timestamp_ms)

    def write(pointer: ctypes.c_void_p) -> int:
        rc: int = _abi.lib.jlock_checkpoint(pointer, source.pointer, now)  # the source lives as long as this closure
        return rc

    return write


def _entries(changed: Iterable[Path], deleted: Iterable[Path]) -> tuple[ctypes.Array[_abi.jlock_entry], int]:
    paths = [(path, _abi.JLOCK_CHANGED) for path in _each(changed)]
    paths += [(path, _abi.JLOCK_DELETED) for path in _each(deleted)]
    array = (_abi.jlock_entry * len(paths))()
    for entry, (path, kind) in zip(array, paths):
        entry.path = path
        entry.path_len = len(path)
        entry.kind = kind
    return array, len(paths)


def _each(paths: Iterable[Path]) -> list[bytes]:
    if isinstance(paths, (str, bytes, os.PathLike)):  # each character of a string would be taken for a path
        raise TypeError("expected a list of paths, not a single one")
    return [_bytes(os.fspath(path)) for path in paths]


def _bytes(path: Union[str, bytes]) -> bytes:
    return path if isinstance(path, bytes) else path.encode(*ENCODING)

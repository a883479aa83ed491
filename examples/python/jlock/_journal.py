"""The journal: what has changed, appended by many programs and read by one."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from typing import Any, Union

from . import _abi
from ._lock import Lock
from ._model import ENCODING, Snapshot, Source

Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


class Journal(Lock):
    """A journal and its lock.

        journal = Journal(directory)
        journal.append(["src/a.py"], deleted=["src/b.py"])

    Each call takes the lock and lets it go. Inside `with journal:` the calls work under that one hold. Arguments
    and exceptions are those of `Lock`; timestamps are whole milliseconds since 1970.

    A call that writes and is interrupted by a signal handler that raises, as Ctrl-C does, may have written.
    """

    def append(self, changed: Iterable[Path] = (), deleted: Iterable[Path] = ()) -> None:
        """Add all these paths or none. Raises EntryError, a ValueError, for one that the format cannot carry."""
        self._write(_abi.lib.jlock_append, *_entries(changed, deleted))

    def append_stamped(
        self, changed: Iterable[Path] = (), deleted: Iterable[Path] = (), *, timestamp_ms: int
    ) -> None:
        """`append`, and set the header's timestamp."""
        self._write(_abi.lib.jlock_append_stamped, *_entries(changed, deleted), timestamp_ms)

    def write_header(self, timestamp_ms: int) -> None:
        """Begin a new journal, which holds only its header. Entries that nobody has read are lost: see `checkpoint`."""
        self._write(_abi.lib.jlock_write_header, timestamp_ms)

    def read(self) -> Snapshot:
        """The journal as it is now, without taking the lock.

        Raises FileNotFoundError when there is none, HeaderError when its first line is no header, or says 0.
        """
        pointer = ctypes.c_void_p()
        self._handle.call(_abi.lib.jlock_read, ctypes.byref(pointer))
        return Snapshot.of(Source(pointer))

    def checkpoint(self, snapshot: Snapshot, timestamp_ms: int) -> None:
        """Drop what `snapshot` holds, now that it is processed, and keep what was appended after it."""
        if snapshot.source is None:
            raise ValueError("checkpoint needs the snapshot that read() returned, not a copy of it")
        self._write(_abi.lib.jlock_checkpoint, snapshot.source.pointer, timestamp_ms)

    def _write(self, function: Any, *arguments: Any) -> None:
        # Safe to repeat after a time-out: the library waits before it writes.
        self._handle.wait(lambda _: self._handle.call(function, *arguments), self._timeout)


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
    if isinstance(paths, (str, bytes)):  # whose characters would be taken for paths
        raise TypeError("expected a list of paths, not a single one")
    return [_bytes(os.fspath(path)) for path in paths]


def _bytes(path: Union[str, bytes]) -> bytes:
    return path if isinstance(path, bytes) else path.encode(*ENCODING)

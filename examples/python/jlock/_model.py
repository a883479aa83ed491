"""What the library tells, as values."""

from __future__ import annotations

import ctypes
import dataclasses
import enum
import weakref
from typing import Any, Optional

from . import _abi, _errors


class State(enum.IntEnum):
    """How the lock stands."""

    FREE = _abi.JLOCK_FREE
    HELD = _abi.JLOCK_HELD
    """By a live peer."""
    MINE = _abi.JLOCK_MINE
    """By this object."""
    ABANDONED = _abi.JLOCK_ABANDONED
    """By a dead one: the next acquire takes it over."""


class Peer(enum.IntEnum):
    """What kind of program holds the lock."""

    NONE = _abi.JLOCK_PEER_NONE
    LIBRARY = _abi.JLOCK_PEER_LIBRARY
    """One that uses this library, from whatever language."""
    SHIPPED = _abi.JLOCK_PEER_SHIPPED
    """One that has the protocol built in, as codegraph has."""
    UNKNOWN = _abi.JLOCK_PEER_UNKNOWN


class Fallback(enum.IntFlag):
    """What the file system lacks; nothing: the full protocol."""

    WITHOUT_LINK = _abi.JLOCK_WITHOUT_LINK
    WITHOUT_FLOCK = _abi.JLOCK_WITHOUT_FLOCK
    """A holder's death is judged by its PID and the age of the lock."""


@dataclasses.dataclass(frozen=True)
class Holder:
    """Who has the lock, as `Lock.inspect` found it."""

    state: State
    peer: Peer
    pid: Optional[int]
    """None when it is not known."""
    age: float
    """Seconds since the lock's last sign of life."""
    nonce: str
    host: str
    fallback: Fallback
    """What this `Lock` does without here, as far as it has acquired yet."""


class Source:
    """The library's own snapshot, which `Journal.checkpoint` needs: freed with the last value read from it."""

    def __init__(self, pointer: ctypes.c_void_p) -> None:
        self.pointer = pointer
        weakref.finalize(self, _abi.lib.jlock_snapshot_free, pointer)

    def paths(self, kind: int) -> tuple[str, ...]:
        return tuple(self._path(kind, index) for index in range(_abi.lib.jlock_snapshot_count(self.pointer, kind)))

    def _path(self, kind: int, index: int) -> str:
        entry = _abi.jlock_entry()
        rc: int = _abi.lib.jlock_snapshot_entry(self.pointer, kind, index, ctypes.byref(entry))
        if rc < 0:
            raise _errors.from_answer(rc)
        # Not entry.path, which ctypes would end at the first NUL.
        address = ctypes.c_void_p.from_buffer(entry, _abi.jlock_entry.path.offset).value
        return ctypes.string_at(address or 0, entry.path_len).decode(*ENCODING)


class _Sourced:
    """Beside the dataclass, so that the source is no field of it: not compared, shown, copied or pickled."""

    source: Optional[Source] = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "source"}


@dataclasses.dataclass(frozen=True)
class Snapshot(_Sourced):
    """A journal as it was read: each path once, in the order of first appearance."""

    timestamp: float
    """The header's, in milliseconds since 1970."""
    changed: tuple[str, ...]
    deleted: tuple[str, ...]

    @classmethod
    def of(cls, source: Source) -> Snapshot:
        """Copy the library's snapshot and keep it alive beside the copy."""
        snapshot = cls(
            _abi.lib.jlock_snapshot_timestamp(source.pointer),
            source.paths(_abi.JLOCK_CHANGED),
            source.paths(_abi.JLOCK_DELETED),
        )
        object.__setattr__(snapshot, "source", source)
        return snapshot


# Paths are bytes; those that are not UTF-8 come back as they went, as in the os module.
ENCODING = ("utf-8", "surrogateescape")

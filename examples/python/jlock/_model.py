"""What the library reports, as values."""

from __future__ import annotations

import ctypes
import dataclasses
import enum
from typing import Any, Optional

from . import _abi, _errors
from ._values import ENCODING


class State(enum.IntEnum):
    """Whether the lock is held."""

    FREE = _abi.JLOCK_FREE
    HELD = _abi.JLOCK_HELD
    """By a live peer."""
    MINE = _abi.JLOCK_MINE
    """By this object."""
    ABANDONED = _abi.JLOCK_ABANDONED
    """By a dead peer: the next acquire takes it over."""


class Peer(enum.IntEnum):
    """What kind of program holds the lock."""

    NONE = _abi.JLOCK_PEER_NONE
    LIBRARY = _abi.JLOCK_PEER_LIBRARY
    """One that uses this library, in any language."""
    SHIPPED = _abi.JLOCK_PEER_SHIPPED
    """One that has the protocol built in, as codegraph does."""
    UNKNOWN = _abi.JLOCK_PEER_UNKNOWN


class Fallback(enum.IntFlag):
    """What the file system lacks; 0 if nothing: this is the full protocol."""

    WITHOUT_LINK = _abi.JLOCK_WITHOUT_LINK
    """Hard links."""
    WITHOUT_FLOCK = _abi.JLOCK_WITHOUT_FLOCK
    """A flock that excludes: a holder's death is judged by its PID and the age of the lock."""
    WITHOUT_LEASE = _abi.JLOCK_WITHOUT_LEASE
    """Leases, which show that a shipped peer still has its lock open."""
    WITHOUT_INOTIFY = _abi.JLOCK_WITHOUT_INOTIFY
    """inotify: a wait looks again every `retry` seconds."""
    WITHOUT_NOREPLACE = _abi.JLOCK_WITHOUT_NOREPLACE
    """A rename that leaves an existing file alone."""


class Promise(enum.IntFlag):
    """What a directory can promise."""

    PROCESSES_OF_MOUNT = _abi.JLOCK_PLACE_PROCESSES_OF_MOUNT
    """Processes that reach the directory through the same mount exclude each other."""
    PROCESSES_OF_MACHINE = _abi.JLOCK_PLACE_PROCESSES_OF_MACHINE
    """So do all processes of this machine, through whatever mount."""
    OTHER_MACHINES = _abi.JLOCK_PLACE_OTHER_MACHINES
    """So do processes of other machines that share the file system."""
    TAKEOVER = _abi.JLOCK_PLACE_TAKEOVER
    """The lock of a dead library peer is taken over at once."""
    DURABLE = _abi.JLOCK_PLACE_DURABLE
    """With `sync`, what was acknowledged survives a power cut."""
    ORDER = _abi.JLOCK_PLACE_ORDER
    """Waiters are served in the order in which they came."""


@dataclasses.dataclass(frozen=True)
class Place:
    """What `probe` found out about a directory."""

    promises: Promise
    missing: Fallback
    file_system: str
    """Its name, such as "ext4"; its magic number in hexadecimal if the library has no name for it."""
    reason: str
    """Why something is not promised; empty if everything is."""


@dataclasses.dataclass(frozen=True)
class Holder:
    """The lock's holder, as `Lock.inspect` found it."""

    state: State
    peer: Peer
    pid: Optional[int]
    """None if it is not known."""
    age: float
    """Seconds since the lock's last sign of life."""
    held: Optional[float]
    """Seconds since the holder acquired the lock; None if that is not known, or if nobody holds it."""
    nonce: str
    host: str
    fallback: Fallback
    """What this `Lock` does without here, as far as it has found out by acquiring."""


class Source:
    """The library's own snapshot, which `Journal.checkpoint` needs: freed with the last value read from it."""

    def __init__(self, pointer: ctypes.c_void_p) -> None:
        self.pointer = pointer

    # Not weakref.finalize: at the interpreter's end it would free what a daemon thread may still be reading.
    def __del__(self, free: Any = _abi.lib.jlock_snapshot_free) -> None:
        free(self.pointer)

    def paths(self, kind: int) -> tuple[str, ...]:
        return tuple(self._path(kind, index) for index in range(_abi.lib.jlock_snapshot_count(self.pointer, kind)))

    def _path(self, kind: int, index: int) -> str:
        entry = _abi.jlock_entry()
        rc: int = _abi.lib.jlock_snapshot_entry(self.pointer, kind, index, ctypes.byref(entry))
        if rc < 0:
            raise _errors.from_code(rc)
        # Not entry.path, which ctypes would end at the first NUL.
        address = ctypes.c_void_p.from_buffer(entry, _abi.jlock_entry.path.offset).value
        return ctypes.string_at(address or 0, entry.path_len).decode(*ENCODING)


class _Sourced:
    """A base of the dataclass, so that the source is not one of its fields: not compared, shown, copied or pickled."""

    source: Optional[Source] = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "source"}


@dataclasses.dataclass(frozen=True)
class Snapshot(_Sourced):
    """A journal as it was read: each path once, in the order of first appearance."""

    timestamp: float
    """The header's timestamp, in milliseconds since 1970."""
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

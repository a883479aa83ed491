"""One lockfile, one stamp, one journal: the append-only journal lock, safe beside @optave/codegraph.

>>> import time
>>> from jlock import Journal, Lock
>>> journal = Journal(directory)
>>> journal.append_stamped(["src/a.py"], timestamp_ms=time.time_ns() // 1_000_000)
>>> with Lock(directory):
...     print("no other program writes now")
"""

from ._abi import lib as _lib
from ._errors import (
    AcquireTimeoutError,
    EntryError,
    Error,
    ForkedError,
    HeaderError,
    LockLostError,
    NotHeldError,
    NotLockError,
    PanicError,
    UnstampedError,
    WaitCancelledError,
)
from ._journal import Journal
from ._lock import Lock, probe
from ._model import Fallback, Holder, Peer, Place, Promise, Snapshot, State

__all__ = [
    "AcquireTimeoutError",
    "EntryError",
    "Error",
    "Fallback",
    "ForkedError",
    "HeaderError",
    "Holder",
    "Journal",
    "Lock",
    "LockLostError",
    "NotHeldError",
    "NotLockError",
    "PanicError",
    "Peer",
    "Place",
    "Promise",
    "Snapshot",
    "State",
    "UnstampedError",
    "WaitCancelledError",
    "library_version",
    "probe",
]


def library_version() -> str:
    """The version of the loaded library."""
    version: bytes = _lib.jlock_version_string()
    return version.decode()

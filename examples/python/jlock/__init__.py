"""One lockfile, one stamp, one journal: the append-only journal lock, safe beside @optave/codegraph.

>>> from jlock import Journal, Lock
>>> journal = Journal(directory)
>>> journal.append(["src/a.py"])
>>> with Lock(directory):
...     print("nobody else writes now")
"""

from ._abi import lib as _lib
from ._errors import (
    AcquireTimeoutError,
    CanceledError,
    EntryError,
    Error,
    ForkedError,
    HeaderError,
    LockLostError,
    NotHeldError,
    NotLockError,
    PanicError,
)
from ._journal import Journal
from ._lock import Lock
from ._model import Fallback, Holder, Peer, Snapshot, State

__all__ = [
    "AcquireTimeoutError",
    "CanceledError",
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
    "Snapshot",
    "State",
    "library_version",
]


def library_version() -> str:
    """The version of the library that was loaded."""
    version: bytes = _lib.jlock_version_string()
    return version.decode()

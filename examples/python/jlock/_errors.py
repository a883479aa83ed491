"""The library's return codes as exceptions.

A system call's error is the same as everywhere in Python: FileNotFoundError, PermissionError, or another OSError. The
library's own states derive from `Error`, which is also an OSError; their number is in `errno`.
"""

from __future__ import annotations

import errno
from typing import Optional

from . import _abi


class Error(OSError):
    """A state of the lock or of the journal; `errno` is its number, `strerror` the library's full message."""

    def __str__(self) -> str:
        return self.strerror or super().__str__()


class AcquireTimeoutError(Error, TimeoutError):
    """The lock was not acquired in time; the message names the holder."""


class WaitCancelledError(Error):
    """`cancel()` or `close()` ended the wait. (A task that is cancelled gets asyncio's CancelledError, as always.)"""


class LockLostError(Error):
    """The lock was taken away from this holder; nothing that belongs to the new holder was overwritten or removed."""


class NotHeldError(Error):
    """Release or refresh while the lock is not held."""


class ForkedError(Error):
    """The object was inherited through fork; only `close()` works on it. Open another one in the child."""


class HeaderError(Error):
    """The journal's header is missing or malformed."""


class UnstampedError(Error):
    """The journal has never been stamped: `append_stamped()` or, after a full scan, `write_header()` stamps it."""


class EntryError(Error, ValueError):
    """An entry that the format cannot carry; nothing was written."""


class NotLockError(Error):
    """Something other than a regular file is at the lock's (or the journal's) path."""


class PanicError(Error):
    """A bug in the library, contained; only `close()` works from here on."""


_CLASSES: dict[int, type[Error]] = {
    -errno.ETIMEDOUT: AcquireTimeoutError,
    -errno.ECANCELED: WaitCancelledError,
    _abi.JLOCK_ELOST: LockLostError,
    _abi.JLOCK_ENOTHELD: NotHeldError,
    _abi.JLOCK_EFORKED: ForkedError,
    _abi.JLOCK_EHEADER: HeaderError,
    _abi.JLOCK_EUNSTAMPED: UnstampedError,
    _abi.JLOCK_EENTRY: EntryError,
    _abi.JLOCK_ENOTLOCK: NotLockError,
    _abi.JLOCK_EPANIC: PanicError,
}


def strerror(rc: int) -> str:
    """The library's text for a return code."""
    text: bytes = _abi.lib.jlock_strerror(rc)
    return text.decode()


def from_code(rc: int, message: str = "", filename: Optional[str] = None) -> OSError:
    """The exception for a negative return code. OSError itself chooses FileNotFoundError and the like by errno."""
    text = message or strerror(rc)
    if rc in _CLASSES:
        return _CLASSES[rc](-rc, text if filename is None else f"{filename}: {text}")
    return OSError(-rc, text) if filename is None else OSError(-rc, text, filename)

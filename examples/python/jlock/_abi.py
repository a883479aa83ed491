"""include/jlock.h in ctypes: its structs, constants and prototypes under the same names, and no logic."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import pathlib
from ctypes import POINTER, c_char, c_char_p, c_double, c_int, c_int32, c_int64, c_size_t, c_uint32, c_void_p

SONAME = "libjlock.so.0"

JLOCK_NO_CREATE = 1
JLOCK_SYNC = 2
JLOCK_KEEPALIVE = 4

JLOCK_ELOST = -4097
JLOCK_ENOTHELD = -4098
JLOCK_EFORKED = -4099
JLOCK_EHEADER = -4100
JLOCK_EENTRY = -4101
JLOCK_ENOTLOCK = -4102
JLOCK_EPANIC = -4103
JLOCK_EUNSTAMPED = -4104

JLOCK_FREE = 0
JLOCK_HELD = 1
JLOCK_MINE = 2
JLOCK_ABANDONED = 3

JLOCK_PEER_NONE = 0
JLOCK_PEER_LIBRARY = 1
JLOCK_PEER_SHIPPED = 2
JLOCK_PEER_UNKNOWN = 3

JLOCK_WITHOUT_LINK = 1
JLOCK_WITHOUT_FLOCK = 2
JLOCK_WITHOUT_LEASE = 4
JLOCK_WITHOUT_INOTIFY = 8
JLOCK_WITHOUT_NOREPLACE = 16

JLOCK_PLACE_PROCESSES_OF_MOUNT = 1
JLOCK_PLACE_PROCESSES_OF_MACHINE = 2
JLOCK_PLACE_OTHER_MACHINES = 4
JLOCK_PLACE_TAKEOVER = 8
JLOCK_PLACE_DURABLE = 16
JLOCK_PLACE_ORDER = 32

JLOCK_CHANGED = 0
JLOCK_DELETED = 1


class jlock_options(ctypes.Structure):
    _fields_ = [
        ("flags", c_uint32),
        ("timeout_ms", c_int32),
        ("retry_ms", c_uint32),
        ("stale_ms", c_uint32),
        ("settle_ms", c_uint32),
    ]


class jlock_place(ctypes.Structure):
    _fields_ = [
        ("promises", c_uint32),
        ("missing", c_uint32),
        ("file_system", c_char * 32),
        ("reason", c_char * 256),
    ]


class jlock_holder(ctypes.Structure):
    _fields_ = [
        ("state", c_int32),
        ("peer", c_int32),
        ("pid", c_int32),
        ("age_ms", c_int64),
        ("nonce", c_char * 64),
        ("host", c_char * 64),
        ("held_ms", c_int64),
        ("fallback", c_uint32),
        ("reserved", c_uint32),
    ]


class jlock_entry(ctypes.Structure):
    _fields_ = [
        ("path", c_char_p),
        ("path_len", c_size_t),
        ("kind", c_uint32),
        ("reserved", c_uint32),
    ]


# struct jlock * and struct jlock_snapshot * are opaque, so they are plain addresses here.
_PROTOTYPES = {
    "jlock_options_init": (None, [POINTER(jlock_options), c_size_t]),
    "jlock_open": (c_int, [c_char_p, POINTER(jlock_options), c_size_t, POINTER(c_void_p)]),
    "jlock_open_at": (c_int, [c_int, c_char_p, POINTER(jlock_options), c_size_t, POINTER(c_void_p)]),
    "jlock_close": (c_int, [c_void_p]),
    "jlock_probe": (c_int, [c_char_p, POINTER(jlock_place), c_size_t]),
    "jlock_acquire": (c_int, [c_void_p]),
    "jlock_acquire_for": (c_int, [c_void_p, c_int32]),
    "jlock_try_acquire": (c_int, [c_void_p]),
    "jlock_acquire_start": (c_int, [c_void_p, c_int32]),
    "jlock_acquire_poll": (c_int, [c_void_p]),
    "jlock_release": (c_int, [c_void_p]),
    "jlock_refresh": (c_int, [c_void_p]),
    "jlock_recovered": (c_int, [c_void_p]),
    "jlock_cancel": (c_int, [c_void_p]),
    "jlock_wait_fd": (c_int, [c_void_p]),
    "jlock_inspect": (c_int, [c_void_p, POINTER(jlock_holder), c_size_t]),
    "jlock_append": (c_int, [c_void_p, POINTER(jlock_entry), c_size_t]),
    "jlock_append_stamped": (c_int, [c_void_p, POINTER(jlock_entry), c_size_t, c_int64]),
    "jlock_write_header": (c_int, [c_void_p, c_int64]),
    "jlock_checkpoint": (c_int, [c_void_p, c_void_p, c_int64]),
    "jlock_read": (c_int, [c_void_p, POINTER(c_void_p)]),
    "jlock_snapshot_timestamp": (c_double, [c_void_p]),
    "jlock_snapshot_count": (c_size_t, [c_void_p, c_uint32]),
    "jlock_snapshot_entry": (c_int, [c_void_p, c_uint32, c_size_t, POINTER(jlock_entry)]),
    "jlock_snapshot_free": (None, [c_void_p]),
    "jlock_strerror": (c_char_p, [c_int]),
    "jlock_message": (c_int, [c_void_p, POINTER(c_char), c_size_t]),
    "jlock_version": (c_uint32, []),
    "jlock_version_string": (c_char_p, []),
}


def _path() -> str:
    """Where the library is: where JLOCK_LIBRARY says, in the package, in the checkout, or on the system."""
    named = os.environ.get("JLOCK_LIBRARY")
    if named:
        return named
    package = pathlib.Path(__file__).resolve().parent
    if (package / SONAME).is_file():
        return str(package / SONAME)
    target = package.parents[2] / "target"
    built = [path for path in (target / "release" / "libjlock.so", target / "dist" / SONAME) if path.is_file()]
    if built:
        return str(max(built, key=lambda path: path.stat().st_mtime))
    return ctypes.util.find_library("jlock") or SONAME


def _load() -> ctypes.CDLL:
    # CDLL releases the GIL during each call, so other threads run while one waits for the disk.
    library = ctypes.CDLL(_path())
    for name, (result, arguments) in _PROTOTYPES.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


lib = _load()

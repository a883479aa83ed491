"""The journal's lines: how they are written and read (PROTOCOL.md, *The journal*)."""

import os
import re
from typing import NamedTuple

MAGIC, DELETED = b"# codegraph-journal v1 ", b"DELETED "
SPACE = "\t\n\v\f\r \xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000\ufeff"
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+", re.ASCII)


class Malformed(ValueError):
    """An invalid header, or an entry that would not read back as it was written."""


def text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def line(path: bytes, deleted: bool = False) -> bytes:
    trimmed, removed = text(path).strip(SPACE), path.startswith(DELETED)
    if not path or trimmed != text(path) or path.startswith(b"#") or set(path) & set(b"\n\r\0") or removed > deleted:
        raise Malformed(f"{path!r} would not read back as it was written")
    return (DELETED if deleted else b"") + path + b"\n"


def sound(content: bytes) -> bytes:
    """The content without the NULs that a power cut leaves at the end, and without the line that they cut off."""
    if not content.endswith(b"\0"):
        return content
    content = content.rstrip(b"\0")
    return content[: content.rfind(b"\n") + 1]


class Journal(NamedTuple):
    timestamp: float
    changed: list[bytes]
    deleted: list[bytes]


def read_header(fd: int) -> bytes:
    before, now = MAGIC, b""
    while before != now:
        before, now = now, os.pread(fd, 4096, 0).partition(b"\n")[0]
    return now


def number(literal: str) -> float:
    """The number; 0 if it is not a finite number."""
    if not NUMBER.fullmatch(literal):
        return 0
    try:
        value = float(int(literal, 0)) if literal[:2].lower() in ("0x", "0o", "0b") else float(literal)
    except OverflowError:
        return 0
    return value if value < float("inf") else 0


def read(fd: int) -> Journal:
    header = read_header(fd)
    timestamp = number(text(header[len(MAGIC) :]).strip(SPACE))
    if not header.startswith(MAGIC) or timestamp <= 0:
        raise Malformed(f"no header: {header!r}")
    content = sound(os.pread(fd, 2**31 - 1, len(header)))
    if b"\0" in content:
        raise Malformed("damaged: it contains a NUL")
    below = content.split(b"\n")[1:]
    trimmed = (text(entry).strip(SPACE).encode("utf-8", "surrogateescape") for entry in below)
    entries = dict.fromkeys(entry for entry in trimmed if entry and not entry.startswith(b"#"))
    changed = [entry for entry in entries if not entry.startswith(DELETED)]
    return Journal(timestamp, changed, [entry[len(DELETED) :] for entry in entries if entry.startswith(DELETED)])

"""Arguments as C needs them. ctypes would truncate a number that is too large and accept a bool; this refuses both."""

from __future__ import annotations

import math
import operator
import os
from typing import Any, Union

Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]

# Paths are bytes. Those that are not UTF-8 come back as they went in, as in the os module.
ENCODING = ("utf-8", "surrogateescape")

INT32_MAX = 2**31 - 1
UINT32_MAX = 2**32 - 1
INT64_MAX = 2**63 - 1


def timestamp(value: Any) -> int:
    """Whole milliseconds since 1970."""
    if isinstance(value, bool) or not hasattr(type(value), "__index__"):
        raise TypeError(f"timestamp_ms: expected an int, milliseconds since 1970, not {type(value).__name__}")
    number = operator.index(value)
    if not 0 <= number <= INT64_MAX:
        raise ValueError(f"timestamp_ms: {number} is not between 0 and 2**63 - 1")
    return number


def seconds(value: Any, name: str) -> float:
    if isinstance(value, bool) or not (hasattr(type(value), "__float__") or hasattr(type(value), "__index__")):
        raise TypeError(f"{name}: expected a number of seconds, not {type(value).__name__}")
    number = float(value)
    if math.isnan(number):
        raise ValueError(f"{name}: not a number of seconds")
    return number


def limit(value: Any) -> float:
    """A timeout; a negative one means forever."""
    number = seconds(value, "timeout")
    return math.inf if number < 0 else number


def milliseconds(value: Any, name: str) -> int:
    """An option's value, rounded up so that a short time does not become none."""
    number = seconds(value, name) * 1000
    if not 0 <= number <= UINT32_MAX:
        raise ValueError(f"{name}: {value} is not between 0 and {UINT32_MAX // 1000} seconds")
    return math.ceil(number)


def descriptor(value: int) -> int:
    if isinstance(value, bool):
        raise TypeError("expected a directory's path or descriptor, not bool")
    if not 0 <= value <= INT32_MAX:  # AT_FDCWD, which is negative, would be the working directory
        raise ValueError(f"{value} is not a descriptor")
    return value


def name(path: Union[Path, Any]) -> str:
    """A path as text."""
    text = os.fsdecode(path)
    if not text:  # os.path.abspath would take it for the working directory
        raise ValueError("empty path")
    if "\0" in text:  # C would use only what comes before it
        raise ValueError("embedded null byte")
    return text

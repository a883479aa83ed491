"""What _abi.py says is what include/jlock.h says."""

from __future__ import annotations

import ctypes
import os
import pathlib
import re
import subprocess

import jlock
from jlock import _abi, _lock

from .conftest import ROOT

STRUCTS = (_abi.jlock_options, _abi.jlock_place, _abi.jlock_holder, _abi.jlock_entry)
HEADER = ROOT / "include" / "jlock.h"


def numbers_of_c(tmp_path: pathlib.Path, expressions: list[str]) -> list[int]:
    """What the C compiler makes of these expressions."""
    source = tmp_path / "numbers.c"
    prints = "".join(f'  printf("%lld\\n", (long long)({expression}));\n' for expression in expressions)
    head = "#include <stddef.h>\n#include <stdio.h>\n#include <jlock.h>\n"
    source.write_text(f"{head}int main(void) {{\n{prints}  return 0;\n}}\n")
    program = tmp_path / "numbers"
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, f"-I{HEADER.parent}", "-o", str(program), str(source)], check=True)
    printed = subprocess.run([str(program)], stdout=subprocess.PIPE, text=True, check=True).stdout
    return [int(line) for line in printed.split()]


def test_structs_have_the_headers_sizes_and_offsets(tmp_path: pathlib.Path) -> None:
    expected: dict[str, int] = {}
    for struct in STRUCTS:
        name = struct.__name__
        expected[f"sizeof(struct {name})"] = ctypes.sizeof(struct)
        for field, *_ in struct._fields_:
            expected[f"offsetof(struct {name}, {field})"] = getattr(struct, field).offset
            expected[f"sizeof(((struct {name} *)0)->{field})"] = getattr(struct, field).size
    assert numbers_of_c(tmp_path, list(expected)) == list(expected.values())


def test_constants_have_the_headers_values(tmp_path: pathlib.Path) -> None:
    names = [name for name in vars(_abi) if name.startswith("JLOCK_")]
    assert numbers_of_c(tmp_path, names) == [getattr(_abi, name) for name in names]


def test_no_function_or_constant_of_the_header_is_missing() -> None:
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", HEADER.read_text(), flags=re.DOTALL)
    functions = set(re.findall(r"\b(jlock_\w+)\s*\(", code))
    assert functions == set(_abi._PROTOTYPES)
    constants = set(re.findall(r"#define (JLOCK_\w+)[ \t]+\S", code))
    assert constants == {name for name in vars(_abi) if name.startswith("JLOCK_")}


def test_the_defaults_are_the_librarys() -> None:
    options = _abi.jlock_options()
    _abi.lib.jlock_options_init(ctypes.byref(options), ctypes.sizeof(options))
    defaults = _lock.Lock.__init__.__kwdefaults__
    assert defaults is not None
    assert (options.timeout_ms, options.retry_ms, options.stale_ms, options.settle_ms) == tuple(
        round(defaults[name] * 1000) for name in ("timeout", "retry", "stale", "settle")
    )


def test_the_version_is_readable() -> None:
    number = _abi.lib.jlock_version()
    assert jlock.library_version() == f"{number >> 16}.{number >> 8 & 255}.{number & 255}"

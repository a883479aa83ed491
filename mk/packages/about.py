#!/usr/bin/env python3
"""What is inside the library: a bill of materials (CycloneDX), and the licences of the parts.

    about.py                writes target/packages/about/: jlock.cdx.json, THIRD-PARTY.txt
    about.py --installed    the same for the library that `make install` installs, whatever other platforms there are

Every platform's library has the same crates: those that cargo names for x86-64 with glibc, and Rust's own library. The
libraries for musl also have LLVM's unwinder, as zig brings it. Which Rust it was, each archive says: `make cross` may use
another than `make platform`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from common import ARCHIVE, OUT, ROOT, built, version

TARGET = "x86_64-unknown-linux-gnu"
OURS = {"jlock", "jlock-capi"}

# Rust's own library has a choice of two licences, as does each crate here. We use them under MIT.
RUST = "MIT OR Apache-2.0"
NEED = "MIT"
UNWINDER = "Apache-2.0 WITH LLVM-exception"

def said(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def linked() -> list[dict[str, Any]]:
    """Cargo's metadata for the crates that the library is made of, without ours."""
    metadata = json.loads(said("cargo", "metadata", "--format-version=1", "--locked", f"--filter-platform={TARGET}"))
    tree = ["cargo", "tree", "--locked", "--package=jlock-capi", "--features=installed", "--edges=normal,no-proc-macro"]
    names = set(said(*tree, f"--target={TARGET}", "--prefix=none", "--format={p}").splitlines())
    wanted = {tuple(line.replace(" v", " ").split()[:2]) for line in names if line}
    packages = [each for each in metadata["packages"] if (each["name"], each["version"]) in wanted]
    theirs = [each for each in packages if each["name"] not in OURS]
    return sorted(theirs, key=lambda each: (each["name"], each["version"]))


def checksums() -> dict[tuple[str, str], str]:
    """The checksums that Cargo.lock pins."""
    found: dict[tuple[str, str], str] = {}
    fields: dict[str, str] = {}
    for line in (ROOT / "Cargo.lock").read_text().splitlines():
        if line == "[[package]]":
            fields = {}
        key, separator, value = line.partition(" = ")
        if separator:
            fields[key] = value.strip('"')
            if key == "checksum":
                found[fields["name"], fields["version"]] = fields["checksum"]
    return found


def component(crate: dict[str, Any], sums: dict[tuple[str, str], str]) -> dict[str, Any]:
    purl = f"pkg:cargo/{crate['name']}@{crate['version']}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": crate["name"],
        "version": crate["version"],
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": sums[crate["name"], crate["version"]]}],
        "licenses": [{"expression": crate["license"].replace("/", " OR ")}],
    }


def unwinder() -> str:
    """The licence of the unwinder, if it is in any of the libraries."""
    if "--installed" in sys.argv or not any(platform.name.endswith("-musl") for platform in built()):
        return ""
    where = importlib.util.find_spec("ziglang")
    assert where is not None and where.origin is not None
    return (Path(where.origin).parent / "lib" / "libunwind" / "LICENSE.TXT").read_text().strip()


def used_rusts() -> list[str]:
    """The versions of Rust's own library."""
    if "--installed" in sys.argv:
        return [said(os.environ.get("RUSTC", "rustc"), "--version").split()[1]]
    found = set()
    for platform in built():
        named = re.search(rb"rustc version ([0-9.]+)", platform.file(ARCHIVE).read_bytes())
        if named is None:
            raise SystemExit(f"{platform.file(ARCHIVE)} does not say which Rust it was built with")
        found.add(named[1].decode())
    return sorted(found)


def standard_library(rust: str) -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": f"rust-std@{rust}",
        "name": "rust-std",
        "version": rust,
        "description": "Rust's standard library, as its compiler brings it",
        "licenses": [{"expression": RUST}],
    }


def bill(crates: list[dict[str, Any]], rusts: list[str]) -> dict[str, Any]:
    """The bill of materials, without a serial number and a date, which would differ from build to build."""
    sums = checksums()
    parts = [*(component(crate, sums) for crate in crates), *map(standard_library, rusts)]
    if unwinder():
        libunwind = {"bom-ref": "llvm-libunwind", "name": "llvm-libunwind", "description": "in the libraries for musl"}
        parts.append({"type": "library", **libunwind, "licenses": [{"expression": UNWINDER}]})
    ours = {
        "type": "library",
        "bom-ref": f"jlock@{version()}",
        "name": "jlock",
        "version": version(),
        "licenses": [{"expression": "MIT OR Apache-2.0"}],
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": ours},
        "components": parts,
        "dependencies": [{"ref": ours["bom-ref"], "dependsOn": sorted(str(part["bom-ref"]) for part in parts)}],
    }


def licence(crate: dict[str, Any]) -> str:
    if NEED not in crate["license"]:
        raise SystemExit(f"{crate['name']}: {crate['license']}; about.py knows what to do with {NEED}")
    directory = Path(crate["manifest_path"]).parent
    texts = [path.read_text().strip() for name in ("COPYRIGHT", "LICENSE-MIT") if (path := directory / name).is_file()]
    if not (directory / "LICENSE-MIT").is_file():
        raise SystemExit(f"{directory}: no LICENSE-MIT")
    return "\n\n".join(texts)


def third_parties(crates: list[dict[str, Any]], rusts: list[str]) -> str:
    heading = "jlock's library also contains these. Each comes with a choice of licences, of which jlock uses MIT.\n"
    blocks = [f"{each['name']} {each['version']}, {each['license']}\n\n{licence(each)}" for each in crates]
    _, permission, terms = (ROOT / "LICENSE-MIT").read_text().strip().partition("Permission is hereby granted")
    copyright = "Copyright (c) The Rust Project Contributors"
    blocks.append(f"Rust's standard library {' and '.join(rusts)}, {RUST}\n\n{copyright}\n\n{permission}{terms}")
    if unwinder():
        blocks.append(f"LLVM's libunwind, {UNWINDER}; in the libraries for musl\n\n{unwinder()}")
    line = "\n\n" + "-" * 80 + "\n\n"
    return heading + line + line.join(blocks) + "\n"


def main() -> None:
    crates, rusts = linked(), used_rusts()
    about = OUT / "about"
    about.mkdir(parents=True, exist_ok=True)
    (about / "jlock.cdx.json").write_text(json.dumps(bill(crates, rusts), indent=1) + "\n")
    (about / "THIRD-PARTY.txt").write_text(third_parties(crates, rusts))


if __name__ == "__main__":
    main()

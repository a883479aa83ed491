"""parts.py LIST ROOT: the bill of materials is complete, and ROOT has the licences of the same parts."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

document = json.loads(Path(sys.argv[1]).read_text())
assert document["bomFormat"] == "CycloneDX", document["bomFormat"]
parts = {(part["name"], part["version"]) for part in document["components"]}
names = {name for name, _ in parts}
assert {"rust-std", "libc", "rustix", "linux-raw-sys", "bitflags", "rand", "rand_core"} <= names, names
assert all(part["licenses"] for part in document["components"])

licences = list(Path(sys.argv[2]).rglob("THIRD-PARTY.txt*"))
assert licences, "no licences"
for path in licences:
    text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()
    for name, version in parts - {part for part in parts if part[0] == "rust-std"}:
        assert f"{name} {version}, " in text, name

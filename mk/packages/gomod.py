#!/usr/bin/env python3
"""Makes the Go module, as a module proxy serves it, with the archive for each platform for which one has been built.

    gomod.py     writes target/packages/go/, for GOPROXY=file://…
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import zipfile
from pathlib import Path

from common import ALL, ARCHIVE, OUT, ROOT, Platform, version

SOURCE = ROOT / "examples" / "go"
MODULE = re.search(r"^module (\S+)$", (SOURCE / "go.mod").read_text(), re.MULTILINE)
# The files that fill.sh makes in the checkout, and the script itself.
MADE = {ARCHIVE, "jlock.h", "sum.go", "fill.sh"}
MARK = "// Code generated; DO NOT EDIT."
# An undefined name where there is no archive: the compiler prints it.
NO_ARCHIVE = "Make_library_and_fill_sh_put_the_archive_here"


def module() -> str:
    assert MODULE is not None
    return MODULE[1]


def sources() -> dict[str, bytes]:
    """The module as it is committed."""
    found: dict[str, bytes] = {}
    for path in sorted(SOURCE.rglob("*")):
        name = str(path.relative_to(SOURCE))
        made = path.name in MADE and name.startswith("lib/") and name != "lib/none/jlock.h"
        if path.is_file() and not made and not path.name.startswith("."):
            found[name] = path.read_bytes()
    return found


def library(platform: Platform, files: dict[str, bytes]) -> dict[str, bytes]:
    """What a platform's package in the module gets."""
    package = f"lib/{platform.go}"
    text = files[f"{package}/lib.go"].decode()
    if platform.directory is None:
        says = f"this_module_has_no_library_for_{platform.go}_install_it_and_build_with_the_tag_jlock_pkgconfig"
        return {f"{package}/lib.go": text.replace(NO_ARCHIVE, says).encode()}
    archive, header = platform.file(ARCHIVE).read_bytes(), (ROOT / "include" / "jlock.h").read_bytes()
    digest = hashlib.sha256(archive + header).hexdigest()
    heading, _, _ = text.partition("\n\n")
    made = f'{MARK}\n\n{heading}\n\npackage {platform.go}\n\nconst {NO_ARCHIVE} = "{digest}"\n'
    return {f"{package}/sum.go": made.encode(), f"{package}/{ARCHIVE}": archive, f"{package}/jlock.h": header}


def packed(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(f"{module()}@v{version()}/{name}"), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def main() -> None:
    files = sources()
    for platform in ALL:
        files.update(library(platform, files))
    for path in [*ROOT.glob("LICENSE-*"), *(OUT / "about").iterdir()]:
        files[path.name] = path.read_bytes()
    shutil.rmtree(OUT / "go", ignore_errors=True)
    into = OUT / "go" / module() / "@v"
    into.mkdir(parents=True)
    tag = f"v{version()}"
    info = json.dumps({"Version": tag, "Time": "1980-01-01T00:00:00Z"})
    (into / "list").write_text(f"{tag}\n")
    (into.parent / "@latest").write_text(info)
    (into / f"{tag}.info").write_text(info)
    (into / f"{tag}.mod").write_bytes(files["go.mod"])
    (into / f"{tag}.zip").write_bytes(packed(files))
    print(Path(into).relative_to(ROOT) / f"{tag}.zip")


if __name__ == "__main__":
    main()

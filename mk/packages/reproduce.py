#!/usr/bin/env python3
"""Makes the packages once more, from the same sources in another directory, and compares them byte for byte."""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from common import OUT, PLATFORMS, ROOT

KINDS = ("about", "python", "npm", "go")


def sources() -> list[str]:
    """What git knows; or, in an unpacked tarball, everything that was not built there."""
    if (ROOT / ".git").exists():
        known = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        return known.stdout.splitlines()
    skipped = {"target", "node_modules", "libjlock.a", "sum.go"}
    return [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if not skipped & set(path.parts)]


def made(at: Path) -> list[str]:
    files = [path for kind in KINDS for path in (at / kind).rglob("*") if path.is_file()]
    return sorted(str(path.relative_to(at)) for path in files)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="another-root-") as directory:
        root = Path(directory, "deeper")
        for name in sources():
            if (ROOT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, root / name)
                shutil.copymode(ROOT / name, root / name)
        cross = PLATFORMS[1]
        if cross.is_dir():
            (root / "target").mkdir()
            (root / "target" / cross.name).symlink_to(cross)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        make = ["make", "--silent", f"PYTHON={sys.executable}", "made-packages"]
        subprocess.run(make, cwd=root, env=environment, stdout=subprocess.DEVNULL, check=True, umask=0o077)
        again = root / OUT.relative_to(ROOT)
        names, also = made(OUT), made(again)
        other = [name for name in names if name not in also or not filecmp.cmp(OUT / name, again / name, shallow=False)]
    if names != also or other:
        print(f"made again in another directory, these differ: {', '.join(other) or also}", file=sys.stderr)
        return 1
    print(f"made again in another directory, {len(names)} files are the same, byte for byte")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

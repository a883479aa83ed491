#!/usr/bin/env python3
"""Makes the package for Node, with the library of each platform for which one has been built.

    npm.py     writes target/packages/npm/jlock-VERSION.tgz
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from common import OUT, ROOT, SONAME, built

SOURCE = ROOT / "examples" / "node"
# Keys of package.json that are only for working on the package.
OURS = ("private", "scripts", "devDependencies")


def stage(into: Path) -> None:
    package = json.loads((SOURCE / "package.json").read_text())
    for key in OURS:
        del package[key]
    package["files"] = sorted({*package["files"], "native", "LICENSE-*", "THIRD-PARTY.txt", "jlock.cdx.json"})
    (into / "package.json").write_text(json.dumps(package, indent=2) + "\n")
    for name in ("lib", "types", "cjs", "writer.mjs", "README.md"):
        copy = shutil.copytree if (SOURCE / name).is_dir() else shutil.copyfile
        copy(SOURCE / name, into / name)
    for path in [*ROOT.glob("LICENSE-*"), *(OUT / "about").iterdir()]:
        shutil.copyfile(path, into / path.name)
    for platform in built():
        if platform.node:
            (into / "native" / platform.node).mkdir(parents=True)
            shutil.copyfile(platform.file(SONAME), into / "native" / platform.node / SONAME)
    for path in into.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)  # whatever the umask and the modes in the checkout are


def main() -> None:
    into = OUT / "npm"
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as directory:
        stage(Path(directory))
        command = ["npm", "pack", "--silent", f"--pack-destination={into}", directory]
        name = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    print(into.relative_to(ROOT) / name)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Makes the packages for Python: a wheel for each platform whose library has been built, and the source distribution.

    wheel.py     writes target/packages/python/
"""

from __future__ import annotations

import os
import shutil
import sys

from common import OUT, ROOT, SONAME, built

sys.path.insert(0, str(ROOT / "examples" / "python" / "build_backend"))

import jlock_build  # type: ignore[import-not-found]  # it is in that directory


def main() -> None:
    into = OUT / "python"
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    for platform in built():
        os.environ["JLOCK_LIBRARY"] = str(platform.file(SONAME))
        settings = {"platform": platform.wheel, "about": str(OUT / "about")}
        print(into.relative_to(ROOT) / jlock_build.build_wheel(str(into), settings))
    print(into.relative_to(ROOT) / jlock_build.build_sdist(str(into)))


if __name__ == "__main__":
    main()

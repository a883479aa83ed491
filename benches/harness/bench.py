"""Where a measurement runs: its programs, its directory, its scale."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .scale import Scale

HERE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Bench:
    programs: Path
    directory: Path
    plots: Path
    scale: Scale

    def c(self, name: str, *arguments: object) -> list[str]:
        return [str(self.programs / name), *map(str, arguments)]

    def node(self, name: str, *arguments: object) -> list[str]:
        return ["node", str(HERE / "node" / name), *map(str, arguments)]

    def python(self, name: str, *arguments: object) -> list[str]:
        return [sys.executable, str(HERE / "python" / name), *map(str, arguments)]

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A new directory on the file system that is measured."""
        path = Path(tempfile.mkdtemp(dir=self.directory))
        try:
            yield path
        finally:
            shutil.rmtree(path)

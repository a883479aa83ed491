"""Journals to measure on: distinct lines of 35 bytes."""

from pathlib import Path

NAME = "changes.journal"


def write(directory: Path, entries: int) -> Path:
    path = directory / NAME
    with path.open("w") as file:
        file.write("# codegraph-journal v1 1700000000000\n")
        file.writelines(f"src/module-{n % 1000:06}/component-{n:06}\n" for n in range(entries))
    return path

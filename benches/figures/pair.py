"""Acquire and release, with nobody in the way."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from harness.bench import Bench
from harness.figure import Row, compared
from harness.meter import alternate
from harness.svg import bars

FIGURE = "acquire + release, uncontended"
RAW = "raw C: `open(O_EXCL)`, `write`, `unlink`, `close`"
# A flock is not a lockfile: nothing says who holds it, and no shipped peer sees it.
FLOCKS = {
    "filelock `FileLock` (PyPI; a flock)",
    "gofrs/flock (Go; a flock)",
    "plain `flock`, kept open: does not say who holds it, excludes no lockfile user",
}


def measure(bench: Bench) -> Iterator[Row]:
    with bench.scratch() as at:
        go = str(bench.programs / "pair_go")
        meters = {
            "jlock": bench.c("pair_jlock", at / "jlock"),
            RAW: bench.c("pair_raw", at / "raw.lock"),
            "liblockfile (Debian)": bench.c("pair_liblockfile", at / "liblockfile.lock"),
            "nightlyone/lockfile (Go)": [go, "lockfile", str(at / "go.lock")],
            "filelock `SoftFileLock` (PyPI)": bench.python("pair.py", "SoftFileLock", at / "soft.lock"),
            "proper-lockfile (npm)": bench.node("pair.mjs", at / "proper"),
            "filelock `FileLock` (PyPI; a flock)": bench.python("pair.py", "FileLock", at / "flock.lock"),
            "gofrs/flock (Go; a flock)": [go, "flock", str(at / "goflock.lock")],
            "plain `flock`, kept open: does not say who holds it, excludes no lockfile user": bench.c(
                "pair_flock", at / "plain.lock"
            ),
        }
        samples = alternate(meters, bench.scale)
    ours = samples.pop("jlock")
    for name, theirs in samples.items():
        most = 0.45 if name == RAW else None if name in FLOCKS else 1.0
        yield compared(FIGURE, name, ours, theirs, most)
    costs = {"jlock": median(ours)} | {name.split(":")[0]: median(taken) for name, taken in samples.items()}
    bars(bench.plots / "pair.svg", "Acquire and release, uncontended", costs)

"""The machine: what it is, and whether it is otherwise idle."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from datetime import date
from pathlib import Path

# On a quiet machine, at least this share of all cores' time is idle.
QUIET = 0.95
LOOK_SECONDS = 2.0


def idle_share() -> float:
    """The share of the cores' time that is idle, over some seconds."""

    def look() -> tuple[int, int]:
        times = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return times[3] + times[4], sum(times)  # idle, and waiting for a disk

    idle, all_ = look()
    time.sleep(LOOK_SECONDS)
    idle_after, all_after = look()
    return (idle_after - idle) / (all_after - all_)


def describe(directory: Path) -> str:
    """Machine, file system and date, in one line."""
    names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    processor = names[0].strip() if names else platform.machine()
    command = ["df", "--output=fstype", str(directory)]
    file_system = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()[-1]
    return (
        f"{processor}, {os.cpu_count()} cores; Linux {platform.release()}; {file_system}; "
        f"Python {platform.python_version()}, Node {_version('node', '--version')}, "
        f"Go {_version('go', 'env', 'GOVERSION')}; {date.today():%Y-%m-%d}"
    )


def _version(*command: str) -> str:
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return said.strip().lstrip("vgo")

#!/usr/bin/env python3
"""Cuts the power of a virtual machine at a random moment while writers with JLOCK_SYNC report over its serial line.

Then the machine starts again with what is on its disk: no acknowledged entry may be missing, the journal must parse,
and the lock that was left behind must be taken over at once.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from machine import Guest, Hardware, Images, Trouble
from vm import ROOT, enter_namespaces

WRITERS = 4
MKFS = {"ext4": ("mkfs.ext4", "-q", "-F"), "xfs": ("mkfs.xfs", "-q", "-f")}
# The longest wait for the first entry, and the longest time between that and the cut.
PATIENCE_S = 120.0
AFTER_S = 4.0
# An acquire must handle whatever the cut left within its default timeout; on a busy machine, the guest's clock runs on.
TIMEOUT_MS = 5000


@dataclass
class Tally:
    cuts: int = 0
    acknowledged: int = 0
    missing: int = 0
    # What the lock was after each cut.
    locks: Counter[str] = field(default_factory=Counter)
    tails: int = 0
    faults: list[str] = field(default_factory=list)


def new_disk(at: Path, kind: str) -> Path:
    with open(at, "wb") as file:
        file.truncate(320 << 20)
    subprocess.run([*MKFS[kind], at], check=True, capture_output=True)
    return at


def serial_lines(guest: Guest) -> list[str]:
    """The whole lines; the last one may have been cut off."""
    text = guest.serial.read_bytes().decode(errors="replace")
    return text.split("\n")[:-1]


def acknowledged_in(lines: list[str]) -> list[str]:
    return [found[1] for line in lines if (found := re.fullmatch(r"ack (of/w\d+/\d+/whole)\r?", line))]


def wait_until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > end:
            raise Trouble(what)
        time.sleep(0.02)


def write_until_cut(guest: Guest, number: int, after_s: float) -> list[str]:
    """What the writers reported over the serial line. Their names, and so their entries, are new for each cut."""
    for writer in range(number * WRITERS, (number + 1) * WRITERS):
        guest.sh(f"ln -s /dev/ttyS0 /oracle/w{writer}")
        guest.start(f"worker sync /oracle w{writer} 1000000 /d/j", "/dev/ttyS0")
    wait_until(lambda: bool(acknowledged_in(serial_lines(guest))), f"{guest.name}: nothing acknowledged")
    time.sleep(after_s)
    guest.cut()
    return serial_lines(guest)


def look_after(guest: Guest, acknowledged: list[str], number: int, what: str, tally: Tally) -> None:
    """Checks what is left; `acknowledged` has the entries from before this cut and all earlier ones."""
    lock = "/d/j/changes.journal.lock"
    content = guest.read(lock) if guest.ask(f"test -e {lock}")[0] == 0 else None
    tally.locks[kind_of(content)] += 1
    before = guest.read("/d/j/changes.journal")
    tally.tails += before.endswith(b"\0") or not before.endswith(b"\n")
    # The first call after the cut finds the lock, and has its default timeout. What it appends must come after whole
    # lines.
    status, told = guest.ask(f"jlock append /d/j of/after/{number}0/whole")
    if status != 0:
        tally.faults.append(f"{what}: the first append after the cut, of a lock that is {kind_of(content)}: {told.strip()}")
    entries = guest.read("/d/j/changes.journal").decode(errors="replace").split("\n")[1:]
    there = set(entries)
    missing = [entry for entry in acknowledged if entry not in there]
    odd = [entry for entry in entries[:-1] if not re.fullmatch(r"of/(w\d+|after)/\d+/whole", entry)]
    status, read = guest.ask(f"jlock stamp /d/j of/after/{number}1/whole && jlock read --changed /d/j | wc -l")
    if status != 0:
        tally.faults.append(f"{what}: stamp and read after the cut: {read.strip()}")
    elif int(read) != len(there - {""}) + 1:
        tally.faults.append(f"{what}: {read.strip()} entries are read, but the journal has {len(there - {''}) + 1}")
    if missing:
        tally.faults.append(f"{what}: {len(missing)} of {len(acknowledged)} acknowledged are missing, {missing[0]} first")
    if odd:
        tally.faults.append(f"{what}: {len(odd)} lines that nobody wrote, {odd[0]!r} first")
    left = guest.sh("ls -A /d/j").split()
    if set(left) - {"changes.journal"} and not only_of_the_dead(guest):
        tally.faults.append(f"{what}: left behind: {left}")
    tally.missing = max(tally.missing, len(missing))


def only_of_the_dead(guest: Guest) -> bool:
    """Whether a process that comes a while later removes what is left."""
    guest.sh("sleep 1.1; jlock run /d/j -- true")
    return guest.sh("ls -A /d/j").split() == ["changes.journal"]


def kind_of(content: bytes | None) -> str:
    if content is None:
        return "free"
    if not content.strip(b"\0"):
        return "NUL bytes" if content else "empty"
    return "a stamp" if b"\njlock/1 " in content else "cut short"


def cut_often(images: Images, kind: str, cuts: int, moments: random.Random, accelerator: str) -> Tally:
    """One machine with one disk: after each cut, its state is checked and written to until the next cut."""
    tally = Tally()
    disk = new_disk(images.scratch / f"{kind}.img", kind)
    guest = Guest(kind, images, None, Hardware(disks=(disk,), load=("xfs",), debian=False, megabytes=384), accelerator)
    acknowledged: list[str] = []
    what = f"{kind}, before the first cut"
    try:
        guest.sh(f"mkdir -p /d && mount -t {kind} /dev/vda /d && mkdir -p /d/j && sync", 120)
        for number in range(cuts):
            after_s = moments.uniform(0, AFTER_S)
            what = f"{kind}, cut {number}, {after_s:.3f} s after the first entry"
            said = write_until_cut(guest, number, after_s)
            acknowledged += acknowledged_in(said)
            tally.faults += [f"{what}: before it: {line}" for line in said if line.startswith("failed ")]
            guest.boot()
            guest.sh(f"mkdir -p /d && mount -t {kind} /dev/vda /d", 120)
            look_after(guest, acknowledged, number, what, tally)
            tally.cuts += 1
    except Trouble as why:
        tally.faults.append(f"{what}: {why}")
    finally:
        guest.cut()
    tally.acknowledged = len(acknowledged)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, default=ROOT / "target/vm")
    parser.add_argument("--cuts", type=int, default=5, help="of each file system")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=MKFS, action="append")
    parser.add_argument("--accelerator", default="tcg,thread=multi", help="qemu's -accel")
    arguments = parser.parse_args()
    enter_namespaces()
    scratch = arguments.images.resolve() / "powercut"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    images = Images(arguments.images.resolve(), scratch)
    faulty = False
    print(f"powercut: seed {arguments.seed}", flush=True)
    for kind in arguments.kind or MKFS:
        moments = random.Random(f"{arguments.seed} {kind}")
        begun = time.monotonic()
        tally = cut_often(images, kind, arguments.cuts, moments, arguments.accelerator)
        locks = ", ".join(f"{times} times {what}" for what, times in sorted(tally.locks.items()))
        print(f"powercut: {kind} ({time.monotonic() - begun:.0f} s): {tally.missing} of {tally.acknowledged} missing; the lock was {locks};")
        print(f"powercut: {kind}: {tally.tails} journals ended with something that was never acknowledged")
        print(f"figure: cuts, {kind} = {tally.cuts}")
        print(f"figure: entries acknowledged before a cut, none of which is lost, {kind} = {tally.acknowledged}", flush=True)
        for fault in tally.faults:
            print(f"    FAULT: {fault}", flush=True)
        faulty |= bool(tally.faults) or tally.acknowledged == 0
    shutil.rmtree(scratch, ignore_errors=True)
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())

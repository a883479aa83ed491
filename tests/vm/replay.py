#!/usr/bin/env python3
"""Replays what writers with JLOCK_SYNC wrote to a disk, up to each flush: what a power cut at that point would have
left.

The writers run in a virtual machine on a dm-log-writes device, and mark in its log what was acknowledged. Until a
flush is finished, a disk may have lost everything written since the previous one. So the state at each flush must
contain every entry that was acknowledged before the next one, and its journal must parse.
"""

from __future__ import annotations

import argparse
import re
import shutil
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from machine import Guest, Hardware, Images, Trouble
from powercut import MKFS, kind_of
from vm import ROOT, enter_namespaces

WRITERS = 4
# Documentation/admin-guide/device-mapper/log-writes.rst, drivers/md/dm-log-writes.c
MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8


@dataclass(frozen=True)
class Entry:
    flags: int
    at: int
    data: bytes


def entries(log: Path) -> Iterator[Entry]:
    with open(log, "rb") as file:
        magic, _, count, sector = struct.unpack("<QQQI", file.read(28))
        if magic != MAGIC:
            raise Trouble("the log has no superblock")
        position = sector
        for _ in range(count):
            file.seek(position)
            at, sectors, flags, length = struct.unpack("<QQQQ", file.read(32))
            inline = file.read(length)
            position += sector
            written = 0 if flags & (DISCARD | MARK) else sectors * 512
            file.seek(position)
            yield Entry(flags, at * 512, inline if flags & MARK else file.read(written))
            position += written


@dataclass
class Tally:
    flushes: int = 0
    looked: int = 0
    acknowledged: int = 0
    locks: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def record(images: Images, kind: str, appends: int, accelerator: str) -> tuple[Path, Path]:
    """Returns the disk as it was before, and the log."""
    disk, log = images.scratch / "disk.img", images.scratch / "log.img"
    for path, megabytes in ((disk, 320), (log, 4096)):
        with open(path, "wb") as file:
            file.truncate(megabytes << 20)
    subprocess.run([*MKFS[kind], disk], check=True, capture_output=True)
    before = images.scratch / "before.img"
    subprocess.run(["cp", "--sparse=always", disk, before], check=True)
    load = ("xfs", "dm_mod", "dm_log_writes")
    guest = Guest("record", images, None, Hardware(disks=(disk, log), load=load), accelerator)
    try:
        table = f"0 {(320 << 20) // 512} log-writes /dev/vda /dev/vdb"
        guest.sh(f"/sbin/dmsetup --noudevsync --noudevrules create logged --table '{table}'")
        guest.sh(f"mkdir -p /d && mount -t {kind} /dev/dm-0 /d && mkdir -p /d/j && sync", 120)
        writers = [guest.start(f"marked logged {appends // WRITERS} /d/j", f"/tmp/said{n}") for n in range(WRITERS)]
        while guest.running(writers):
            time.sleep(0.2)
        said = guest.sh("cat /tmp/said*").strip()
        if said:
            raise Trouble(said)
        guest.sh("umount /d; /sbin/dmsetup --noudevsync --noudevrules remove logged", 120)
    finally:
        guest.cut()
    return before, log


def replay(scratch: Path, before: Path, log: Path, kind: str, every: int) -> Tally:
    tally = Tally()
    acknowledged: list[str] = []
    pending: list[Entry] = []
    has_begun = False
    with open(before, "r+b") as durable:

        def write(entry: Entry) -> None:
            durable.seek(entry.at)
            durable.write(entry.data)

        for entry in entries(log):
            if entry.flags & MARK:
                text = entry.data.split(b"\0")[0].decode()
                if text.endswith("/whole"):  # the last mark is the device's own
                    acknowledged.append(text)
                    has_begun = True
                continue
            if entry.flags & FLUSH:
                tally.flushes += 1
                if has_begun and tally.flushes % every == 0:
                    durable.flush()
                    look(scratch, before, kind, acknowledged, tally)
                for earlier in pending:
                    write(earlier)
                pending.clear()
            if entry.flags & FUA:
                write(entry)
            elif entry.data:
                pending.append(entry)
    tally.acknowledged = len(acknowledged)
    return tally


def look(scratch: Path, image: Path, kind: str, acknowledged: list[str], tally: Tally) -> None:
    copy, at = scratch / "look.img", scratch / "look"
    at.mkdir(exist_ok=True)
    subprocess.run(["cp", "--sparse=always", image, copy], check=True)
    what = f"flush {tally.flushes}"
    mounted = subprocess.run(["mount", "-t", kind, "-o", "loop", copy, at], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        tally.faults.append(f"{what}: {mounted.stderr.strip()}")
        return
    try:
        tally.looked += 1
        lock, journal = at / "j/changes.journal.lock", at / "j/changes.journal"
        tally.locks[kind_of(lock.read_bytes() if lock.exists() else None)] += 1
        content = journal.read_bytes().rstrip(b"\0").decode(errors="replace") if journal.exists() else ""
        header, *lines = content.split("\n")
        missing = set(acknowledged) - set(lines)
        odd = [line for line in lines[:-1] if not re.fullmatch(r"of/\d+/\d+/o*/whole", line)]
        if missing:
            tally.faults.append(f"{what}: {len(missing)} of {len(acknowledged)} acknowledged are missing, {min(missing)} first")
        if odd or not re.fullmatch(r"# codegraph-journal v1 \d+", header):
            tally.faults.append(f"{what}: does not parse: {[header, *odd][:3]}")
    finally:
        subprocess.run(["umount", at], check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, default=ROOT / "target/vm")
    parser.add_argument("--appends", type=int, default=200)
    parser.add_argument("--every", type=int, default=1, help="look only at every Nth flush")
    parser.add_argument("--kind", choices=MKFS, action="append")
    parser.add_argument("--accelerator", default="tcg,thread=multi", help="qemu's -accel")
    arguments = parser.parse_args()
    enter_namespaces()
    scratch = arguments.images.resolve() / "replay"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    images = Images(arguments.images.resolve(), scratch)
    faulty = False
    for kind in arguments.kind or MKFS:
        try:
            tally = replay(scratch, *record(images, kind, arguments.appends, arguments.accelerator), kind, arguments.every)
        except Trouble as why:
            tally = Tally(faults=[str(why)])
        locks = ", ".join(f"{times} times {what}" for what, times in sorted(tally.locks.items()))
        print(f"replay: {kind}: {tally.acknowledged} acknowledged, {tally.flushes} flushes, {tally.looked} looked at; the lock was {locks}")
        print(f"figure: states of a disk replayed, {kind} = {tally.looked}", flush=True)
        for fault in tally.faults[:20]:
            print(f"    FAULT: {fault}", flush=True)
        faulty |= bool(tally.faults) or tally.looked == 0
    shutil.rmtree(scratch, ignore_errors=True)
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())

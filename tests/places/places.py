#!/usr/bin/env python3
"""Tries the library in places other than a local disk: FUSE above all, full and read-only file systems, two mounts of
one directory.

In each place four processes take turns at holding and appending, and some are killed. An oracle on another file
system sees whether two held the lock at once and what was acknowledged. Then it is measured how long it takes to take
over a killed holder's lock, in which order waiters are served, what is left behind, and what `jlock probe` promises.
A broken promise, a lost entry, two holders neither of whom was told, and an unexpected error are failures.

Needs root: everything is mounted in a mount namespace of its own, and everything that is started ends with its PID
namespace. A place whose program or file system is missing here is not tried, and the table says so.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORKERS = 4
PATIENCE_S = 400.0
SETTLE_MS = 100
# What a loaded machine may need in addition to the settle time where a takeover "at once" is promised.
SLACK_MS = 4000


class NotHere(Exception):
    """This machine cannot make the place."""


def run(*command: str | Path) -> str:
    if shutil.which(str(command[0])) is None:
        raise NotHere(f"no {Path(command[0]).name}")
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise NotHere(re.sub(r"/\S+: ", "", said[0]) if said else f"{Path(command[0]).name}: {done.returncode}")
    return done.stdout


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise NotHere(f"{what}: not within {seconds:g} s")
        time.sleep(0.01)


class Site:
    """What a place consists of: directories, mounts and daemons, which are removed with it."""

    def __init__(self, scratch: Path, programs: Path) -> None:
        self.scratch = scratch
        self.programs = programs
        self.mounts: list[Path] = []
        self.daemons: list[subprocess.Popen[bytes]] = []
        # The command that starts the processes of each view, for example in a container.
        self.within: list[list[str]] = [[]]

    def dir(self, name: str) -> Path:
        path = self.scratch / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def mount(self, kind: str, source: str | Path, at: Path, options: str = "rw") -> Path:
        run("mount", "-t", kind, "-o", options, source, at)
        self.mounts.append(at)
        return at

    def disk(self, mkfs: list[str], megabytes: int, kind: str, options: str = "rw") -> Path:
        image = self.scratch / "image"
        with open(image, "wb") as file:
            file.truncate(megabytes << 20)
        run(*mkfs, image)
        return self.mount(kind, image, self.dir("disk"), f"loop,{options}")

    def fuse(self, *command: str | Path) -> Path:
        """Mounts with a command whose last argument is the mount point, which may stay in the foreground."""
        at = Path(command[-1])
        if shutil.which(str(command[0])) is None:
            raise NotHere(f"no {Path(command[0]).name}")
        log = open(self.scratch / "daemon.log", "ab")
        self.daemons.append(subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        wait_until(lambda: os.path.ismount(at), f"{command[0]} does not mount")
        self.mounts.append(at)
        return at

    def end(self) -> None:
        for at in reversed(self.mounts):
            if subprocess.run(["umount", at], capture_output=True, check=False).returncode != 0:
                subprocess.run(["umount", "--lazy", at], capture_output=True, check=False)
        for daemon in self.daemons:
            try:
                daemon.wait(5)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


# ------------------------------------------------------------------------------------------------------------- places


@dataclass
class Place:
    name: str
    make: Callable[[Site], list[Path]]
    # Fills the place, and makes room again. If this is set, there is no storm; the place is filled instead.
    limit: tuple[Callable[[Site], None], Callable[[Site], None]] | None = None
    # The errors that an append may return there.
    errors: tuple[int, ...] = ()
    quick: bool = False
    # Entries arrive although no exclusion is promised.
    keeps: bool = False


def tmpfs(site: Site, options: str = "rw") -> Path:
    return site.mount("tmpfs", "places", site.dir("disk"), options)


def overlay(site: Site, *, lower_disk: bool = False) -> tuple[Path, Path]:
    """The merged directory and the lower one. Both layers are on one tmpfs, or the lower one is on another."""
    layers = tmpfs(site)
    lower = site.mount("tmpfs", "lower", site.dir("lower")) if lower_disk else layers / "lower"
    for path in (lower / "d", layers / "upper", layers / "work"):
        path.mkdir(parents=True)
    return lower / "d", site.dir("merged")


def merge(site: Site) -> Path:
    layers = site.scratch / "disk"
    lower = site.scratch / "lower" if os.path.ismount(site.scratch / "lower") else layers / "lower"
    options = f"lowerdir={lower},upperdir={layers / 'upper'},workdir={layers / 'work'}"
    return site.mount("overlay", "places", site.scratch / "merged", options) / "d"


def overlay_upper(site: Site) -> list[Path]:
    overlay(site)
    return [merge(site)]


def overlay_two_disks(site: Site) -> list[Path]:
    overlay(site, lower_disk=True)
    return [merge(site)]


def overlay_from_lower(site: Site) -> list[Path]:
    """The journal and a dead holder's lock come from the lower layer."""
    lower, _ = overlay(site)
    site_append(site, lower, "of/lower/000000/whole")
    leave_dead_lock(site, lower)
    return [merge(site)]


def site_append(site: Site, at: Path, path: str) -> None:
    run(site.programs / "jlock", "append", at, path)


def leave_dead_lock(site: Site, at: Path) -> None:
    with holder(site, at, None):
        pass


def backed(site: Site) -> Path:
    """The directory behind a FUSE file system."""
    tmpfs(site)
    return site.dir("disk/back")


def bindfs(site: Site, count: int, beside: bool = False) -> list[Path]:
    back = backed(site)
    views = [site.fuse("bindfs", "-f", back, site.dir(f"view{n}")) for n in range(count)]
    return [*views, back] if beside else views


def sshfs(site: Site, count: int, *options: str, beside: bool = False) -> list[Path]:
    back = backed(site)
    server = "/usr/lib/openssh/sftp-server"
    if not os.path.exists(server):
        raise NotHere("no sftp-server")
    ssh = site.scratch / "ssh"
    ssh.write_text(f"#!/bin/sh\nexec {server}\n")
    ssh.chmod(0o755)
    views = []
    for n in range(count):
        chosen = ",".join((f"ssh_command={ssh}", *options))
        views.append(site.fuse("sshfs", "-f", "-o", chosen, f"places:{back}", site.dir(f"view{n}")))
    return [*views, back] if beside else views


def mergerfs(site: Site, count: int, *options: str) -> list[Path]:
    back = backed(site)
    for name in ("one/d", "two"):
        (back / name).mkdir(parents=True)
    chosen = ["-o", ",".join(options)] if options else []
    branches = f"{back / 'one'}:{back / 'two'}"
    return [site.fuse("mergerfs", "-f", *chosen, branches, site.dir(f"view{n}")) / "d" for n in range(count)]


def unionfs(site: Site) -> list[Path]:
    back = backed(site)
    for name in ("one/d", "two"):
        (back / name).mkdir(parents=True)
    branches = f"{back / 'one'}=RW:{back / 'two'}=RO"
    return [site.fuse("unionfs", "-f", "-o", "cow", branches, site.dir("view")) / "d"]


def fuse_overlayfs(site: Site) -> list[Path]:
    back = backed(site)
    for name in ("lower/d", "upper", "work"):
        (back / name).mkdir(parents=True)
    chosen = f"lowerdir={back / 'lower'},upperdir={back / 'upper'},workdir={back / 'work'}"
    return [site.fuse("fuse-overlayfs", "-f", "-o", chosen, site.dir("view")) / "d"]


def gocryptfs(site: Site) -> list[Path]:
    back = backed(site)
    run("gocryptfs", "-q", "-scryptn", "10", "-init", "-extpass", "echo places", back)
    view = site.fuse("gocryptfs", "-q", "-fg", "-extpass", "echo places", back, site.dir("view"))
    (view / "d").mkdir()
    return [view / "d"]


def fuse2fs(site: Site) -> list[Path]:
    image = tmpfs(site) / "image"
    with open(image, "wb") as file:
        file.truncate(64 << 20)
    run("mkfs.ext4", "-q", image)
    view = site.fuse("fuse2fs", "-f", "-o", "fakeroot", image, site.dir("view"))
    (view / "d").mkdir()
    return [view / "d"]


def disorderfs(site: Site) -> list[Path]:
    return [site.fuse("disorderfs", "-f", "--multi-user=no", "--shuffle-dirents=yes", backed(site), site.dir("view"))]


def exfat_fuse(site: Site) -> list[Path]:
    image = tmpfs(site) / "image"
    with open(image, "wb") as file:
        file.truncate(64 << 20)
    run("mkfs.exfat", image)
    device = run("losetup", "--find", "--show", image).strip()
    try:
        return [site.fuse("mount.exfat-fuse", "-d", device, site.dir("view"))]
    finally:
        run("losetup", "--detach", device)  # the device is freed when nothing uses it any more


def thin(lacks: str, count: int = 1, beside: bool = False) -> Callable[[Site], list[Path]]:
    def make(site: Site) -> list[Path]:
        back = backed(site)
        program = site.programs / "thin"
        if not program.exists():
            raise NotHere("no libfuse3 to build it with")
        views = [site.fuse(program, lacks, back, site.dir(f"view{n}")) for n in range(count)]
        return [*views, back] if beside else views

    return make


def read_only(site: Site) -> list[Path]:
    disk = tmpfs(site)
    run("mount", "-o", "remount,ro", disk)
    return [disk]


def small(site: Site) -> list[Path]:
    return [tmpfs(site, "size=256k")]


def over_quota(site: Site) -> list[Path]:
    """On btrfs, whose quotas need no other support by the kernel."""
    disk = site.disk(["mkfs.btrfs", "-q"], 128, "btrfs")
    run("btrfs", "quota", "enable", disk)
    run("btrfs", "subvolume", "create", disk / "d")
    run("btrfs", "qgroup", "limit", "2M", disk / "d")
    return [disk / "d"]


# Containers that share a directory. A kill hits `unshare`, and the process inside ends with it.
CONTAINER = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
USERS = ["unshare", "--user", "--map-root-user"]
LATER = ["unshare", "--time", "--boottime", "1000000", "--fork", "--kill-child"]
NO_PROC = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"]


def as_user(user: int, group: int) -> list[str]:
    return ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "sh", "-c", 'umask 2 && exec "$@"', "sh"]


def contained(*within: list[str]) -> Callable[[Site], list[Path]]:
    def make(site: Site) -> list[Path]:
        for command in within:
            if command:
                run(*command, "true")
        site.within = list(within)
        return [tmpfs(site)]

    return make


def two_users(site: Site) -> list[Path]:
    """In a directory of their group, where each may write to what the other makes."""
    shared = tmpfs(site, "mode=755") / "d"
    shared.mkdir()
    os.chown(shared, 0, 4700)
    shared.chmod(0o2770)
    site.scratch.chmod(0o755)
    site.within = [as_user(4711, 4700), as_user(4712, 4700)]
    return [shared]


def nothing(_: Site) -> None:
    pass


def fill_disk(site: Site) -> None:
    with open(site.scratch / "disk/filler", "wb") as file, contextlib.suppress(OSError):
        while True:
            os.write(file.fileno(), bytes(512))


def free_disk(site: Site) -> None:
    (site.scratch / "disk/filler").unlink()


def fill_quota(site: Site) -> None:
    with open(site.scratch / "disk/d/filler", "wb") as file, contextlib.suppress(OSError):
        while True:
            os.write(file.fileno(), bytes(1 << 16))
            os.fsync(file.fileno())


def free_quota(site: Site) -> None:
    (site.scratch / "disk/d/filler").unlink()
    run("sync", "--file-system", site.scratch / "disk")  # until then the quota counts files that were removed


def start_dropping(site: Site) -> None:
    (site.scratch / "disk/full").touch()


def stop_dropping(site: Site) -> None:
    (site.scratch / "disk/full").unlink()


ENOSPC, EDQUOT, EROFS = 28, 122, 30

PLACES = [
    Place("ext4", lambda s: [s.disk(["mkfs.ext4", "-q"], 64, "ext4")]),
    Place("ext4, noatime", lambda s: [s.disk(["mkfs.ext4", "-q"], 64, "ext4", "noatime")]),
    Place("ext4, strictatime", lambda s: [s.disk(["mkfs.ext4", "-q"], 64, "ext4", "strictatime")]),
    Place("ext3", lambda s: [s.disk(["mkfs.ext3", "-q"], 64, "ext3")]),
    Place("ext2", lambda s: [s.disk(["mkfs.ext2", "-q"], 64, "ext2")]),
    Place("xfs", lambda s: [s.disk(["mkfs.xfs", "-q"], 320, "xfs")]),
    Place("btrfs", lambda s: [s.disk(["mkfs.btrfs", "-q"], 128, "btrfs")]),
    Place("vfat", lambda s: [s.disk(["mkfs.vfat"], 64, "vfat")]),
    Place("exfat", lambda s: [s.disk(["mkfs.exfat"], 64, "exfat")]),
    Place("tmpfs", lambda s: [tmpfs(s)], quick=True),
    Place("ramfs", lambda s: [s.mount("ramfs", "places", s.dir("disk"))]),
    Place("overlayfs", overlay_upper, quick=True),
    Place("overlayfs, layers on two file systems", overlay_two_disks),
    Place("overlayfs, lock and journal from the lower layer", overlay_from_lower),
    Place("containers: each process is PID 1 of its own", contained(CONTAINER), quick=True),
    Place("containers, and processes outside", contained(CONTAINER, []), quick=True),
    Place("user namespaces", contained(USERS, []), quick=True),
    Place("time namespaces", contained(LATER, [])),
    Place("without /proc", contained(NO_PROC)),
    Place("two users in a setgid directory", two_users, quick=True),
    Place("bindfs", lambda s: bindfs(s, 1)),
    Place("bindfs, two mounts", lambda s: bindfs(s, 2)),
    Place("bindfs, and what is under it", lambda s: bindfs(s, 1, beside=True)),
    Place("sshfs", lambda s: sshfs(s, 1)),
    Place("sshfs, disable_hardlink", lambda s: sshfs(s, 1, "disable_hardlink")),
    Place("sshfs, two mounts", lambda s: sshfs(s, 2)),
    Place("sshfs, and what is under it", lambda s: sshfs(s, 1, beside=True)),
    Place("mergerfs", lambda s: mergerfs(s, 1)),
    Place("mergerfs, inodecalc=path-hash", lambda s: mergerfs(s, 1, "inodecalc=path-hash")),
    Place("mergerfs, two mounts", lambda s: mergerfs(s, 2)),
    Place("unionfs-fuse", unionfs),
    Place("fuse-overlayfs", fuse_overlayfs),
    Place("gocryptfs", gocryptfs),
    Place("fuse2fs", fuse2fs),
    Place("disorderfs", disorderfs),
    Place("exfat-fuse", exfat_fuse),
    Place("own FUSE", thin("nothing"), quick=True),
    Place("own FUSE, two mounts", thin("nothing", 2)),
    Place("own FUSE, no hard links", thin("nolink"), quick=True),
    Place("own FUSE, no flock", thin("noflock"), quick=True),
    Place("own FUSE, flock says ENOLCK", thin("nolock")),
    Place("own FUSE, an exclusive flock needs a file open for writing", thin("readlock"), quick=True),
    Place("own FUSE, a file with a flock cannot be read", thin("mandatory"), quick=True),
    Place("own FUSE, every flock succeeds", thin("deaf"), quick=True),
    Place("own FUSE, neither links nor flock", thin("nolink,noflock")),
    Place("own FUSE, neither links nor exclusive renames nor flock", thin("nolink,norename,noflock")),
    Place("own FUSE, a link has another inode number", thin("links")),
    Place("own FUSE, a file has another inode number under each name", thin("paths")),
    Place("own FUSE, inode numbers change at each look", thin("inodes"), quick=True),
    Place("own FUSE, times cannot be set", thin("times")),
    Place("own FUSE, cached for a second", thin("fresh"), quick=True),
    Place("own FUSE, cached for a second, two mounts", thin("fresh", 2), keeps=True),
    Place("own FUSE, cached for a second, and what is under it", thin("fresh", beside=True), keeps=True),
    Place("own FUSE, written at flush", thin("late")),
    Place("own FUSE, flush fails", thin("late"), (start_dropping, stop_dropping), (ENOSPC,), quick=True),
    Place("full (tmpfs)", small, (fill_disk, free_disk), (ENOSPC,), quick=True),
    Place("over quota (btrfs)", over_quota, (fill_quota, free_quota), (EDQUOT,)),
    Place("read-only (tmpfs)", read_only, (nothing, nothing), (EROFS,), quick=True),
]


# -------------------------------------------------------------------------------------------------------------- trying


@dataclass
class Seen:
    """What was seen in a place."""

    name: str
    keeps: bool = False
    # Which promise covers these processes: that for one mount, for one machine, or for other machines.
    scope: str = "mount"
    not_here: str = ""
    probe: dict[str, object] = field(default_factory=dict)
    refused: str = ""
    holds: int = 0
    overlaps: int = 0
    told: int = 0
    acknowledged: int = 0
    missing: int = 0
    twice: int = 0
    spliced: int = 0
    kills: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    takeovers_ms: list[float] = field(default_factory=list)
    not_taken: str = ""
    in_order: int = 0
    waits: int = 0
    leftovers: int = 0
    limited: str = ""
    unfinished: str = ""

    def promises(self, what: str) -> bool:
        promised = self.probe.get("promises")
        return isinstance(promised, dict) and promised.get(what) is True

    @property
    def excludes(self) -> bool:
        """Whether the probe promises that these processes exclude each other."""
        return self.promises(self.scope)

    @property
    def is_refused(self) -> bool:
        """Whether nothing works, and every error names the file system and says why."""
        return self.holds == 0 and all("this file system (" in error for error in self.errors)

    def faults(self) -> Iterator[str]:
        if self.not_here:
            return
        if self.unfinished:
            yield self.unfinished
        if self.holds == 0 and not self.limited and not self.is_refused:
            yield "nothing works, and the error does not name the file system"
        if self.is_refused and self.excludes and not self.limited:
            yield "refused, though exclusion is promised"
        if self.overlaps and self.excludes:
            yield f"{self.overlaps} of {self.holds} holds overlap, though exclusion is promised"
        if self.overlaps > self.told and self.excludes:
            yield f"of {self.overlaps} overlaps only {self.told} were reported"
        if (self.missing or self.spliced) and (self.excludes or self.keeps):
            yield f"{self.missing} acknowledged entries missing, {self.spliced} lines spliced"
        if self.errors and self.excludes and not self.limited and self.holds:
            yield f"{sum(self.errors.values())} errors: {self.errors.most_common(1)[0][0]}"
        if self.not_taken and self.excludes:
            yield f"not taken over: {self.not_taken}"
        if self.promises("takeover") and any(ms > SETTLE_MS + SLACK_MS for ms in self.takeovers_ms):
            yield f"takeover in {max(self.takeovers_ms):.0f} ms, though promised at once"
        if self.promises("order") and self.waits and self.in_order * 2 < self.waits:
            # If the machine is too busy to wake the first waiter in time, another one may look by itself and be faster.
            yield f"{self.in_order} of {self.waits} in order, though promised"
        if self.leftovers and self.excludes:
            yield f"{self.leftovers} files left behind"


def command_for(site: Site, *arguments: str | Path, which: int = 0, by: tuple[str, ...] = ()) -> list[str]:
    within = site.within[which % len(site.within)]
    return [*within, *by, str(site.programs / arguments[0]), *(str(a) for a in arguments[1:])]


@contextlib.contextmanager
def holder(site: Site, at: Path, killed: list[float] | None) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock and is killed in the end."""
    process = subprocess.Popen(command_for(site, "worker", "hold", at), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        if said != "held\n":
            raise Refused(said.strip())
        yield process
    finally:
        process.kill()
        process.wait()
        if killed is not None:
            killed.append(time.monotonic())
        process.stdout.close()


class Refused(Exception):
    """The library does not work here, and says why."""


def probe(site: Site, at: Path, seen: Seen) -> None:
    done = subprocess.run(command_for(site, "jlock", "probe", "--json", at), capture_output=True, text=True, check=False, timeout=30)
    if done.stdout:
        seen.probe = json.loads(done.stdout)
    else:
        seen.refused = done.stderr.strip()


class Slot:
    """One of the processes of a storm, which is started again when it was killed."""

    def __init__(self, site: Site, oracle: Path, number: int, at: Path, turns: int) -> None:
        self.site, self.oracle, self.at, self.turns = site, oracle, at, turns
        self.number = number
        self.name = f"w{number}"
        self.process: subprocess.Popen[bytes] | None = None

    def lines(self) -> list[str]:
        log = self.oracle / self.name
        return log.read_text().splitlines() if log.exists() else []

    def start(self) -> None:
        tried = [int(line.split("/")[-2]) for line in self.lines() if line.startswith("try ")]
        first = tried[-1] + 1 if tried else 0
        arguments = (self.oracle, self.name, str(first), str(max(self.turns - first, 0)), self.at)
        self.process = subprocess.Popen(command_for(self.site, "worker", "storm", *arguments, which=self.number))

    def is_over(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def storm(site: Site, oracle: Path, views: list[Path], turns: int, kills: int, seen: Seen) -> None:
    slots = [Slot(site, oracle, n, views[n % len(views)], turns) for n in range(WORKERS)]
    for slot in slots:
        slot.start()
    end = time.monotonic() + PATIENCE_S
    next_kill = turns // (kills + 1)
    try:
        while not all(slot.is_over() for slot in slots):
            if time.monotonic() > end:
                seen.unfinished = f"{WORKERS} x {turns} turns not finished after {PATIENCE_S:g} s"
                break
            time.sleep(0.02)
            # Kills depend on progress, not on time, so that a slow place gets as many kills as a fast one.
            done = sum(len(slot.lines()) for slot in slots) // (WORKERS * 3 // 2)
            alive = [slot for slot in slots if not slot.is_over()]
            if seen.kills < kills and done >= next_kill and alive:
                slot = alive[seen.kills % len(alive)]
                slot.kill()
                slot.start()
                seen.kills += 1
                next_kill += turns // (kills + 1)
    finally:
        for slot in slots:
            slot.kill()
    for slot in slots:
        count(slot.lines(), seen)


def count(lines: list[str], seen: Seen) -> None:
    for line in lines:
        words = line.split()
        if words[0] == "held":
            seen.holds += 1
            seen.overlaps += words[1] == "overlap"
            seen.told += words[2] == "lost"
        elif words[0] == "failed":
            seen.errors[re.sub(r"\d+-[0-9a-f]{16}|\b\d+\.\d+ s|\b(pid )?\d{3,}\b", "…", line)] += 1


def audit(oracle: Path, journal: Path, seen: Seen) -> None:
    """Every acknowledged entry is there, whole and once; every other line is an attempt of a process that was
    killed."""
    lines = [line.split(" ", 1) for log in sorted(oracle.glob("w*")) for line in log.read_text().splitlines()]
    tried = {rest[0] for what, *rest in lines if what == "try"}
    acknowledged = [rest[0] for what, *rest in lines if what == "ack"]
    seen.acknowledged = len(acknowledged)
    content = journal.read_bytes().decode(errors="replace") if journal.exists() else ""
    _, *entries = content.split("\n")[:-1] if content else [""]
    there = Counter(entries)
    seen.missing = sum(1 for path in acknowledged if there[path] == 0)
    seen.twice = sum(1 for path in there if there[path] > 1)
    seen.spliced = sum(1 for path in there if path not in tried and path != "of/lower/000000/whole")
    seen.spliced += content.count("\0") + (not content.endswith("\n") and content != "")


def die_in_append(site: Site, oracle: Path, views: list[Path]) -> None:
    """Somebody appends through one mount and then through the other. Then somebody dies in a long append through the
    first.

    The next peer takes back what was cut, as the dead one's note says, so the note must not give an older size."""
    if shutil.which("strace") is None:
        return
    for number, view in enumerate((views[0], views[-1])):
        subprocess.run(command_for(site, "worker", "fill", oracle, f"w8{number}", "1", view), check=True, timeout=120)
    killed = ("strace", "-o", "/dev/null", "-e", "inject=write:signal=KILL")
    many = [f"of/many/{number}" for number in range(1000)]
    subprocess.run(command_for(site, "jlock", "append", views[0], *many, by=killed), check=False, timeout=60)
    subprocess.run(command_for(site, "worker", "fill", oracle, "w82", "1", views[-1]), check=True, timeout=120)


def journal_of(site: Site, view: Path) -> Path:
    """The path behind the mounts: a mount may show the journal as it was a while ago."""
    beneath = [site.scratch / "disk/back" / sub / "changes.journal" for sub in ("", "one/d", "upper/d")]
    return next((path for path in beneath if path.exists()), view / "changes.journal")


def take_over(site: Site, views: list[Path], rounds: int, seen: Seen) -> None:
    """A holder is killed, in turn before anybody waits and while somebody waits."""
    take = command_for(site, "worker", "take", views[-1], "40000", which=-1)
    for number in range(rounds):
        killed: list[float] = []
        waiter = None
        with holder(site, views[0], killed):
            if number % 2:
                waiter = subprocess.Popen(take, stdout=subprocess.PIPE, text=True)
                assert waiter.stdout is not None
                waiter.stdout.readline()
                time.sleep(0.3)  # long enough to wait, or to take a living holder's lock by mistake
                if waiter.poll() is not None:
                    seen.overlaps += 1
                    seen.holds += 1
        if waiter is None:
            waiter = subprocess.Popen(take, stdout=subprocess.PIPE, text=True)
        said, _ = waiter.communicate(timeout=60)
        taken = re.search(r"^taken \d+ (\d+)$", said, re.MULTILINE)
        if taken is None:
            seen.not_taken = said.strip().splitlines()[-1] if said.strip() else "it printed nothing"
            return
        seen.takeovers_ms.append(int(taken[1]) / 1000 - killed[0] * 1000)
        for line in said.splitlines():
            if line.startswith("failed"):
                count([line], seen)


def stand_in_line(site: Site, views: list[Path], rounds: int, seen: Seen) -> None:
    """Waiters come one after the other while somebody holds the lock, and are served one after the other."""
    for _ in range(rounds):
        first = subprocess.Popen(command_for(site, "jlock", "run", views[0], "--", "cat"), stdin=subprocess.PIPE)
        assert first.stdin is not None
        wait_until(lambda: any(v.joinpath("changes.journal.lock").exists() for v in views), "nobody holds")
        waiters = []
        for n in range(3):
            take = command_for(site, "worker", "take", views[n % len(views)], "20000", which=n)
            waiter = subprocess.Popen(take, stdout=subprocess.PIPE, text=True)
            assert waiter.stdout is not None
            waiter.stdout.readline()
            wait_for_ticket(views[0], waiter.pid)
            time.sleep(0.1)  # waiters that come within one pause of each other are woken together
            waiters.append(waiter)
        first.stdin.close()
        first.wait()
        times = []
        for waiter in waiters:
            said, _ = waiter.communicate(timeout=60)
            taken = re.search(r"^taken \d+ (\d+)$", said, re.MULTILINE)
            times.append(int(taken[1]) if taken else sys.maxsize)
        seen.waits += 1
        seen.in_order += times == sorted(times)


def wait_for_ticket(view: Path, pid: int) -> None:
    """Waits until a process is in line; where there is no line, waits long enough for it."""
    line = view / "changes.journal.lock.line"
    end = time.monotonic() + 0.1
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if any(f"-{pid}-" in ticket for ticket in os.listdir(line)):
                return
        time.sleep(0.005)


def limit(site: Site, place: Place, oracle: Path, at: Path, seen: Seen) -> None:
    assert place.limit is not None
    exhaust, relax = place.limit

    def fill(name: str, most: int) -> list[str]:
        subprocess.run(command_for(site, "worker", "fill", oracle, name, str(most), at), timeout=60, check=False)
        log = oracle / name
        failed = [line for line in log.read_text().splitlines() if line.startswith("failed ")]
        count(failed, seen)
        return failed

    read_only_place = EROFS in place.errors
    if not read_only_place and fill("w0", 10):
        seen.unfinished = "fails before it is full"
        return
    exhaust(site)
    failed = fill("w1", 20000)
    relax(site)
    numbers = [int(line.split()[2]) for line in failed]
    if not numbers or any(-n not in place.errors for n in numbers):
        seen.unfinished = f"expected an error of {place.errors}, got {failed}"
    elif not read_only_place and fill("w2", 10):
        seen.unfinished = "fails when there is room again"
    seen.limited = " ".join(failed[0].split()[3:]) if failed else ""
    audit(oracle, at / "changes.journal", seen)


def try_place(place: Place, programs: Path, turns: int, kills: int) -> Seen:
    seen = Seen(place.name, place.keeps)
    with tempfile.TemporaryDirectory(prefix="jlock-place-", ignore_cleanup_errors=True) as scratch:
        oracle = Path(scratch) / "oracle"
        oracle.mkdir()
        site = Site(Path(scratch), programs)
        try:
            site.mount("tmpfs", "oracle", oracle, "mode=777")
            views = place.make(site)
            seen.scope = "machine" if len(views) > 1 else "mount"
            probe(site, views[0], seen)
            if place.limit is not None:
                limit(site, place, oracle, views[0], seen)
            else:
                storm(site, oracle, views, turns, kills, seen)
                die_in_append(site, oracle, views)
                audit(oracle, journal_of(site, views[0]), seen)
                take_over(site, views, 4, seen)
                stand_in_line(site, views, 4, seen)
                # Somebody who comes later sweeps what the dead have left.
                time.sleep(1.1)  # a process sweeps at most once a second, and the last one just has
                subprocess.run(command_for(site, "worker", "take", views[0], "5000"), capture_output=True, check=False)
                seen.leftovers = sum(1 for entry in views[0].iterdir() if ".lock" in entry.name)
        except NotHere as why:
            seen.not_here = str(why)
        except Refused as why:
            seen.refused = str(why)
        finally:
            site.end()
    return seen


# --------------------------------------------------------------------------------------------------------------- table


def unnamed(text: str) -> str:
    """The text without names that differ from run to run."""
    return re.sub(r"\d+-[0-9a-f]{16}", "…", text)


def cells(seen: Seen) -> list[str]:
    if seen.not_here:
        return [f"not tried: {seen.not_here}", "", "", ""]
    if seen.limited:
        entries = f"refused: {unnamed(seen.limited)}; all {seen.acknowledged} acknowledged are there"
        return ["", "", entries, ""]
    return [exclusion(seen), takeover(seen), arrival(seen), order(seen)]


def exclusion(seen: Seen) -> str:
    if seen.holds == 0:
        return f"refused: {refusal(seen)}"
    figures = f"{seen.overlaps} of {seen.holds} overlap"
    if seen.overlaps and not seen.excludes:
        figures += f", {seen.told} told"
    if seen.errors:
        figures += f"; {sum(seen.errors.values())} errors, most often: {unnamed(refusal(seen))}"
    return f"{'holds' if seen.excludes else 'not promised'}: {figures}"


def refusal(seen: Seen) -> str:
    if seen.errors:
        return " ".join(seen.errors.most_common(1)[0][0].split()[3:])
    return seen.refused or "?"


def takeover(seen: Seen) -> str:
    if not seen.takeovers_ms:
        return f"none: {seen.not_taken}" if seen.not_taken and seen.holds else ""
    figures = f"{min(seen.takeovers_ms):.0f} to {max(seen.takeovers_ms):.0f} ms"
    if seen.not_taken:
        figures += f"; then none: {seen.not_taken}"
    return f"holds: {figures}" if seen.promises("takeover") else f"not promised: {figures}"


def arrival(seen: Seen) -> str:
    if seen.acknowledged == 0:
        return ""
    lost = f"{seen.missing} of {seen.acknowledged} missing"
    extra = [f"{n} {what}" for n, what in ((seen.spliced, "spliced"), (seen.twice, "twice")) if n]
    return ("holds: " if seen.excludes else "not promised: ") + ", ".join([lost, *extra])


def order(seen: Seen) -> str:
    if not seen.waits or not seen.holds:
        return ""
    return f"{'promised' if seen.promises('order') else 'not promised'}: {seen.in_order} of {seen.waits} times in order"


def save(path: Path, results: list[Seen], turns: int) -> None:
    # Until Python 3.12, asdict() makes a Counter of a Counter's items.
    seen = [{**asdict(one), "errors": one.errors} for one in results]
    path.write_text(json.dumps({"turns": turns, "seen": seen}, indent=1))


def enter_namespaces() -> None:
    if os.environ.get("JLOCK_PLACES") == "inside":
        return
    if os.geteuid() != 0:
        sys.exit("places: needs root, to mount")
    os.environ["JLOCK_PLACES"] = "inside"
    inside = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
    os.execvp("unshare", ["unshare", *inside, sys.executable, *sys.argv])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=Path, default=ROOT / "target/places")
    parser.add_argument("--turns", type=int, default=250)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help="only the places that need no other program")
    parser.add_argument("--only", action="append", default=[], help="only this place (a regular expression)")
    parser.add_argument("--save", type=Path, help="write what was seen to this file, for the table")
    arguments = parser.parse_args()
    enter_namespaces()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    chosen = [p for p in PLACES if p.quick or not arguments.quick]
    if arguments.only:
        chosen = [p for p in chosen if any(re.search(only, p.name) for only in arguments.only)]
    results = []
    faulty = 0
    for place in chosen:
        begun = time.monotonic()
        seen = try_place(place, arguments.programs.resolve(), arguments.turns, arguments.kills)
        results.append(seen)
        faults = list(seen.faults())
        faulty += bool(faults)
        print(f"{place.name} ({time.monotonic() - begun:.1f} s): {'; '.join(cell for cell in cells(seen) if cell)}", flush=True)
        for fault in faults:
            print(f"    FAULT: {fault}", flush=True)
        for error, times in seen.errors.most_common(3):
            print(f"    {times} x {error}", flush=True)
    if arguments.save:
        save(arguments.save, results, arguments.turns)
    tried = [seen for seen in results if not seen.not_here]
    print(f"places: {len(tried) - faulty} passed, {faulty} failed, {len(results) - len(tried)} not tried")
    return 1 if faulty or not tried else 0


if __name__ == "__main__":
    sys.exit(main())

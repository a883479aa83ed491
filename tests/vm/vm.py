#!/usr/bin/env python3
"""Tries the library where that takes machines of its own (NFS, SMB, 9p, virtiofs, FAT), with virtual machines under
qemu.

In each place four processes take turns at holding and appending, and some are killed, on both sides if there are two.
An oracle in memory that the machines share sees whether two held at once, and acknowledged entries are recorded in
files outside the place. Then the same is measured as in tests/places/places.py, and the results go into the same
table. In addition, the server is restarted while somebody holds, and a client's power is cut while it holds.

Needs root, for a network and processes of its own: everything that is started ends with it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from machine import Guest, Hardware, Host, Images, Machine, Oracle, Trouble

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/places"))
from places import NotHere, Seen, cells, count, save  # noqa: E402

WORKERS = 4
# The patience for a storm, and for each of its turns: far more than it takes on an idle machine.
PATIENCE_S, PATIENCE_PER_TURN_S = 600.0, 1.5


@dataclass(frozen=True)
class View:
    """A directory as one machine sees it."""

    machine: Machine
    at: str


@dataclass(frozen=True)
class Site:
    """A place that has been set up: its views, and the path where the journal really is."""

    views: list[View]
    truth: View


# ---------------------------------------------------------------------------------------------------------------- labs


NFS = ("nfsd", "nfs", "nfsv4", "nfsv3", "lockd", "veth")
SMB = ("cifs", "aes_generic", "ghash_generic", "ctr", "cmac", "ccm", "gcm", "ecb", "sha512_generic", "md4", "hmac", "nls_utf8")
FAT = ("vfat", "exfat", "nls_cp437", "nls_ascii", "nls_iso8859_1")


@dataclass
class Lab:
    """Machines, which are started when the first place needs them, and the mounts of the current place."""

    images: Images
    oracle: Oracle
    host: Host
    accelerator: str
    machines: dict[str, Guest] = field(default_factory=dict)
    mounts: list[View] = field(default_factory=list)
    made: int = 0

    def guest(self, name: str, hardware: Hardware) -> Guest:
        if name not in self.machines:
            self.machines[name] = Guest(name, self.images, self.oracle, hardware, self.accelerator)
        return self.machines[name]

    def disk(self, name: str, megabytes: int, *mkfs: str) -> Path:
        path = self.images.scratch / name
        if not path.exists():
            with open(path, "wb") as file:
                file.truncate(megabytes << 20)
            subprocess.run([*mkfs, path], check=True, capture_output=True)
        return path

    def mount(self, machine: Machine, kind: str, source: str, options: str, within: str = "") -> str:
        at = f"/mnt/{self.made}-{len(self.mounts)}"
        machine.sh(f"mkdir -p {at}; {within} mount -t {kind} -o {options} {source} {at}", 120)
        self.mounts.append(View(machine, at))
        return at

    def unmount(self) -> None:
        for mounted in reversed(self.mounts):
            mounted.machine.ask(f"umount {mounted.at} || umount -l {mounted.at}", 120)
        self.mounts.clear()

    def fresh(self, server: Machine, below: str) -> str:
        self.made += 1
        name = f"place{self.made}"
        server.sh(f"mkdir {below}/{name} && chmod 777 {below}/{name}")
        return name

    def end_machines(self) -> None:
        for guest in self.machines.values():
            guest.cut()
        self.machines.clear()
        self.mounts.clear()


EXPORTS = "/srv *(rw,sync,no_root_squash,no_subtree_check,insecure,fsid=0)"


def serve_nfs(server: Guest) -> None:
    """NFSv4.2 and v3. What the server must remember across a restart is on its disk."""
    server.sh("mkdir -p /srv; mount -t ext4 /dev/vda /srv; mkdir -p /srv/.nfs /var/lib/nfs; mount --bind /srv/.nfs /var/lib/nfs")
    server.sh("mkdir -p /var/lib/nfs/v4recovery /var/lib/nfs/sm /var/lib/nfs/sm.bak; chown -R statd /var/lib/nfs")
    start_statd(server)
    server.sh(f"mount -t nfsd nfsd /proc/fs/nfsd; echo '{EXPORTS}' >/etc/exports; exportfs -ra")
    server.sh("echo 10 >/proc/fs/nfsd/nfsv4gracetime; echo 10 >/proc/fs/nfsd/nfsv4leasetime; rpc.nfsd 4; rpc.mountd", 120)


def start_statd(machine: Guest) -> None:
    machine.sh("mkdir -p /run/rpcbind; rpcbind -w; rpc.statd --no-notify; until rpcinfo -p | grep -q status; do sleep 0.1; done")


def one(lab: Lab) -> Guest:
    """A machine that is a server, and has two clients of its own in network namespaces."""
    known = "one" in lab.machines
    disk = lab.disk("srv.img", 300, "mkfs.ext4", "-q")
    fat = lab.disk("vfat.img", 64, "mkfs.vfat")
    exfat = lab.disk("exfat.img", 64, "mkfs.exfat")
    guest = lab.guest("one", Hardware(load=(*NFS, *SMB, *FAT), disks=(disk, fat, exfat), megabytes=768))
    if not known:
        serve_nfs(guest)
        guest.sh("echo Y >/proc/fs/nfsd/v4_end_grace")
        ip = "/bin/ip"  # not busybox's, which does not support namespaces
        for n in (1, 2):
            guest.sh(f"{ip} netns add c{n}; {ip} link add v{n} type veth peer name eth0 netns c{n}; {ip} link set v{n} up")
            guest.sh(f"{ip} addr add 10.0.{n}.1/24 dev v{n}; {ip} -n c{n} addr add 10.0.{n}.2/24 dev eth0")
            guest.sh(f"{ip} -n c{n} link set eth0 up; {ip} -n c{n} link set lo up")
            guest.sh(f"{ip} netns exec c{n} busybox sh -c 'echo client-{n} >/sys/fs/nfs/net/nfs_client/identifier'")
    return guest


def nfs_in_one(options: str, mounts: int = 1, clients: bool = False, beside: bool = False) -> Callable[[Lab], Site]:
    """A mount, several mounts (perhaps each with a client of its own), or a mount and the server's directory."""

    def make(lab: Lab) -> Site:
        guest = one(lab)
        name = lab.fresh(guest, "/srv")
        export = "/srv" if "vers=3" in options else "/"
        views = []
        for n in range(mounts):
            within = f"nsenter --net=/run/netns/c{n + 1}" if clients else ""
            server = f"10.0.{n + 1}.1" if clients else "127.0.0.1"
            at = lab.mount(guest, "nfs", f"{server}:{export}", options, within)
            views.append(View(guest, f"{at}/{name}"))
        truth = View(guest, f"/srv/{name}")
        return Site([*views, truth] if beside else views, truth)

    return make


def three(lab: Lab) -> tuple[Guest, list[Guest]]:
    """A server and two clients: three kernels."""
    known = "server" in lab.machines
    disk = lab.disk("srv3.img", 300, "mkfs.ext4", "-q")
    server = lab.guest("server", Hardware(load=NFS, disks=(disk,), address="10.9.0.1"))
    if not known:
        serve_nfs(server)
        server.sh("echo Y >/proc/fs/nfsd/v4_end_grace")
    clients = [lab.guest(f"client{n}", Hardware(load=NFS, address=f"10.9.0.{n + 1}")) for n in (1, 2)]
    if not known:
        for client in clients:
            start_statd(client)
    return server, clients


def nfs_in_three(options: str, beside: bool = False) -> Callable[[Lab], Site]:
    def make(lab: Lab) -> Site:
        server, clients = three(lab)
        name = lab.fresh(server, "/srv")
        export = "/srv" if "vers=3" in options else "/"
        views = [View(client, lab.mount(client, "nfs", f"10.9.0.1:{export}", options) + f"/{name}") for client in clients]
        truth = View(server, f"/srv/{name}")
        return Site([*views, truth] if beside else views, truth)

    return make


SMB_CONF = """[global]
workgroup = W
server role = standalone server
map to guest = never
load printers = no
disable spoolss = yes
log level = 0
smb ports = 445
[srv]
path = /srv
read only = no
force user = root
"""


def smb(options: str, mounts: int = 1, beside: bool = False) -> Callable[[Lab], Site]:
    def make(lab: Lab) -> Site:
        guest = one(lab)
        if guest.ask("test -e /etc/samba/ours")[0] != 0:
            guest.sh("mkdir -p /etc/samba /var/lib/samba/private /run/samba /var/log/samba /var/cache/samba")
            guest.sh(f"printf '%s' '{SMB_CONF}' >/etc/samba/smb.conf; touch /etc/samba/ours")
            guest.sh("printf 'x\\nx\\n' | smbpasswd -s -a root && smbd -D", 180)
            guest.sh("until netstat -ltn | grep -q :445; do sleep 0.1; done", 180)
        name = lab.fresh(guest, "/srv")
        chosen = f"username=root,password=x,vers=3.1.1,{options}"
        views = [View(guest, lab.mount(guest, "cifs", "//127.0.0.1/srv", chosen) + f"/{name}") for _ in range(mounts)]
        truth = View(guest, f"/srv/{name}")
        return Site([*views, truth] if beside else views, truth)

    return make


def fat(kind: str, device: str) -> Callable[[Lab], Site]:
    def make(lab: Lab) -> Site:
        guest = one(lab)
        at = lab.mount(guest, kind, device, "rw")
        name = lab.fresh(guest, at)
        view = View(guest, f"{at}/{name}")
        return Site([view], view)

    return make


def shared(lab: Lab) -> Guest:
    """A machine that shares a directory with the host by 9p and by virtiofs."""
    if "shared" in lab.machines:
        return lab.machines["shared"]
    share = lab.images.scratch / "share"
    share.mkdir(exist_ok=True)
    options = ["-virtfs", f"local,path={share},mount_tag=ninep,security_model=none,multidevs=remap"]
    memory = 768
    options += ["-object", f"memory-backend-memfd,id=mem,size={memory}M,share=on", "-numa", "node,memdev=mem"]
    for number, name in enumerate(("plain", "flock") if C_DAEMON.exists() else ("plain",)):
        socket = lab.images.scratch / f"virtiofs-{name}"
        start_virtiofsd(lab, share, socket, name == "flock")
        options += ["-chardev", f"socket,id=fs{number},path={socket}"]
        options += ["-device", f"vhost-user-fs-pci,chardev=fs{number},tag={name}"]
    load = ("9p", "9pnet_virtio", "virtiofs", "fuse")
    return lab.guest("shared", Hardware(kernel="full", load=load, options=tuple(options), debian=False, megabytes=memory))


# Debian 12 has a virtiofsd written in C, which can pass flock on; later releases have one in Rust, which cannot.
C_DAEMON = Path("/usr/lib/qemu/virtiofsd")
RUST_DAEMON = Path("/usr/libexec/virtiofsd")


def start_virtiofsd(lab: Lab, share: Path, socket: Path, flock: bool) -> None:
    if C_DAEMON.exists():
        command = [str(C_DAEMON), f"--socket-path={socket}", "-o", f"source={share},sandbox=chroot" + (",flock" if flock else "")]
    else:
        command = [str(RUST_DAEMON), f"--socket-path={socket}", f"--shared-dir={share}", "--sandbox=none"]
    with open(lab.images.scratch / "virtiofsd.log", "ab") as log:
        daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    end = time.monotonic() + 60
    while not socket.exists():
        if time.monotonic() > end or daemon.poll() is not None:
            raise Trouble(f"{command[0]} does not start")
        time.sleep(0.02)


def from_host(kind: str, tag: str, options: str, beside: bool) -> Callable[[Lab], Site]:
    def make(lab: Lab) -> Site:
        if tag == "flock" and not C_DAEMON.exists():
            raise NotHere("this virtiofsd does not pass flock on")
        guest = shared(lab)
        share = lab.images.scratch / "share"
        name = lab.fresh(lab.host, str(share))
        at = lab.mount(guest, kind, tag, options)
        views = [View(guest, f"{at}/{name}")]
        truth = View(lab.host, str(share / name))
        return Site([*views, truth] if beside else views, truth)

    return make


# -------------------------------------------------------------------------------------------------------------- trying


@dataclass(frozen=True)
class Place:
    name: str
    make: Callable[[Lab], Site]
    # The promise that covers the processes there.
    scope: str = "mount"
    # What happens there instead of a storm.
    event: Callable[[Lab, Site, Seen], None] | None = None


class Slot:
    """One of the processes of a storm, which is started again when it was killed."""

    def __init__(self, oracle: Oracle, number: int, view: View, turns: int) -> None:
        self.oracle, self.number, self.view, self.turns = oracle, number, view, turns
        self.log = f"{view.machine.oracle}/w{number}"
        self.pid = 0

    def lines(self) -> list[str]:
        return self.view.machine.ask(f"cat {self.log} 2>/dev/null")[1].splitlines()

    def start(self) -> None:
        tried = [int(line.split("/")[-2]) for line in self.lines() if line.startswith("try ")]
        first = tried[-1] + 1 if tried else 0
        command = f"worker storm {self.view.machine.oracle} w{self.number} {first} {max(self.turns - first, 0)} {self.view.at}"
        self.pid = self.view.machine.start(command, f"{self.log}.said")

    def kill(self) -> None:
        self.oracle.is_about_to_kill(self.number)
        self.view.machine.kill(self.pid)
        self.oracle.has_killed(self.number)


def progress(slots: list[Slot]) -> tuple[int, list[Slot]]:
    """How many lines they have printed, and which of them still run."""
    lines, alive = 0, []
    for machine in {id(s.view.machine): s.view.machine for s in slots}.values():
        here = [slot for slot in slots if slot.view.machine is machine]
        lines += int(machine.sh(f"cat {' '.join(slot.log for slot in here)} 2>/dev/null | wc -l"))
        running = machine.running([slot.pid for slot in here])
        alive += [slot for slot in here if slot.pid in running]
    return lines, alive


def storm(lab: Lab, site: Site, turns: int, kills: int, seen: Seen) -> Counter[str]:
    """What was tried and what was acknowledged, as each process reported it."""
    slots = [Slot(lab.oracle, n, site.views[n % len(site.views)], turns) for n in range(WORKERS)]
    for machine in {id(v.machine): v.machine for v in site.views}.values():
        machine.sh(f"rm -f {machine.oracle}/w*")
    for slot in slots:
        slot.start()
    patience_s = PATIENCE_S + PATIENCE_PER_TURN_S * turns
    end = time.monotonic() + patience_s
    next_kill = turns // (kills + 1)
    while True:
        lines, alive = progress(slots)
        if not alive:
            break
        if time.monotonic() > end:
            seen.unfinished = f"{WORKERS} x {turns} turns not finished after {patience_s:g} s"
            break
        if seen.kills < kills and lines // (WORKERS * 3 // 2) >= next_kill:
            slot = alive[seen.kills % len(alive)]
            slot.kill()
            slot.start()
            seen.kills += 1
            next_kill += turns // (kills + 1)
        time.sleep(0.3)  # each look costs the machine as much as a turn
    said: Counter[str] = Counter()
    for slot in slots:
        slot.kill()
        lines_of = slot.lines()
        if not lines_of or lines_of[-1] != "done":
            told = slot.view.machine.ask(f"cat {slot.log}.said")[1].strip()
            seen.unfinished = seen.unfinished or f"w{slot.number} did not end well: {told or lines_of[-1:]}"
        count(lines_of, seen)
        said.update(line for line in lines_of if line.startswith(("try ", "ack ")))
    return said


def audit(said: Counter[str], truth: View, seen: Seen) -> None:
    """Every acknowledged entry is there, whole and once; every other line is an attempt of a process that was killed."""
    acknowledged = [line[4:] for line in said if line.startswith("ack ")]
    tried = {line[4:] for line in said if line.startswith("try ")}
    seen.acknowledged = len(acknowledged)
    exists = truth.machine.ask(f"test -e {truth.at}/changes.journal")[0] == 0
    content = truth.machine.read(f"{truth.at}/changes.journal").decode(errors="replace") if exists else ""
    _, *entries = content.split("\n")[:-1] if content else [""]
    there = Counter(entries)
    seen.missing = sum(1 for path in acknowledged if there[path] == 0)
    seen.twice = sum(1 for path in there if there[path] > 1)
    seen.spliced = sum(1 for path in there if path not in tried)
    seen.spliced += content.count("\0") + (not content.endswith("\n") and content != "")


@dataclass
class Started:
    """A worker in the background, and what it prints."""

    machine: Machine
    pid: int
    log: str

    def says(self, pattern: str, seconds: float) -> re.Match[str]:
        end = time.monotonic() + seconds
        while True:
            said = self.machine.ask(f"cat {self.log} 2>/dev/null")[1]
            found = re.search(pattern, said, re.MULTILINE)
            if found:
                return found
            if time.monotonic() > end or not self.machine.running([self.pid]):
                said = self.machine.ask(f"cat {self.log} 2>/dev/null")[1]
                found = re.search(pattern, said, re.MULTILINE)
                if found:
                    return found
                raise NotSaid(said.strip().splitlines()[-1] if said.strip() else f"nothing printed in {seconds:g} s")
            time.sleep(0.01)


class NotSaid(Exception):
    """A worker did not print what it should; the message is what it printed instead."""


def start(view: View, what: str, *arguments: str) -> Started:
    start.count += 1  # type: ignore[attr-defined]
    log = f"{view.machine.oracle}/said{start.count}"  # type: ignore[attr-defined]
    return Started(view.machine, view.machine.start(" ".join(["worker", what, view.at, *arguments]), log), log)


start.count = 0  # type: ignore[attr-defined]


def take_over(site: Site, rounds: int, seen: Seen) -> None:
    """A holder is killed, in turn before anybody waits and while somebody waits."""
    for number in range(rounds):
        holder = start(site.views[0], "hold")
        holder.says("^held$", 120)
        waiter = None
        if number % 2:
            waiter = start(site.views[-1], "take", "90000")
            waiter.says("^ready$", 60)
            time.sleep(1)  # long enough to wait, or to take a living holder's lock by mistake
            if not waiter.machine.running([waiter.pid]):
                seen.overlaps += 1
                seen.holds += 1
        holder.machine.kill(holder.pid)
        killed = time.monotonic()
        waiter = waiter or start(site.views[-1], "take", "90000")
        try:
            taken = waiter.says(r"^taken (\d+) \d+$", 120)
        except NotSaid as said:
            seen.not_taken = str(said)
            return
        seen.takeovers_ms.append((time.monotonic() - killed) * 1000 if number % 2 else int(taken[1]) / 1000)


def stand_in_line(site: Site, rounds: int, seen: Seen) -> None:
    """Waiters come one after the other while somebody holds the lock, and are served one after the other. This is
    tried only on one machine, whose clock is needed."""
    machine = site.views[0].machine
    if any(view.machine is not machine for view in site.views):
        return
    for _ in range(rounds):
        fifo = f"{machine.oracle}/fifo"
        machine.sh(f"rm -f {fifo}; mkfifo {fifo}")
        machine.start(f"jlock run {site.views[0].at} -- cat {fifo}")
        machine.sh(f"until test -e {site.views[0].at}/changes.journal.lock; do sleep 0.05; done")
        waiters = []
        for n in range(3):
            waiter = start(site.views[n % len(site.views)], "take", "60000")
            waiter.says("^ready$", 60)
            time.sleep(0.5)  # if there is a line, it is in it by now
            waiters.append(waiter)
        machine.sh(f"echo >{fifo}")
        try:
            times = [int(waiter.says(r"^taken \d+ (\d+)$", 120)[1]) for waiter in waiters]
        except NotSaid as said:
            seen.not_taken = str(said)
            return
        seen.waits += 1
        seen.in_order += times == sorted(times)


def server_is_cut(lab: Lab, site: Site, seen: Seen) -> None:
    """The holder keeps the lock, and a waiter goes on waiting."""
    server, (first, second) = three(lab)
    holder = start(site.views[0], "hold")
    holder.says("^held$", 120)
    waiter = start(site.views[1], "take", "600000")
    waiter.says("^ready$", 60)
    server.cut()
    server.boot()
    serve_nfs(server)
    # Wait out its grace period, in which it grants locks only to clients that had them before.
    first.sh(f"touch {site.views[0].at}/after", 180)
    second.sh(f"jlock probe {site.views[1].at} || true", 180)
    seen.holds, seen.overlaps = 2, 0 if waiter.machine.running([waiter.pid]) else 1
    holder.machine.kill(holder.pid)
    killed = time.monotonic()
    waiter.says(r"^taken (\d+) \d+$", 180)
    seen.takeovers_ms.append((time.monotonic() - killed) * 1000)
    first.sh(f"rm {site.views[0].at}/after")


def client_is_cut(lab: Lab, site: Site, seen: Seen) -> None:
    """Only the lock's age shows that the holder died."""
    _, clients = three(lab)
    start(site.views[0], "hold").says("^held$", 120)
    waiter = start(site.views[1], "take", "600000")
    waiter.says("^ready$", 60)
    time.sleep(1)
    seen.holds, seen.overlaps = 2, 0 if waiter.machine.running([waiter.pid]) else 1
    clients[0].cut()
    killed = time.monotonic()
    waiter.says(r"^taken (\d+) \d+$", 300)
    seen.takeovers_ms.append((time.monotonic() - killed) * 1000)
    lab.mounts = [mounted for mounted in lab.mounts if mounted.machine is not clients[0]]
    clients[0].boot()
    start_statd(clients[0])


def probe(site: Site, seen: Seen) -> None:
    """What is promised to all that take part."""
    promises: dict[str, bool] = {}
    for view in reversed(site.views):
        _, said = view.machine.ask(f"jlock probe --json {view.at}")
        if not said.startswith("{"):
            seen.refused = said.strip()
            return
        seen.probe = json.loads(said)
        promised = seen.probe["promises"]
        assert isinstance(promised, dict)
        promises = {name: bool(kept) and promises.get(name, True) for name, kept in promised.items()}
    seen.probe["promises"] = promises


def try_place(place: Place, lab: Lab, turns: int, kills: int) -> Seen:
    seen = Seen(place.name, scope=place.scope)
    try:
        site = place.make(lab)
        probe(site, seen)
        if place.event is not None:
            place.event(lab, site, seen)
        else:
            audit(storm(lab, site, turns, kills, seen), site.truth, seen)
        if seen.holds and place.event is None:
            take_over(site, 2, seen)
            stand_in_line(site, 2, seen)
            # Somebody who comes later sweeps what the dead have left; at most once a second, and for the dead of other
            # machines only once it is old.
            time.sleep(1.1 if all(view.machine is site.views[0].machine for view in site.views) else 31)
            later = start(site.views[0], "take", "60000")
            later.says("^taken", 120)
            while later.machine.running([later.pid]):
                time.sleep(0.02)
            left = site.truth.machine.sh(f"ls -A {site.truth.at}").split()
            seen.leftovers = sum(1 for name in left if name != "changes.journal")
    except NotHere as why:
        seen.not_here = str(why)
    except (Trouble, NotSaid) as why:
        seen.unfinished = seen.unfinished or str(why)
        if isinstance(why, Trouble):  # a machine may hang; the next place gets new ones
            lab.end_machines()
            return seen
    try:
        lab.unmount()
    except Trouble as why:
        seen.unfinished = seen.unfinished or str(why)
        lab.end_machines()
    return seen


# -------------------------------------------------------------------------------------------------------------- places


NINEP = "trans=virtio,version=9p2000.L,msize=262144"
PLACES = [
    Place("NFSv4.2, one client", nfs_in_one("vers=4.2")),
    Place("NFSv3, one client", nfs_in_one("vers=3")),
    Place("NFSv4.2, two mounts of one machine (nosharecache)", nfs_in_one("vers=4.2,nosharecache", 2), "machine"),
    Place("NFSv4.2, local_lock=all", nfs_in_one("vers=4.2,local_lock=all")),
    Place("NFSv3, nolock", nfs_in_one("vers=3,nolock")),
    Place("NFSv4.2, two clients in one kernel", nfs_in_one("vers=4.2", 2, clients=True), "other_machines"),
    Place("NFSv4.2, a client and the server's own processes, one kernel", nfs_in_one("vers=4.2", beside=True), "machine"),
    Place("NFSv4.2, two clients", nfs_in_three("vers=4.2"), "other_machines"),
    Place("NFSv3, two clients", nfs_in_three("vers=3"), "other_machines"),
    Place("NFSv3, two clients, nolock", nfs_in_three("vers=3,nolock"), "other_machines"),
    Place("NFSv4.2, two clients and the server's own processes", nfs_in_three("vers=4.2", beside=True), "other_machines"),
    Place("NFSv4.2, the server is restarted while a client holds", nfs_in_three("vers=4.2"), "other_machines", server_is_cut),
    Place("NFSv3, the server is restarted while a client holds", nfs_in_three("vers=3"), "other_machines", server_is_cut),
    Place("NFSv4.2, the power of a client is cut while it holds", nfs_in_three("vers=4.2"), "other_machines", client_is_cut),
    Place("SMB (cifs)", smb("uid=0")),
    Place("SMB (cifs), two mounts (nosharesock)", smb("uid=0,nosharesock", 2), "machine"),
    Place("SMB (cifs), nobrl", smb("uid=0,nobrl")),
    Place("SMB (cifs), and the server's own processes", smb("uid=0", beside=True), "machine"),
    Place("vfat", fat("vfat", "/dev/vdb")),
    Place("exfat", fat("exfat", "/dev/vdc")),
    Place("9p, in a guest", from_host("9p", "ninep", NINEP, False)),
    Place("9p, guest and host", from_host("9p", "ninep", NINEP, True), "other_machines"),
    Place("virtiofs, in a guest", from_host("virtiofs", "plain", "rw", False)),
    Place("virtiofs, guest and host", from_host("virtiofs", "plain", "rw", True), "other_machines"),
    Place("virtiofs (flock), in a guest", from_host("virtiofs", "flock", "rw", False)),
    Place("virtiofs (flock), guest and host", from_host("virtiofs", "flock", "rw", True), "other_machines"),
]



# ------------------------------------------------------------------------------------------------------------- running


@contextmanager
def laboratory(images: Path, accelerator: str) -> Iterator[Lab]:
    with tempfile.TemporaryDirectory(prefix="jlock-vm-") as scratch, tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        oracle = Oracle(Path(memory) / "oracle")
        host = Host(images.resolve(), Path(scratch), oracle)
        lab = Lab(Images(images.resolve(), Path(scratch)), oracle, host, accelerator)
        try:
            yield lab
        finally:
            lab.end_machines()
            host.end()


def enter_namespaces() -> None:
    """Enters a network in which the machines meet, and a PID namespace that ends all that was started."""
    if os.environ.get("JLOCK_VM") == "inside":
        return
    if os.geteuid() != 0:
        sys.exit("vm: needs root, for a network of its own")
    os.environ["JLOCK_VM"] = "inside"
    inside = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
    network = 'ip link set lo up multicast on; ip route add 224.0.0.0/4 dev lo; exec "$@"'
    os.execvp("unshare", ["unshare", *inside, "sh", "-c", network, "sh", sys.executable, *sys.argv])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, default=ROOT / "target/vm")
    parser.add_argument("--turns", type=int, default=120)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--only", action="append", default=[], help="only this place (a regular expression)")
    parser.add_argument("--accelerator", default="tcg,thread=multi", help="qemu's -accel")
    parser.add_argument("--save", type=Path, help="write what was seen to this file, for the table")
    arguments = parser.parse_args()
    enter_namespaces()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    chosen = [p for p in PLACES if not arguments.only or any(re.search(only, p.name) for only in arguments.only)]
    results, faulty = [], 0
    with laboratory(arguments.images, arguments.accelerator) as lab:
        for place in chosen:
            begun = time.monotonic()
            seen = try_place(place, lab, arguments.turns, arguments.kills)
            results.append(seen)
            if arguments.save:
                save(arguments.save, results, arguments.turns)
            faults = list(seen.faults())
            faulty += bool(faults)
            print(f"{place.name} ({time.monotonic() - begun:.1f} s): {'; '.join(cell for cell in cells(seen) if cell)}", flush=True)
            for fault in faults:
                print(f"    FAULT: {fault}", flush=True)
            for error, times in seen.errors.most_common(3):
                print(f"    {times} x {error}", flush=True)
    print(f"figure: places, virtual = {len(results)}")
    print(f"figure: holds in them = {sum(seen.holds for seen in results)}")
    print(f"figure: entries acknowledged in them = {sum(seen.acknowledged for seen in results)}")
    print(f"vm: {len(results) - faulty} passed, {faulty} failed")
    return 1 if faulty or not results else 0


if __name__ == "__main__":
    sys.exit(main())

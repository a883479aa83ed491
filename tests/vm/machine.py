"""Machines that a test gives commands to: virtual ones, and the host itself.

Each has a shell, on a console or a pipe. What a test starts in the background is the shell's child, so it is reaped
when it is killed. All share one file as the oracle's memory (worker.c has its layout), which guests see as a PCI
device.
"""

from __future__ import annotations

import base64
import itertools
import mmap
import os
import re
import select
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SLOT = 64
SLOTS = 64
# On an idle machine, it takes 2 s.
BOOT_S = 600.0
# What every guest needs, and has before it mounts anything.
MODULES = ["virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "virtio_rng", "overlay", "ext4"]


class Trouble(Exception):
    """The test itself does not work."""


class Oracle:
    """Who holds, recorded outside the place that is tested."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with open(path, "w+b") as file:
            file.truncate(1 << 20)
            self.memory = mmap.mmap(file.fileno(), SLOT * SLOTS)

    def is_about_to_kill(self, slot: int) -> None:
        struct.pack_into("<I", self.memory, slot * SLOT + 4, 1)

    def has_killed(self, slot: int) -> None:
        struct.pack_into("<II", self.memory, slot * SLOT, 0, 0)


class Machine:
    """A machine that has a shell."""

    def __init__(self, name: str, oracle: str) -> None:
        self.name = name
        self.oracle = oracle
        self._input = self._output = -1
        self._pending = b""
        self._count = itertools.count(1)

    def sh(self, command: str, seconds: float = 60) -> str:
        """Runs a command; a status other than 0 is an error."""
        status, said = self.ask(command, seconds)
        if status != 0:
            raise Trouble(f"{self.name}: {command}: status {status}: {said.strip()}")
        return said

    def ask(self, command: str, seconds: float = 60) -> tuple[int, str]:
        number = next(self._count)
        self._send(f"{{ {command}\n}} 2>&1\necho \"@$?@{number}@\"\n".encode(), seconds)
        end = re.compile(rb"@(\d+)@%d@\r?\n" % number)
        return self._read_until(end, seconds, command)

    def _send(self, data: bytes, seconds: float) -> None:
        end = time.monotonic() + seconds
        while data:
            _, ready, _ = select.select([], [self._output], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise Trouble(f"{self.name}: accepts no command")
            data = data[os.write(self._output, data) :]

    def _read_until(self, pattern: re.Pattern[bytes], seconds: float, what: str) -> tuple[int, str]:
        end = time.monotonic() + seconds
        while not (found := pattern.search(self._pending)):
            ready, _, _ = select.select([self._input], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise Trouble(f"{self.name}: {what}: no reply; it printed {self._pending[-300:]!r}{self.log()}")
            try:
                data = os.read(self._input, 1 << 16)
            except ConnectionResetError:
                data = b""
            if not data:
                raise Trouble(f"{self.name}: {what}: it ended; it printed {self._pending[-300:]!r}{self.log()}")
            self._pending += data
        said, self._pending = self._pending[: found.start()], self._pending[found.end() :]
        return int(found[1]), said.decode(errors="replace")

    def log(self) -> str:
        """What else is known about the machine."""
        return ""

    def start(self, command: str, log: str = "/dev/null") -> int:
        """Starts a simple command in the background, as a child of the shell, and returns its PID."""
        return int(self.sh(f"{command} </dev/null >{log} 2>&1 & echo $!"))

    def kill(self, pid: int) -> None:
        self.ask(f"kill -9 {pid}; wait {pid}")

    def running(self, pids: list[int]) -> list[int]:
        """Those that have not ended."""
        states = self.sh(f"for p in {' '.join(map(str, pids))}; do echo $p $(cut -d' ' -f3 /proc/$p/stat 2>/dev/null); done")
        return [int(words[0]) for line in states.splitlines() if len(words := line.split()) == 2 and words[1] not in "ZX"]

    def read(self, path: str) -> bytes:
        """The bytes of a file, encoded on the way so that the terminal changes nothing."""
        return base64.b64decode(self.sh(f"base64 {path}"))


class Host(Machine):
    """This machine, as one that shares a directory with its guests."""

    def __init__(self, programs: Path, scratch: Path, oracle: Oracle) -> None:
        at = scratch / "host"
        at.mkdir()
        (at / "memory").symlink_to(oracle.path)
        super().__init__("host", str(at))
        environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
        self.shell = subprocess.Popen(["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=0)
        assert self.shell.stdin is not None and self.shell.stdout is not None
        self._output, self._input = self.shell.stdin.fileno(), self.shell.stdout.fileno()

    def end(self) -> None:
        self.shell.kill()
        self.shell.wait()


@dataclass
class Hardware:
    """What a guest has in addition to what all guests have."""

    kernel: str = "cloud"
    load: tuple[str, ...] = ()
    disks: tuple[Path, ...] = ()
    options: tuple[str, ...] = ()
    # Debian's programs, or only busybox, the worker and the command.
    debian: bool = True
    address: str = ""
    megabytes: int = 512


@dataclass
class Images:
    """What guests are made from, as built by `make`."""

    at: Path
    scratch: Path
    made: dict[tuple[str, tuple[str, ...]], Path] = field(default_factory=dict)

    def kernel(self, flavour: str) -> Path:
        found = [path for path in sorted((self.at / "boot").glob("vmlinuz-*")) if ("cloud" in path.name) == (flavour == "cloud")]
        if not found:
            raise Trouble(f"no kernel ({flavour}) in {self.at}")
        return found[-1]

    def initrd(self, flavour: str, load: tuple[str, ...]) -> Path:
        key = (flavour, load)
        if key not in self.made:
            self.made[key] = self._make(flavour, load)
        return self.made[key]

    def _make(self, flavour: str, load: tuple[str, ...]) -> Path:
        version = self.kernel(flavour).name.removeprefix("vmlinuz-")
        tree = self.scratch / f"initrd-{len(self.made)}"
        modules = tree / "lib/modules" / version
        for name in ("bin", "dev", "proc", "sys", "tmp", "run", "etc"):
            (tree / name).mkdir(parents=True)
        for source in self._modules(version, [*MODULES, *load]):
            target = modules / source.relative_to(self.at / "lib/modules" / version)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
            shutil.copyfile(self.at / "lib/modules" / version / name, modules / name)
        subprocess.run(["depmod", "-b", tree, version], check=True)
        (tree / "modules").write_text("\n".join(MODULES))
        shutil.copy(Path(__file__).parent / "init", tree / "init")
        (tree / "init").chmod(0o755)
        for program in ("worker", "marked", "jlock"):
            shutil.copy(self.at / program, tree / "bin" / program)
        busybox = self.at / "busybox"
        shutil.copy(busybox, tree / "bin/busybox")
        for applet in subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split():
            if not (tree / "bin" / applet).exists():
                (tree / "bin" / applet).symlink_to("busybox")
        return self._pack(tree)

    def _modules(self, version: str, names: list[str]) -> Iterator[Path]:
        """The files of these modules and of all modules that they depend on."""
        at = self.at / "lib/modules" / version
        depends: dict[str, list[str]] = {}
        for line in (at / "modules.dep").read_text().splitlines():
            path, _, needed = line.partition(":")
            depends[Path(path).name.split(".")[0].replace("-", "_")] = [path, *needed.split()]
        for name in names:
            yield from (at / path for path in depends.get(name.replace("-", "_"), []))

    def _pack(self, tree: Path) -> Path:
        archive = tree.with_suffix(".cpio")
        names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
        with open(archive, "wb") as out:
            subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=tree, input=names.encode(), stdout=out, check=True)
        shutil.rmtree(tree)
        return archive


class Guest(Machine):
    """A virtual machine. It ends with `cut`, which is a power cut, whatever the machine was doing."""

    def __init__(self, name: str, images: Images, oracle: Oracle | None, hardware: Hardware, accelerator: str) -> None:
        super().__init__(name, "/oracle")
        self.images, self.hardware, self.accelerator = images, hardware, accelerator
        self.shared_oracle = oracle
        self.serial = images.scratch / f"{name}.serial"
        self.process: subprocess.Popen[bytes] | None = None
        self.console: socket.socket | None = None
        self.boot()

    def boot(self) -> None:
        path = self.images.scratch / f"{self.name}.console"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            listening.listen()
            with open(self.images.scratch / f"{self.name}.log", "ab") as log:
                self.process = subprocess.Popen(self._command(path), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            listening.settimeout(BOOT_S)
            self.console, _ = listening.accept()
        self._input = self._output = self.console.fileno()
        self._pending = b""
        self.sh("true", BOOT_S)
        if self.hardware.load:
            self.sh(f"modprobe -a {' '.join(self.hardware.load)}", BOOT_S)

    def _command(self, console: Path) -> list[str]:
        hardware, images = self.hardware, self.images
        disks = list(hardware.disks)
        arguments = [f"console=ttyS0 quiet panic=-1 no_timer_check mitigations=off cryptomgr.notests nokaslr ima_appraise=off host={self.name} address={hardware.address}"]
        drives = [f"file={disk},format=raw,if=virtio,cache=writeback" for disk in disks]
        if hardware.debian:
            drives.append(f"file={images.at / 'root.img'},format=raw,if=virtio,readonly=on")
            arguments.append(f"disk_root=/dev/vd{chr(ord('a') + len(disks))}")
        command = [
            *("qemu-system-x86_64", "-M", "pc", "-accel", self.accelerator, "-cpu", "qemu64", "-smp", "2", "-m", str(hardware.megabytes)),
            *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-device", "virtio-rng-pci"),
            *("-kernel", str(images.kernel(hardware.kernel)), "-initrd", str(images.initrd(hardware.kernel, hardware.load))),
            *("-append", " ".join(arguments), "-serial", f"file:{self.serial}"),
            *("-device", "virtio-serial-pci", "-chardev", f"socket,id=console,path={console}", "-device", "virtserialport,chardev=console"),
        ]
        # With one queue, flushes end in the order in which they began. dm-log-writes lists a write with the first flush that
        # begins after it, when that one ends: if a later one could end earlier, what it made durable would seem to be lost.
        command += ["-global", "virtio-blk-pci.num-queues=1"]
        for drive in drives:
            command += ["-drive", drive]
        if hardware.address:
            last = int(hardware.address.rsplit(".", 1)[1])
            command += ["-netdev", "socket,id=net,mcast=230.0.0.1:1234,localaddr=127.0.0.1"]
            command += ["-device", f"virtio-net-pci,netdev=net,mac=52:54:00:00:00:{last:02x}"]
        if self.shared_oracle is not None:
            path = self.shared_oracle.path
            command += ["-object", f"memory-backend-file,id=oracle,share=on,mem-path={path},size={path.stat().st_size}"]
            command += ["-device", "ivshmem-plain,memdev=oracle"]
        return [*command, *hardware.options]

    def cut(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        if self.console is not None:
            self.console.close()
            self.console = None

    def log(self) -> str:
        emulator, console = self.images.scratch / f"{self.name}.log", self.serial
        return "".join(f"\n{path.name}: {path.read_text(errors='replace')[-1500:]}" for path in (emulator, console) if path.exists())

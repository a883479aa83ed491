#!/usr/bin/env python3
"""Tries the library as `make cross` built it: for other architectures, and for another C library.

For each target: which glibc it asks for; the claims of tests/c, one by one; a contained panic in the shared library;
the test vectors. Then processes of all targets form a crowd on one journal, in which some are killed, with an oracle
that sees whether two held the lock at once and what was acknowledged. What cannot run here directly runs under
qemu-user.

What cannot be shown there, mostly because of qemu-user, is listed in `GAPS`, with the reason. A claim that is listed
there must fail, or the list is wrong.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/places"), str(ROOT / "mk/packages")]

import target as cross  # noqa: E402
from places import Seen, audit, count  # noqa: E402

BUILT = ROOT / "target/cross"
PROGRAMS = ("options", "errors", "lock", "fork", "journal", "faults", "guest", "place", "names", "contained")
# The functions that contained.c defines in place of the C library's.
WRAPPED = ("memchr", "malloc", "calloc", "realloc", "posix_memalign")
CROWD_S = 900.0
VECTOR_TESTS = 5

# Claims that fail, but not because of the library: on which targets, by qemu-user's name, and why.
EVERYWHERE = "aarch64 arm riscv64 s390x"
NO_SECCOMP = "prctl(PR_SET_SECCOMP) is not implemented, and the claim uses it to refuse or watch a system call"
INLINE = "the claim puts a bug into memchr(3), for which s390x has an instruction; running out of memory unwinds there too"
GAPS: dict[str, tuple[str, str]] = {
    "the_keepalive_thread_takes_no_signals": (EVERYWHERE, "/proc shows the signal mask of qemu-user's own thread"),
    "a_child_is_told_where_the_kernel_only_says_that_it_wipes_pages": (EVERYWHERE, NO_SECCOMP),
    "a_fork_does_not_wait_for_an_open_of_another_thread": (EVERYWHERE, NO_SECCOMP),
    "a_sleep_that_is_refused_is_slept_in_another_way": (EVERYWHERE, NO_SECCOMP),
    "a_panic_is_silent_and_its_message_arrives": ("s390x", INLINE),
    "after_a_panic_a_handle_can_only_be_closed": ("s390x", INLINE),
    "a_thread_that_met_a_panic_goes_on": ("s390x", INLINE),
    "a_panic_in_the_shared_library_is_contained": ("s390x", INLINE),
}


class Target(cross.Target):
    @property
    def is_musl(self) -> bool:
        return self.zig.endswith("-musl")

    @property
    def glibc(self) -> tuple[int, ...]:
        return tuple(int(number) for number in self.zig.split("gnu")[1].split(".")[1:] if number.isdigit())

    @property
    def dist(self) -> Path:
        return BUILT / self.name

    @property
    def shared(self) -> Path:
        return (self.dist / "libjlock.so.0").resolve()

    @property
    def programs(self) -> Path:
        return BUILT / self.name / "tests"

    def compile(self, name: str, *sources: str, shared: bool = False, wrapped: tuple[str, ...] = ()) -> Path:
        """Compiles with the archive inside or with the shared library; for musl, the former is static through and
        through."""
        self.programs.mkdir(parents=True, exist_ok=True)
        program = self.programs / name
        flags = ["-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-pthread"]
        flags += ["-D_FILE_OFFSET_BITS=64", f"-I{ROOT}/include"]
        if self.is_musl:
            command = [sys.executable, "-m", "ziglang", "cc", "-target", self.zig, "-fno-sanitize=undefined"]
            system = [] if shared else ["-lunwind"]
            flags += ["-dynamic"] if shared else ["-static"]
        else:
            command = [f"{self.tools}-gcc"]
            system = ["-lpthread", "-ldl", "-lm"]
        if self.name == "i686-gnu":  # Debian's cross-building libraries are not where the loader is
            lib = f"/usr/{self.tools}/lib"
            flags += [f"-Wl,--dynamic-linker={lib}/ld-linux.so.2", f"-Wl,-rpath,{lib}"]
        library = [str(self.shared), f"-Wl,-rpath,{self.dist}"] if shared else [str(self.archive(wrapped, flags))]
        files = [str(ROOT / "tests" / source) for source in sources]
        environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(BUILT / "zig")}
        done = subprocess.run(
            [*command, *flags, "-o", str(program), *files, *library, *system],
            env=environment, capture_output=True, text=True, check=False, cwd=ROOT,
        )
        if done.returncode != 0:
            raise SystemExit(f"{self.name}: {name} does not compile:\n{done.stderr}")
        return program

    def archive(self, wrapped: tuple[str, ...], flags: list[str]) -> Path:
        """The library with its calls of these functions going to __wrap_NAME; __real_NAME is the original."""
        archive = self.dist / "libjlock.a"
        if not self.is_musl:
            flags += [f"-Wl,--wrap={name}" for name in wrapped]
            return archive
        if not wrapped:
            return archive
        renamed = self.programs / "wrapped.a"  # zig's linker cannot wrap
        names = [f"--redefine-sym={name}=__wrap_{name}" for name in wrapped]
        text([f"{self.tools}-objcopy", *names, str(archive), str(renamed)])
        flags += [f"-D__real_{name}={name}" for name in wrapped]
        return renamed

    def command(self, program: Path) -> list[str]:
        root = BUILT / "musl-arm64" if self.is_musl else Path("/usr") / self.tools
        return [*self.emulated("-L", str(root)), str(program)]


def targets(names: list[str]) -> list[Target]:
    every = [Target(*line) for line in cross.fields()]
    chosen = [target for target in every if not names or target.name in names]
    if len(chosen) < len(names):
        raise SystemExit(f"cross.py: of {', '.join(names)}, mk/cross.txt has only {len(chosen)}")
    return chosen


def text(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


# ---------------------------------------------------------------------------------------------------------- the library


def faults_of_the_file(target: Target) -> Iterator[str]:
    """What is wrong with what the shared library asks of the system that loads it."""
    needs = re.findall(r"\(NEEDED\).*\[(.*)\]", text(["readelf", "--dynamic", "--wide", str(target.shared)]))
    asked = {
        tuple(int(number) for number in version.split("."))
        for version in re.findall(r"Name: GLIBC_([0-9.]+)", text(["readelf", "--version-info", "--wide", str(target.shared)]))
    }
    if target.is_musl:
        if asked or needs != ["libc.so"]:  # musl's loader is libc.so itself
            yield f"it needs {needs} and asks for glibc's {sorted(asked)}"
        return
    oldest = ".".join(map(str, target.glibc))
    if not asked or max(asked) > target.glibc:
        yield f"it asks for glibc's {sorted(asked)}, not {oldest} at most"
    strange = [name for name in needs if not re.match(r"lib(c|m|dl|pthread|gcc_s)\.so\.|ld-linux|ld\d*\.so", name)]
    if strange:
        yield f"it needs {strange}"


# ----------------------------------------------------------------------------------------------------------- the claims


def prove(target: Target, program: Path, claim: str) -> str:
    """Why the claim failed, or nothing."""
    with tempfile.TemporaryDirectory(prefix="jlock-cross-") as scratch:
        done = subprocess.run(
            [*target.command(program), claim, scratch], capture_output=True, text=True, errors="replace", check=False, timeout=120
        )
    if done.returncode == 0:
        return ""
    said = done.stderr.strip().splitlines()
    return said[-1] if said else f"ended with {done.returncode}"


def gap(target: Target, claim: str) -> str:
    where, why = GAPS.get(claim, ("", ""))
    return why if not target.is_native and target.qemu in where.split() else ""


def claims(target: Target) -> Iterator[tuple[str, str]]:
    """Each claim, and why it failed."""
    compiled = []
    for name in PROGRAMS:
        wrapped = WRAPPED if name == "contained" else ()
        compiled.append(target.compile(name, f"c/{name}.c", "c/claim.c", wrapped=wrapped))
    compiled.append(target.compile("shared", "cross/shared.c", "c/claim.c", shared=True))
    pairs = [(program, claim) for program in compiled for claim in text(target.command(program)).split()]
    with ThreadPoolExecutor(2) as pool:
        yield from zip(
            (f"{program.name}: {claim}" for program, claim in pairs),
            pool.map(lambda pair: prove(target, *pair), pairs),
        )


def vectors(target: Target) -> str:
    program = target.compile("vectors", "c/vectors.c")
    done = subprocess.run(
        ["cargo", "test", "--quiet", "--test", "vectors", "--", "c::"],
        env={**os.environ, "JLOCK_VECTORS_C": " ".join(target.command(program))},
        cwd=ROOT, capture_output=True, text=True, check=False,
    )
    if done.returncode != 0:
        return done.stdout + done.stderr
    ran = re.search(r"(\d+) passed", done.stdout)
    return "" if ran and int(ran[1]) == VECTOR_TESTS else f"not {VECTOR_TESTS} tests ran: {done.stdout}"


def try_claims(target: Target) -> list[str]:
    """Tries all claims of one target, and returns what is wrong."""
    faults = [f"{target.name}: {fault}" for fault in faults_of_the_file(target)]
    proved = gaps = 0
    for claim, why in claims(target):
        reason = gap(target, claim.split(": ")[1])
        if bool(why) == bool(reason):
            proved += not why
            gaps += bool(why)
        else:
            faults.append(f"{target.name}: {claim}: {why or f'is proved, so it is not a gap ({reason})'}")
    size = target.shared.stat().st_size / 1000
    print(f"{target.name:13} {size:4.0f} KB, {proved} claims proved, {gaps} gaps", flush=True)
    return faults


def try_vectors(target: Target) -> list[str]:
    why = vectors(target)
    print(f"{target.name:13} the vectors {'fail' if why else 'agree'}", flush=True)
    return [f"{target.name}: vectors: {why}"] if why else []


# ------------------------------------------------------------------------------------------------------------ the crowd


class Member:
    """One process of the crowd, which is started again when it was killed."""

    def __init__(self, name: str, command: list[str], oracle: Path, turns: int, at: Path) -> None:
        self.name, self.command, self.oracle, self.turns, self.at = name, command, oracle, turns, at
        self.kills = 0
        self.process = self.start(0)

    def lines(self) -> list[str]:
        log = self.oracle / self.name
        return log.read_text().splitlines() if log.exists() else []

    def start(self, first: int) -> subprocess.Popen[bytes]:
        left = str(max(self.turns - first, 0))
        return subprocess.Popen([*self.command, "storm", str(self.oracle), self.name, str(first), left, str(self.at)])

    def kill_when_halfway(self) -> None:
        tried = [int(line.split("/")[-2]) for line in self.lines() if line.startswith("try ")]
        if self.kills == 0 and tried and tried[-1] >= self.turns // 2:
            self.process.kill()
            self.process.wait()
            self.kills += 1
            tried = [int(line.split("/")[-2]) for line in self.lines() if line.startswith("try ")]
            self.process = self.start(tried[-1] + 1)


def crowd_of(workers: list[tuple[str, list[str]]], holds: int, scratch: Path) -> tuple[Seen, int]:
    """Two processes of each target, one of which is killed halfway; half of the turns are holds, half are appends."""
    oracle, place = scratch / "oracle", scratch / "place"
    for directory in (oracle, place):
        directory.mkdir()
    turns = -(-holds // len(workers))
    members = [
        Member(f"w{number}-{copy}", command, oracle, turns, place)
        for number, (_, command) in enumerate(workers)
        for copy in range(2)
    ]
    seen = Seen("crowd")
    end = time.monotonic() + CROWD_S
    try:
        while any(member.process.poll() is None for member in members):
            if time.monotonic() > end:
                seen.unfinished = f"not finished after {CROWD_S:g} s"
                break
            for member in members[::2]:
                member.kill_when_halfway()
            time.sleep(0.05)
    finally:
        for member in members:
            member.process.kill()
            member.process.wait()
    for member in members:
        lines = member.lines()
        count(lines, seen)
        if "done" not in lines:
            seen.unfinished = seen.unfinished or f"{member.name} ended with {member.process.returncode}"
    audit(oracle, place / "changes.journal", seen)
    return seen, sum(member.kills for member in members)


def faults_of_the_crowd(seen: Seen, holds: int, kills: int, expected_kills: int) -> Iterator[str]:
    if seen.unfinished:
        yield seen.unfinished
    if seen.overlaps or seen.told:
        yield f"of {seen.holds} holds {seen.overlaps} overlap, {seen.told} were lost"
    if seen.holds < holds - expected_kills:
        yield f"{seen.holds} holds, not {holds}"
    if seen.missing or seen.twice or seen.spliced:
        yield f"{seen.missing} acknowledged entries missing, {seen.twice} twice, {seen.spliced} lines spliced"
    if seen.errors:
        yield f"errors: {dict(seen.errors)}"
    if kills != expected_kills:
        yield f"{kills} kills, not {expected_kills}"


def oracle_sees(worker: list[str], scratch: Path) -> bool:
    """Whether the oracle would notice: if a process holds while another does, each of its holds is an overlap."""
    oracle = scratch / "blind"
    oracle.mkdir()
    with open(oracle / "held", "wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        subprocess.run([*worker, "storm", str(oracle), "w", "0", "20", str(scratch / "elsewhere")], check=True, timeout=60)
    seen = Seen("oracle")
    count((oracle / "w").read_text().splitlines(), seen)
    return seen.holds == seen.overlaps == 10


def crowd(chosen: list[Target], holds: int) -> list[str]:
    workers = [(target.name, target.command(target.compile("worker", "places/worker.c"))) for target in chosen]
    with tempfile.TemporaryDirectory(prefix="jlock-crowd-") as name:
        scratch = Path(name)
        faults = [f"{name}: the oracle is blind" for name, worker in workers if not oracle_sees(worker, scratch_of(scratch, name))]
        begun = time.monotonic()
        seen, kills = crowd_of(workers, holds, scratch_of(scratch, "crowd"))
        took = time.monotonic() - begun
    print(
        f"crowd of {len(workers)}: {seen.holds} holds, {seen.overlaps} overlaps, {seen.acknowledged} entries acknowledged,"
        f" {seen.missing} missing, {kills} kills, {took:.0f} s",
        flush=True,
    )
    return [*faults, *(f"crowd: {fault}" for fault in faults_of_the_crowd(seen, holds, kills, len(workers)))]


def scratch_of(parent: Path, name: str) -> Path:
    scratch = parent / name
    scratch.mkdir()
    return scratch


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", help="of mk/cross.txt; all of them")
    parser.add_argument("--holds", type=int, default=12000, help="of the crowd (%(default)s)")
    parser.add_argument("--only", choices=("claims", "vectors", "crowd"), help="one part; all of them")
    arguments = parser.parse_args()
    chosen = targets(arguments.names)
    faults: list[str] = []
    for part, attempt in (("claims", try_claims), ("vectors", try_vectors)):
        if arguments.only in (None, part):
            faults += [fault for target in chosen for fault in told(attempt(target))]
    if arguments.only in (None, "crowd"):
        faults += told(crowd(chosen, arguments.holds))
    return 1 if faults else 0


def told(faults: list[str]) -> list[str]:
    for fault in faults:
        print(f"cross.py: {fault}", file=sys.stderr, flush=True)
    return faults


if __name__ == "__main__":
    sys.exit(main())

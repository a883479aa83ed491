#!/usr/bin/env python3
"""The second implementation, with the interface that the storms (../storm/second.rs) expect.

    storm.py DIR PREFIX < PATHS     appends PREFIX/path for each line, stamps each tenth, and prints `ack ENTRY`
    storm.py --hold N DIR ROOT      holds N times, with ROOT/marker and ROOT/counter; prints `held START END` or `clash`
    storm.py --keep DIR             prints `acquired`, and holds until its standard input ends or it is killed
"""

import contextlib
import os
import sys
import time

from evidence import slurp
from peer import Peer


def write(peer: Peer, prefix: str) -> None:
    longest = 0.0
    for number, line in enumerate(sys.stdin, 1):
        entry, begun = f"{prefix}/{line.rstrip()}", time.monotonic()
        peer.append(entry.encode(), stamp_ms=None if number % 10 else int(time.time() * 1000))
        longest = max(longest, time.monotonic() - begun)
        print("ack", entry, flush=True)
    print(f"wait {longest * 1000:.3f}", flush=True)


def hold(peer: Peer, count: int, root: str) -> None:
    marker, counter = os.path.join(root, "marker"), os.path.join(root, "counter")
    for _ in range(count):
        peer.acquire()
        start, alone = time.monotonic_ns(), True
        try:
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            alone = False
            print("clash")
        counted = int(slurp(counter) or 0)
        os.sched_yield()
        with open(counter, "w") as file:
            file.write(str(counted + 1))
        if alone:
            os.unlink(marker)
        print("held", start, time.monotonic_ns())
        peer.release()


def keep(peer: Peer) -> None:
    peer.acquire()
    print("acquired", flush=True)
    sys.stdin.read()


def main(mode: str, *words: str) -> None:
    directory = {"--hold": words[1:2], "--keep": words[:1]}.get(mode, [mode])[0]
    with contextlib.closing(Peer(directory)) as peer:
        if mode == "--hold":
            hold(peer, int(words[0]), words[2])
        elif mode == "--keep":
            keep(peer)
        else:
            write(peer, words[0])


if __name__ == "__main__":
    main(*sys.argv[1:])

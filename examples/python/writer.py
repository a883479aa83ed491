#!/usr/bin/env python3
"""Append each path on standard input to a journal: writer.py DIR PREFIX < paths

Every entry is PREFIX/path; every tenth also stamps the header. Prints `ack <entry>` once an entry is in the journal, and
at the end `wait <milliseconds>`, the time that the longest call took.
"""

from __future__ import annotations

import sys
import time

from jlock import Journal


def say(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def main(directory: str, prefix: str) -> None:
    journal = Journal(directory)
    longest = 0.0
    for count, line in enumerate(sys.stdin.buffer, 1):
        entry = prefix.encode() + b"/" + line.rstrip(b"\n")
        began = time.perf_counter()
        if count % 10 == 0:
            journal.append_stamped([entry], timestamp_ms=time.time_ns() // 1_000_000)
        else:
            journal.append([entry])
        longest = max(longest, time.perf_counter() - began)
        say(b"ack " + entry)
    say(b"wait %.3f" % (longest * 1000))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: writer.py DIR PREFIX < paths")
    try:
        main(*sys.argv[1:])
    except (OSError, ValueError) as error:
        sys.exit(f"writer.py: {error}")

#!/usr/bin/env python3
"""Makes docs/places.md from what places.py and vm.py have saved, each in a file of its own.

    table.py SAVED... >docs/places.md
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections import Counter
from pathlib import Path

from places import Seen, cells


def load(path: Path) -> tuple[int, list[Seen]]:
    saved = json.loads(path.read_text())
    return saved["turns"], [Seen(**{**seen, "errors": Counter(seen["errors"])}) for seen in saved["seen"]]


def table(results: list[Seen], turns: str) -> str:
    date = time.strftime("%Y-%m-%d", time.gmtime())
    out = [
        "# Places",
        "",
        "<!-- made by `make places-table` (tests/places/table.py); not to be edited -->",
        "",
        "What the library does in places other than a local disk: each cell is from a run of `make test-places` or, if it needs",
        "a virtual machine, of `make test-vm`.",
        f"Four processes made {turns} turns each, alternately holds and appends, and were killed now and then; an oracle that does",
        "not use the place checked them. *Holds*: `jlock probe` promises it there, and the promise was kept. *Not promised*: the",
        "probe says so, and why; the figures are what was seen nevertheless. *Refused*: the library does not work there, and says",
        "so.",
        "",
        f"Made on {date}, Linux {platform.release().split('-')[0]}, {os.cpu_count()} CPUs; in virtual machines, Debian's Linux 6.1.",
        "",
        "| place | exclusion | takeover | entries arrive | order |",
        "| --- | --- | --- | --- | --- |",
    ]
    out += [f"| {' | '.join([seen.name, *(cell.replace('|', '/') for cell in cells(seen))])} |" for seen in results]
    reasons: dict[str, list[str]] = {}
    for seen in results:
        reason = seen.probe.get("reason")
        if isinstance(reason, str):
            reasons.setdefault(reason, []).append(seen.name)
    out += ["", "## What the probe says", ""]
    out += [f"- {reason} ({'; '.join(names)})" for reason, names in reasons.items()]
    return "\n".join(out) + "\n"


def main() -> int:
    saved = [load(Path(name)) for name in sys.argv[1:]]
    # The last run of a place counts; but a machine without a place says nothing about a run elsewhere.
    last: dict[str, Seen] = {}
    for one in (one for _, results in saved for one in results):
        if one.name not in last or not one.not_here:
            last[one.name] = one
    seen = list(last.values())
    turns = sorted({turns for turns, _ in saved})
    print(table(seen, " or ".join(map(str, turns))), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())

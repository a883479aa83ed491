#!/usr/bin/env python3
"""What `make packages` found, as a table.

    table.py            writes target/packages/table.md, and prints it
    table.py --page     puts it into docs/packages.md, between its two markers

Each maker of packages leaves a file for each line in target/packages/results.
"""

from __future__ import annotations

import datetime
import json
import platform
import sys

from common import OUT, RESULTS, ROOT

TABLE = OUT / "table.md"
PAGE = ROOT / "docs" / "packages.md"
BEGIN, END = "<!-- packages:begin -->", "<!-- packages:end -->"


def machine() -> str:
    today = datetime.datetime.now(datetime.timezone.utc).date()
    return f"{today}, {platform.machine()}, {platform.system()} {platform.release().split('-')[0]}"


def table() -> str:
    lines = ["| package | platform | installed by | brings | size | tests |", "| --- | --- | --- | --- | ---: | --- |"]
    for path in sorted(RESULTS.glob("*.json")):
        each = json.loads(path.read_text())
        tests = each["tests"] if each["passed"] else f"**{each['tests']}**"
        size = f"{each['size'] // 1000:,} KB"
        cells = (each["package"], each["platform"], f"`{each['install']}`", each["contents"], size, tests)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"`make packages`, {machine()}.", ""])


def into_page(text: str) -> None:
    before, begin, rest = PAGE.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{PAGE.name} has no {BEGIN} … {END}")
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def main() -> None:
    if "--page" in sys.argv:
        into_page(TABLE.read_text())
        return
    TABLE.write_text(table())
    print(TABLE.read_text())


if __name__ == "__main__":
    main()

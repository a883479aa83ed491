"""page.py RESULTS: puts the results of the last benchmark into docs/benchmark.md, between its markers, and the plots into
benches/plots. It accepts only the results of a complete run on a quiet machine. `make bench-page` runs it."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "benchmark.md"
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def section(results: Path) -> str:
    found = json.loads((results / "results.json").read_text())
    if not found["complete"]:
        sys.exit("page.py: the last run was not complete")
    if not found["quiet"]:
        sys.exit(f"page.py: the machine was busy with other things (idle: {found['idle']})")
    plots = sorted((results / "plots").glob("*.svg"))
    shutil.rmtree(HERE / "plots", ignore_errors=True)
    (HERE / "plots").mkdir()
    for plot in plots:
        shutil.copy(plot, HERE / "plots")
    images = "\n".join(f"![{plot.stem}](../benches/plots/{plot.name})" for plot in plots)
    return (
        f"`make bench`, {found['machine']}; medians of {found['rounds']} alternating rounds.\n\n"
        f"{(results / 'table.md').read_text()}\n{images}\n"
    )


def main() -> None:
    [results] = sys.argv[1:]
    text = PAGE.read_text()
    between = re.compile(f"(?<={BEGIN}\n).*?(?={END})", re.DOTALL)
    made, places = between.subn(lambda _: section(Path(results)), text, count=1)
    if places != 1:
        sys.exit(f"page.py: docs/benchmark.md has no {BEGIN} and {END}")
    PAGE.write_text(made)


if __name__ == "__main__":
    main()

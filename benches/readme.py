"""readme.py RESULTS: shows the results of the last benchmark in README, between its markers, with the plots in
benches/plots. Only those of a complete run on a quiet machine. `make bench-readme` runs it."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def section(results: Path) -> str:
    found = json.loads((results / "results.json").read_text())
    if not found["complete"]:
        sys.exit("readme.py: the last run measured only a part")
    if not found["quiet"]:
        sys.exit(f"readme.py: the machine was busy with other things (idle: {found['idle']})")
    plots = sorted((results / "plots").glob("*.svg"))
    shutil.rmtree(HERE / "plots", ignore_errors=True)
    (HERE / "plots").mkdir()
    for plot in plots:
        shutil.copy(plot, HERE / "plots")
    images = "\n".join(f"![{plot.stem}](benches/plots/{plot.name})" for plot in plots)
    return (
        "## Measured\n\n"
        f"`make bench`, {found['machine']}; medians of {found['rounds']} alternating rounds.\n\n"
        f"{(results / 'table.md').read_text()}\n{images}\n"
    )


def main() -> None:
    [results] = sys.argv[1:]
    text = README.read_text()
    between = re.compile(f"(?<={BEGIN}\n).*?(?={END})", re.DOTALL)
    made, places = between.subn(lambda _: section(Path(results)), text, count=1)
    if places != 1:
        sys.exit(f"readme.py: README.md has no {BEGIN} and {END}")
    README.write_text(made)


if __name__ == "__main__":
    main()

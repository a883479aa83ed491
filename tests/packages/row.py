"""row.py FILE KEY VALUE…: writes a row of the table of packages (mk/packages/table.py), after its tests have passed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

KEYS = ("package", "platform", "install", "contents", "size", "tests")

row: dict[str, str | int | bool] = dict(zip(sys.argv[2::2], sys.argv[3::2], strict=True))
assert tuple(row) == KEYS, row
row["size"] = int(row["size"])
row["passed"] = True
Path(sys.argv[1]).parent.mkdir(parents=True, exist_ok=True)
Path(sys.argv[1]).write_text(json.dumps(row, ensure_ascii=False, indent=2) + "\n")
print(f"{row['package']}: {row['tests']}")

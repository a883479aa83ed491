"""copyright.py FILE: writes debian/copyright, from packaging/debian/copyright.in and a paragraph for each crate in vendor/."""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LICENCE_FILE = re.compile(r"(LICEN[CS]E|COPYING|COPYRIGHT|UNLICENSE|NOTICE)", re.IGNORECASE)
COPYRIGHT = re.compile(r"^[ #*/]*(Copyright\s+(?:\(c\)|©|\d{4}).*?)[ .]*$", re.IGNORECASE | re.MULTILINE)


def expression(licence: str) -> str:
    """The licence as SPDX writes it: old crates separate alternatives by a slash."""
    return re.sub(r"\s*/\s*", " OR ", licence)


@dataclass(frozen=True)
class Crate:
    """A crate from the registry, as its unpacked sources describe it."""

    name: str
    version: str
    licence: str
    authors: tuple[str, ...]
    directory: Path

    @staticmethod
    def of(directory: Path) -> Crate:
        package = tomllib.loads((directory / "Cargo.toml").read_text())["package"]
        return Crate(
            package["name"],
            package["version"],
            expression(package["license"]),
            tuple(re.sub(r"\s*<.*>", "", author) for author in package.get("authors", ())),
            directory,
        )

    def licence_files(self) -> list[Path]:
        return sorted(path for path in self.directory.iterdir() if path.is_file() and LICENCE_FILE.match(path.name))

    def copyrights(self) -> list[str]:
        """The copyright lines of its licences, or else its authors."""
        found: dict[str, None] = {}
        for path in self.licence_files():
            text = path.read_text(errors="replace")
            found.update((line, None) for line in COPYRIGHT.findall(text) if "[" not in line and "{" not in line)
        return list(found) or [", ".join(self.authors) or f"the authors of {self.name}"]


# Licences that are on every Debian system: we name the file instead of repeating the text.
COMMON = {"Apache-2.0": "Apache-2.0", "LGPL-2.1-or-later": "LGPL-2.1", "MPL-2.0": "MPL-2.0"}
# Where to find the text of the others.
WORDS = {
    "Apache-2.0 WITH LLVM-exception": ("rustix", "LICENSE-Apache-2.0_WITH_LLVM-exception", "--- LLVM Exceptions"),
    "MIT": ("rustix", "LICENSE-MIT", "Permission is hereby"),
    "Unicode-3.0": ("unicode-ident", "LICENSE-UNICODE", "Permission is hereby"),
    "Unlicense": ("memchr", "UNLICENSE", "This is free"),
    "NCSA": (None, "packaging/debian/ncsa.txt", "Permission is hereby"),
}


def debian_name(licence: str) -> str:
    return licence.replace(" WITH ", "-with-")


def debian_expression(licence: str) -> str:
    """Debian has no brackets: what all alternatives have in common comes last, after a comma."""
    named = licence.replace(" WITH ", "-with-").replace(" OR ", " or ")
    bracketed = re.fullmatch(r"\(([^()]*)\) AND (\S+)", named)
    return f"{bracketed[1]}, and {bracketed[2]}" if bracketed else named


def licences_named(licence: str) -> set[str]:
    return {name.strip() for name in re.split(r" OR | AND ", licence.replace("(", "").replace(")", ""))}


def indented(text: str) -> str:
    return "".join(f" {line.rstrip() or '.'}\n" for line in text.strip().splitlines())


def words(licence: str, vendor: Path) -> str:
    if licence in COMMON:
        return f"The text is in /usr/share/common-licenses/{COMMON[licence]} on Debian systems.\n"
    if licence not in WORDS:
        raise SystemExit(f"copyright.py: WORDS does not say where to find the text of {licence}")
    crate, name, begin = WORDS[licence]
    path = ROOT / name if crate is None else sorted(vendor.glob(f"{crate}-[0-9]*"))[0] / name
    text = path.read_text()
    text = text[text.index(begin):]
    if licence.startswith("Apache-2.0 "):
        return "The text of the Apache License is in /usr/share/common-licenses/Apache-2.0 on Debian systems.\n\n" + text
    return text


def debian() -> str:
    vendor = ROOT / "vendor"
    crates = [Crate.of(directory) for directory in sorted(vendor.iterdir())]
    if not crates:
        raise SystemExit("copyright.py: vendor/ is empty; run this in the unpacked tarball")
    pages = [(ROOT / "packaging/debian/copyright.in").read_text().strip() + "\n"]
    named = {"MIT", "Apache-2.0"}
    for crate in crates:
        named |= licences_named(crate.licence)
        holders = [re.sub(r"^Copyright\s+((\(c\)|©)\s*)?", "", line, flags=re.IGNORECASE) for line in crate.copyrights()]
        pages.append(
            f"Files: vendor/{crate.directory.name}/*\n"
            + "Copyright: " + "\n ".join(holders) + "\n"
            + f"License: {debian_expression(crate.licence)}\n"
        )
    pages += [f"License: {debian_name(name)}\n" + indented(words(name, vendor)) for name in sorted(named)]
    return "\n".join(pages)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    Path(sys.argv[1]).write_text(debian())

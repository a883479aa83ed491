"""Makes the wheel: the package, with the library in it. A PEP 517 and PEP 660 backend that needs only Python.

The library is the one that JLOCK_LIBRARY names. If that is not set, it is the one that `make` builds for installing, now
or earlier, from the Rust sources in the checkout or the source distribution. Without those, it is the installed one, which
pkg-config finds.

Two settings (`--config-settings`) are for wheels that are given to others: `platform`, the tag of the platforms on which
the library works, such as manylinux2014_x86_64, because this machine's own tag would promise less; and `about`, a
directory that says what the library is made of: jlock.cdx.json and THIRD-PARTY.txt.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import os
import pathlib
import re
import shutil
import subprocess
import sysconfig
import tarfile
import zipfile
from typing import Any, Optional

HERE = pathlib.Path(__file__).resolve().parents[1]
# Where the Rust sources are in a source distribution; in a checkout they are further up.
RUST = HERE / "rust"
ROOT = RUST if RUST.is_dir() else HERE.parents[1]
SONAME = "libjlock.so.0"

# Those of the Rust sources that `make -f mk/library.mk` needs, and the licences.
SOURCES = ["Cargo.toml", "Cargo.lock", "LICENSE-*", "jlock.pc.in", "libjlock.map", "mk/library.mk", "include/jlock.h"]
SOURCES += ["capi/Cargo.toml", "capi/build.rs", "src/**/*.rs", "cmake/*.in"]

BILL = "jlock.cdx.json"
THIRD_PARTY = "THIRD-PARTY.txt"

LONG_AGO = 315532800  # 1980, the date of all files

METADATA = """\
Metadata-Version: 2.4
Name: jlock
Version: {version}
Summary: One lockfile, one stamp, one journal: the append-only journal lock, safe beside @optave/codegraph
License-Expression: MIT OR Apache-2.0
{licences}Requires-Python: >=3.9
Classifier: Operating System :: POSIX :: Linux
Classifier: Typing :: Typed
Provides-Extra: test
Requires-Dist: mypy; extra == "test"
Requires-Dist: pytest; extra == "test"
Description-Content-Type: text/markdown

{readme}"""

Settings = Optional[dict[str, Any]]


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Settings = None) -> str:
    """Without this, pip would build the wheel twice."""
    name = f"jlock-{_version()}.dist-info"
    info = pathlib.Path(metadata_directory, name)
    info.mkdir()
    (info / "METADATA").write_bytes(_metadata(_about(config_settings)))
    (info / "WHEEL").write_bytes(_wheel_file(_tag(config_settings)))
    return name


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: Optional[str] = None) -> str:
    files = {f"jlock/{path.name}": path.read_bytes() for path in _package()}
    files[f"jlock/{SONAME}"] = _library().read_bytes()
    return _build(wheel_directory, files, config_settings)


def prepare_metadata_for_build_editable(metadata_directory: str, config_settings: Settings = None) -> str:
    return prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def build_editable(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: Optional[str] = None
) -> str:
    """The package in place. It looks for the library itself: JLOCK_LIBRARY, the checkout's, or the installed one."""
    _library()  # builds it, in a checkout
    return _build(wheel_directory, {"__editable__.jlock.pth": f"{HERE}\n".encode()}, config_settings)


def _build(wheel_directory: str, files: dict[str, bytes], settings: Settings) -> str:
    stem, tag, about = f"jlock-{_version()}", _tag(settings), _about(settings)
    name = f"{stem}-{tag}.whl"
    with _Wheel(os.path.join(wheel_directory, name)) as wheel:
        for file, content in files.items():
            wheel.add(file, content)
        for path in _licences(about):
            wheel.add(f"{stem}.dist-info/licenses/{path.name}", path.read_bytes())
        if about is not None:
            wheel.add(f"{stem}.dist-info/sboms/{BILL}", (about / BILL).read_bytes())
        wheel.add(f"{stem}.dist-info/METADATA", _metadata(about))
        wheel.add(f"{stem}.dist-info/WHEEL", _wheel_file(tag))
        wheel.record(f"{stem}.dist-info/RECORD")
    return name


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """The Python and Rust sources. The same sources make the same file, byte for byte."""
    if not _has_sources():
        raise RuntimeError(f"{ROOT}: a source distribution can be made only where the Rust sources are")
    stem = f"jlock-{_version()}"
    name = f"{stem}.tar.gz"
    files = {f"rust/{path.relative_to(ROOT)}": path for pattern in SOURCES for path in sorted(ROOT.glob(pattern))}
    own = [*_package(), pathlib.Path(__file__).resolve(), HERE / "pyproject.toml", HERE / "README.md"]
    files.update((str(path.relative_to(HERE)), path) for path in own)
    contents = {"PKG-INFO": _metadata(None), **{file: path.read_bytes() for file, path in files.items()}}
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file, content in contents.items():
            info = tarfile.TarInfo(f"{stem}/{file}")
            info.size, info.mtime = len(content), LONG_AGO
            archive.addfile(info, io.BytesIO(content))
    pathlib.Path(sdist_directory, name).write_bytes(gzip.compress(plain.getvalue(), mtime=0))
    return name


class _Wheel:
    """A zip file that lists its own content."""

    def __init__(self, path: str) -> None:
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)
        self._lines: list[str] = []

    def __enter__(self) -> _Wheel:
        return self

    def __exit__(self, *raised: object) -> None:
        self._zip.close()

    def add(self, name: str, content: bytes) -> None:
        self._zip.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        self._lines.append(f"{name},sha256={digest},{len(content)}\n")

    def record(self, name: str) -> None:
        self.add(name, "".join([*self._lines, f"{name},,\n"]).encode())


def _package() -> list[pathlib.Path]:
    package = HERE / "jlock"
    return sorted([*package.glob("*.py"), package / "py.typed"])


def _version() -> str:
    found = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{ROOT / 'Cargo.toml'}: no version")
    return found[1]


def _tag(settings: Settings) -> str:
    platform = (settings or {}).get("platform") or sysconfig.get_platform()
    return "py3-none-" + re.sub(r"[-.]", "_", platform)


def _about(settings: Settings) -> Optional[pathlib.Path]:
    named = (settings or {}).get("about")
    return pathlib.Path(named) if named else None


def _licences(about: Optional[pathlib.Path]) -> list[pathlib.Path]:
    ours = sorted(ROOT.glob("LICENSE-*"))
    return ours if about is None else [*ours, about / THIRD_PARTY]


def _wheel_file(tag: str) -> bytes:
    return f"Wheel-Version: 1.0\nGenerator: jlock_build\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()


def _metadata(about: Optional[pathlib.Path]) -> bytes:
    licences = "".join(f"License-File: {path.name}\n" for path in _licences(about))
    readme = (HERE / "README.md").read_text()
    return METADATA.format(version=_version(), licences=licences, readme=readme).encode()


def _has_sources() -> bool:
    return (ROOT / "mk" / "library.mk").is_file() and (ROOT / "src").is_dir()


def _library() -> pathlib.Path:
    named = os.environ.get("JLOCK_LIBRARY")
    if named:
        return pathlib.Path(named)
    path = _from_sources() or _installed()
    if path is None:
        advice = "build it with make, cargo and a C compiler, install it, or name it in JLOCK_LIBRARY"
        raise RuntimeError(f"no {SONAME}: {advice}")
    return path


def _from_sources() -> Optional[pathlib.Path]:
    if not _has_sources():
        return None
    if all(map(shutil.which, ("make", "cargo", os.environ.get("CC", "cc")))):
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        subprocess.run(["make", "-f", "mk/library.mk", "built"], cwd=ROOT, env=inherited, check=True)
    path = ROOT / "target" / "dist" / SONAME
    return path if path.is_file() else None


def _installed() -> Optional[pathlib.Path]:
    if not shutil.which("pkg-config"):
        return None
    asked = subprocess.run(["pkg-config", "--variable=libdir", "jlock"], stdout=subprocess.PIPE, text=True)
    path = pathlib.Path(asked.stdout.strip(), SONAME)
    return path if asked.returncode == 0 and path.is_file() else None

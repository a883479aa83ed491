"""Makes the wheel: the package, and the library beside it. A PEP 517 and PEP 660 backend that needs Python alone.

The library is the one that JLOCK_LIBRARY names; otherwise, in a checkout, the one that cargo builds, or that has been
built before; otherwise the installed one, which pkg-config knows. Its debug information, which is most of what cargo
builds, stays out of the wheel; an installed library has none, and goes in as it is.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import pathlib
import re
import shutil
import subprocess
import sysconfig
import tarfile
import tempfile
import zipfile
from typing import Any, Optional

HERE = pathlib.Path(__file__).resolve().parents[1]
ROOT = HERE.parents[1]
SONAME = "libjlock.so.0"

# In the table of section names, each of which ends with a NUL: the same word elsewhere in the file does not.
DEBUG = b"\0.debug_info\0"

METADATA = """\
Metadata-Version: 2.1
Name: jlock
Version: {version}
Summary: One lockfile, one stamp, one journal: the append-only journal lock, safe beside @optave/codegraph
License: MIT OR Apache-2.0
Requires-Python: >=3.9
Classifier: Operating System :: POSIX :: Linux
Classifier: Typing :: Typed
Provides-Extra: test
Requires-Dist: mypy; extra == "test"
Requires-Dist: pytest; extra == "test"
Description-Content-Type: text/markdown

{readme}"""

Settings = Optional[dict[str, Any]]


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Settings = None) -> str:
    """Without this pip would build the wheel twice."""
    name = f"jlock-{_version()}.dist-info"
    info = pathlib.Path(metadata_directory, name)
    info.mkdir()
    (info / "METADATA").write_bytes(_metadata())
    (info / "WHEEL").write_bytes(_wheel_file())
    return name


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: Optional[str] = None) -> str:
    files = {f"jlock/{path.name}": path.read_bytes() for path in _package()}
    files[f"jlock/{SONAME}"] = _stripped(_library())
    return _build(wheel_directory, files)


def prepare_metadata_for_build_editable(metadata_directory: str, config_settings: Settings = None) -> str:
    return prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def build_editable(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: Optional[str] = None
) -> str:
    """The package where it stands. It looks for the library itself: JLOCK_LIBRARY, the checkout's, the installed one."""
    _library()  # which builds it in a checkout
    return _build(wheel_directory, {"__editable__.jlock.pth": f"{HERE}\n".encode()})


def _build(wheel_directory: str, files: dict[str, bytes]) -> str:
    stem = f"jlock-{_version()}"
    name = f"{stem}-{_tag()}.whl"
    with _Wheel(os.path.join(wheel_directory, name)) as wheel:
        for file, content in files.items():
            wheel.add(file, content)
        for path in sorted(ROOT.glob("LICENSE*")):
            wheel.add(f"{stem}.dist-info/licenses/{path.name}", path.read_bytes())
        wheel.add(f"{stem}.dist-info/METADATA", _metadata())
        wheel.add(f"{stem}.dist-info/WHEEL", _wheel_file())
        wheel.record(f"{stem}.dist-info/RECORD")
    return name


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """The Python sources: what is built from them takes the library from JLOCK_LIBRARY or the system."""
    stem = f"jlock-{_version()}"
    name = f"{stem}.tar.gz"
    with tarfile.open(os.path.join(sdist_directory, name), "w:gz", format=tarfile.PAX_FORMAT) as archive:
        for path in [*_package(), pathlib.Path(__file__).resolve(), HERE / "pyproject.toml", HERE / "README.md"]:
            archive.add(path, f"{stem}/{path.relative_to(HERE)}")
        info = tarfile.TarInfo(f"{stem}/PKG-INFO")
        info.size = len(_metadata())
        archive.addfile(info, io.BytesIO(_metadata()))
    return name


class _Wheel:
    """A zip file with a list of what is in it."""

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
    if _in_checkout():
        source, pattern = ROOT / "Cargo.toml", r'^version = "(.+)"$'
    else:
        source, pattern = HERE / "PKG-INFO", r"^Version: (.+)$"
    found = re.search(pattern, source.read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{source}: no version")
    return found[1]


def _tag() -> str:
    return "py3-none-" + re.sub(r"[-.]", "_", sysconfig.get_platform())


def _wheel_file() -> bytes:
    return f"Wheel-Version: 1.0\nGenerator: jlock_build\nRoot-Is-Purelib: false\nTag: {_tag()}\n".encode()


def _metadata() -> bytes:
    return METADATA.format(version=_version(), readme=(HERE / "README.md").read_text()).encode()


def _in_checkout() -> bool:
    return (ROOT / "include" / "jlock.h").is_file() and (ROOT / "Cargo.toml").is_file()


def _library() -> pathlib.Path:
    named = os.environ.get("JLOCK_LIBRARY")
    if named:
        return pathlib.Path(named)
    path = _from_checkout() if _in_checkout() else _installed()
    if path is None:
        raise RuntimeError(f"no {SONAME}: build it with cargo, install it, or name it in JLOCK_LIBRARY")
    return path


def _stripped(library: pathlib.Path) -> bytes:
    content = library.read_bytes()
    strip = shutil.which(os.environ.get("STRIP", "strip"))
    if DEBUG not in content or strip is None:
        return content
    with tempfile.TemporaryDirectory() as directory:
        copy = pathlib.Path(directory, SONAME)
        subprocess.run([strip, "--strip-all", "-o", str(copy), str(library)], check=True)
        return copy.read_bytes()


def _from_checkout() -> Optional[pathlib.Path]:
    target = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
    if shutil.which("cargo"):
        subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)
    for path in (target / "release" / "libjlock.so", target / "dist" / SONAME):
        if path.is_file():
            return path
    return None


def _installed() -> Optional[pathlib.Path]:
    if not shutil.which("pkg-config"):
        return None
    asked = subprocess.run(["pkg-config", "--variable=libdir", "jlock"], stdout=subprocess.PIPE, text=True)
    path = pathlib.Path(asked.stdout.strip(), SONAME)
    return path if asked.returncode == 0 and path.is_file() else None

#!/usr/bin/env bash
# deb.sh TARBALL OUT: builds the Debian packages, source and binary, from the tarball into OUT, without a network, and checks
# them with lintian. The same tarball makes the same packages, byte for byte, wherever it is unpacked.
set -euo pipefail
# shellcheck source=packaging/tarball.sh
. "$(dirname "$0")/tarball.sh"

cp "$tarball" "$scratch/jlock_$version.orig.tar.gz"
tree=$scratch/jlock-$version
tar --extract --gzip --file "$tarball" --directory "$scratch"
cp -r "$tree/packaging/debian" "$tree/debian"
rm "$tree/debian/copyright.in" "$tree/debian/ncsa.txt"
python3 "$tree/packaging/copyright.py" "$tree/debian/copyright"
[ "$(cd "$tree" && dpkg-parsechangelog --show-field Version)" = "$version-1" ] ||
    fail "packaging/debian/changelog does not begin with $version-1"

# Rust need not be Debian's. debhelper hides the home directory, where rustup's commands look for the toolchain.
PATH=$(rustc --print sysroot)/bin:$PATH
export PATH
given=()
if ! dpkg-query --show cargo rustc >/dev/null 2>&1; then given=(--no-check-builddeps); fi
(cd "$tree" && build_alone "$out/deb.log" dpkg-buildpackage --no-sign "${given[@]}")

rm -f "$out"/*jlock*.deb "$out"/jlock_*
find "$scratch" -maxdepth 1 -type f -exec mv -t "$out" {} +
# Only packages that are uploaded to Debian have to close a bug. We do not check the tarball of the source package: the crates in
# it are for others to fix, and lintian takes minutes to unpack them.
lintian --allow-root --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs "$out"/*jlock*_"$version"-1_*.deb ||
    fail "lintian finds something"

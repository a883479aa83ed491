#!/usr/bin/env bash
# again.sh BUILD TARBALL PACKAGES: if the packages are built again in another directory, at another time and under
# another umask, they are the same, byte for byte. BUILD is packaging/deb.sh or packaging/rpm.sh; PACKAGES is what it
# built before.
set -euo pipefail

packages=$3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch" # some claims switch to another user

mkdir -p "$scratch/of-another-length"
(umask 077 && TMPDIR=$scratch/of-another-length "$1" "$2" "$scratch/out")
count=0
for again in "$scratch"/out/*.deb "$scratch"/out/*.dsc "$scratch"/out/*.debian.tar.xz "$scratch"/out/*.rpm; do
    [ -e "$again" ] || continue
    cmp "$again" "$packages/$(basename "$again")"
    count=$((count + 1))
done
[ "$count" -gt 0 ] || { echo "again.sh: nothing was built" >&2; exit 1; }
echo "built again: the same $count files"

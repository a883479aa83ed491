#!/usr/bin/env bash
# rpm.sh TARBALL OUT: builds the packages jlock, jlock-libs and jlock-devel from the tarball into OUT, without a network. The
# same tarball makes the same packages, byte for byte.
set -euo pipefail
umask 022

tarball=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
version=$(basename "$tarball" .tar.gz)
version=${version#jlock-}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/SOURCES"
cp "$tarball" "$scratch/SOURCES/"
tar --extract --gzip --to-stdout --file "$tarball" "jlock-$version/packaging/rpm/jlock.spec" |
    sed "s/@version@/$version/" >"$scratch/jlock.spec"

# The date of one file in the tarball will do, because all of them have the same.
SOURCE_DATE_EPOCH=$(tar --list --verbose --gzip --utc --full-time --file "$tarball" "jlock-$version/CHANGELOG.md" |
    awk '{ print $4, $5, "UTC" }' | date --file=- +%s)
export SOURCE_DATE_EPOCH

alone=()
for way in "unshare --net" "unshare --net --map-root-user"; do
    # shellcheck disable=SC2206 # words
    if $way true 2>/dev/null; then alone=($way) && break; fi
done

# On Debian, rpm did not install what the build needs, and so does not know that it is there.
given=()
if ! rpm --query rust cargo >/dev/null 2>&1; then given=(--nodeps); fi
env -u MAKEFLAGS -u MAKELEVEL -u CARGO_TARGET_DIR -u RUSTFLAGS -u JLOCK_LIBRARY "${alone[@]}" \
    rpmbuild -ba "${given[@]}" --define "_topdir $scratch" --define "_buildhost localhost" \
    --define "use_source_date_epoch_as_buildtime 1" --define "clamp_mtime_to_source_date_epoch 1" \
    "$scratch/jlock.spec" >"$out/rpm.log" 2>&1 ||
    { tail -n 40 "$out/rpm.log" >&2; echo "rpm.sh: rpmbuild failed" >&2; exit 1; }

rm -f "$out"/jlock-*.rpm
mv "$scratch"/RPMS/*/*.rpm "$scratch"/SRPMS/*.rpm "$out"

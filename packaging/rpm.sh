#!/usr/bin/env bash
# rpm.sh TARBALL OUT: builds the packages jlock, jlock-libs and jlock-devel from the tarball into OUT, without a network. The
# same tarball makes the same packages, byte for byte.
set -euo pipefail
# shellcheck source=packaging/tarball.sh
. "$(dirname "$0")/tarball.sh"

mkdir "$scratch/SOURCES"
cp "$tarball" "$scratch/SOURCES/"
tar --extract --gzip --to-stdout --file "$tarball" "jlock-$version/packaging/rpm/jlock.spec" |
    sed "s/@version@/$version/" >"$scratch/jlock.spec"

# The date of one file in the tarball will do, because all of them have the same.
SOURCE_DATE_EPOCH=$(tar --list --verbose --gzip --utc --full-time --file "$tarball" "jlock-$version/CHANGELOG.md" |
    awk '{ print $4, $5, "UTC" }' | date --file=- +%s)
export SOURCE_DATE_EPOCH

# On Debian, rpm did not install what the build needs, and so does not know that it is there.
given=()
if ! rpm --query rust cargo >/dev/null 2>&1; then given=(--nodeps); fi
build_alone "$out/rpm.log" rpmbuild -ba "${given[@]}" --define "_topdir $scratch" --define "_buildhost localhost" \
    --define "use_source_date_epoch_as_buildtime 1" --define "clamp_mtime_to_source_date_epoch 1" \
    "$scratch/jlock.spec"

rm -f "$out"/jlock-*.rpm
mv "$scratch"/RPMS/*/*.rpm "$scratch"/SRPMS/*.rpm "$out"

#!/bin/sh
# dist.sh TARBALL: packs the sources as they stand here, with every crate that they need, so that a build fetches nothing. The
# same sources make the same tarball, byte for byte. Beside it goes jlock.wrap, with which Meson takes it for a subproject.
set -eu
umask 022

mkdir -p "$(dirname "$1")"
tarball=$(realpath "$1")
name=$(basename "$1" .tar.gz)
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
tree=$scratch/$name
mkdir -p "$tree/.cargo"

# What git knows; or, in a tree that was unpacked from a tarball, everything that was not built there.
sources() {
    if [ -e .git ]; then
        git ls-files -z -- . ':!.ci'
    else
        find . \( -name target -o -name node_modules -o -path ./vendor -o -path ./.cargo -o -path './examples/go/lib/linux_*' \) -prune -o -type f -print0
    fi
}
sources | tar --create --null --files-from=- | tar --extract --directory="$tree"

# For the fuzz targets, too, which have their own lock file.
cargo vendor --quiet --locked --versioned-dirs --respect-source-config --sync fuzz/Cargo.toml "$tree/vendor" >/dev/null
# But without the import libraries for Windows that two of them bring, compiled: a hundred megabytes that nothing here links.
sed -i -e 's/"[^"]*\.a":"[0-9a-f]*",\{0,1\}//g' -e 's/,}/}/' "$tree"/vendor/*/.cargo-checksum.json
find "$tree/vendor" -name '*.a' -delete
cat >"$tree/.cargo/config.toml" <<END
[source.crates-io]
replace-with = "vendored"

[source.vendored]
directory = "vendor"
END

date=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
tar --create --directory="$scratch" --sort=name --format=gnu --mtime="@$date" --owner=0 --group=0 --numeric-owner \
    --mode=u+w,go=u,go-w "$name" | gzip --no-name -9 >"$tarball"

# Without a URL, because the tarball is nowhere to be fetched from yet: Meson then looks for it in subprojects/packagefiles.
cat >"$(dirname "$tarball")/jlock.wrap" <<END
[wrap-file]
directory = $name
source_filename = $(basename "$tarball")
source_hash = $(sha256sum "$tarball" | cut -d' ' -f1)

[provide]
dependency_names = jlock
END

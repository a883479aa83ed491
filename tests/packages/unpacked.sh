#!/usr/bin/env bash
# unpacked.sh ROOT: what packages have installed below ROOT is complete, and enough for programs: the claims in C hold
# for the shared library, a program links the static one, and the command runs. Prints what was tried, for
# docs/packages.md.
set -euo pipefail

root=$(realpath "$1")
cd "$(dirname "$0")/../.."

fail() {
    echo "unpacked.sh: $*" >&2
    exit 1
}

pc=$(find "$root/usr" -name jlock.pc)
[ -n "$pc" ] || fail "no jlock.pc"
libs=$(dirname "$(dirname "$pc")")
export PKG_CONFIG_LIBDIR=$libs/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root LD_LIBRARY_PATH=$libs
needed() { readelf --dynamic "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; }

# Here the command is linked dynamically, and it uses the library beside it.
needed "$root/usr/bin/jlock" | grep -qx libjlock.so.0 || fail "the command does not use the shared library"
[ "$(readlink -f "$libs/libjlock.so")" = "$(readlink -f "$libs/libjlock.so.0")" ] || fail "libjlock.so names another library"
JLOCK=$root/usr/bin/jlock packaging/debian/tests/command

# Every manual page of the project is there, and every function of the library has one.
pages=$(find "$root/usr/share/man" -name 'jlock*' | wc -l)
[ "$pages" = "$(find man -name '*.[13]' | wc -l)" ] || fail "$pages manual pages"

# The parts inside are listed, and their licences are there.
find "$root/usr/share" -name 'jlock.cdx.json' | grep -q . || fail "no list of what is inside"
find "$root/usr/share" -name 'jlock.cdx.json' -print0 | while IFS= read -r -d '' list; do
    python3 tests/packages/parts.py "$list" "$root"
done
said=$(packaging/debian/tests/c-claims)

# A program that links the static library needs no library when it runs.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# shellcheck disable=SC2046 # it is to be split into words
gcc -o "$scratch/lock" examples/first/lock.c $(pkg-config --cflags jlock) "$libs/libjlock.a" \
    $(pkg-config --static --libs-only-l jlock | sed 's/-ljlock//')
! needed "$scratch/lock" | grep -q jlock || fail "the archive was not taken"
said_by_first=$(cd "$scratch" && env -u LD_LIBRARY_PATH ./lock)
[ "$said_by_first" = "no other program is here" ] || fail "first/lock.c: $said_by_first"

echo "$said; the command; the static library"

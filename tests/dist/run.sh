#!/usr/bin/env bash
# run.sh TARBALL: checks that the source tarball can be made again, byte for byte, and that it builds and installs
# without a network and without any crates but its own.
set -euo pipefail

tarball=$(realpath "$1")
name=$(basename "$tarball" .tar.gz)
cd "$(dirname "$0")/../.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail() {
    echo "run.sh: $*" >&2
    exit 1
}

# Made again with another umask, in another directory, at a later time.
(umask 077 && mk/dist.sh "$scratch/again/$name.tar.gz")
cmp "$tarball" "$scratch/again/$name.tar.gz" || fail "the tarball differs when it is made again"

foreign=$(tar --list --gzip --file "$tarball" | grep -vE "^$name(/|\$)" || true)
[ -z "$foreign" ] || fail "not below $name: $foreign"
for unwanted in target .git .ci node_modules; do
    ! tar --list --gzip --file "$tarball" "$name/$unwanted" >/dev/null 2>&1 || fail "$unwanted is in the tarball"
done

# If possible, in a network namespace without devices; in any case cargo is told to stay offline.
alone=()
for way in "unshare --net" "unshare --net --map-root-user"; do
    # shellcheck disable=SC2206 # it is to be split into words
    if $way true 2>/dev/null; then alone=($way) && break; fi
done

tar --extract --gzip --file "$tarball" --directory "$scratch"
env -u MAKEFLAGS -u MAKELEVEL -u CARGO_TARGET_DIR CARGO_HOME="$scratch/cargo" CARGO_NET_OFFLINE=true \
    "${alone[@]}" make --silent -C "$scratch/$name" install DESTDIR="$scratch/root" prefix=/usr

installed=$("$scratch/root/usr/bin/jlock" --version)
[ "$installed" = "jlock ${name#jlock-}" ] || fail "installed: $installed"
[ -e "$scratch/root/usr/lib/libjlock.so.0" ] || fail "no library was installed"

# As a subproject of a program that Meson builds. tests/installed builds one; here the wrap must lead Meson to the tarball.
user=$scratch/user
mkdir -p "$user/subprojects/packagefiles"
cp "$(dirname "$tarball")/jlock.wrap" "$user/subprojects/"
cp "$tarball" "$user/subprojects/packagefiles/"
cp examples/c/quickstart.c "$user/"
cat >"$user/meson.build" <<'END'
project('user', 'c', default_options: ['c_std=c99'])
executable('user', 'quickstart.c', dependencies: dependency('jlock'))
END
PKG_CONFIG_LIBDIR=$scratch meson setup "$user/build" "$user" >"$scratch/said" || { cat "$scratch/said" >&2; fail "the wrap does not work"; }
grep -q "Executing subproject jlock" "$scratch/said" || { cat "$scratch/said" >&2; fail "jlock came from elsewhere"; }

#!/usr/bin/env bash
# deb.sh PACKAGES: dpkg installs the Debian packages into an empty root, where they are enough to build and run
# programs, and removes them again without a trace. Writes results/system-deb.json, the packages' row for
# docs/packages.md.
set -euo pipefail

packages=$(realpath "$1")
cd "$(dirname "$0")/../.."

fail() {
    echo "deb.sh: $*" >&2
    exit 1
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
root=$scratch/root
mkdir -p "$root/var/lib/dpkg"
touch "$root/var/lib/dpkg/status"
as_root=()
if [ "$(id -u)" != 0 ]; then as_root=(fakeroot); fi
# The C library is the machine's, which dpkg does not know of in this root.
there() { "${as_root[@]}" dpkg --root="$root" --force-not-root --force-depends --force-script-chrootless "$@"; }

debs=("$packages"/libjlock0_*.deb "$packages"/libjlock-dev_*.deb "$packages"/jlock_*.deb)
there --install "${debs[@]}" >"$scratch/said" 2>&1 || { cat "$scratch/said" >&2; fail "dpkg does not install them"; }
there --verify | grep . && fail "what was installed is not what the packages say"

tried=$(tests/packages/unpacked.sh "$root")

there --purge jlock libjlock-dev libjlock0 >"$scratch/said" 2>&1 || { cat "$scratch/said" >&2; fail "dpkg does not purge them"; }
left=$(find "$root" -name '*jlock*')
[ -z "$left" ] || fail "left behind: $left"

python3 tests/packages/row.py "$packages/results/system-deb.json" \
    package "libjlock0, libjlock-dev, jlock (.deb)" \
    platform "$(dpkg --print-architecture), $(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release)" \
    install "apt install ./libjlock0_*.deb ./libjlock-dev_*.deb ./jlock_*.deb" \
    contents "shared library; header, archive, object, pkg-config, section 3 of the manual; command, its manual and completions" \
    size "$(cat "${debs[@]}" | wc -c)" \
    tests "$tried"

#!/usr/bin/env bash
# rpm.sh PACKAGES: rpm installs its packages into an empty root, where they are enough to build and run programs, and
# removes them again without a trace. Writes results/system-rpm.json, the packages' row for docs/packages.md.
set -euo pipefail

packages=$(realpath "$1")
cd "$(dirname "$0")/../.."

fail() {
    echo "rpm.sh: $*" >&2
    exit 1
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
root=$scratch/root
mkdir -p "$root"
as_root=()
if [ "$(id -u)" != 0 ]; then as_root=(fakeroot); fi
there() { "${as_root[@]}" rpm --root="$root" --dbpath=/var/lib/rpm "$@"; }

arch=$(uname -m)
mapfile -t rpms < <(find "$packages" -name "jlock-*.$arch.rpm" | sort)
[ ${#rpms[@]} = 3 ] || fail "expected three packages, found: ${rpms[*]}"

# What the packages require and provide, and which files they list.
for one in "${rpms[@]}"; do
    rpm --query --package --requires "$one" >>"$scratch/requires"
    rpm --query --package --provides "$one" >>"$scratch/provides"
    rpm --query --package --list "$one" >>"$scratch/lists"
done
grep -q '^libjlock.so.0()(64bit)$\|^libjlock.so.0$' "$scratch/provides" || fail "nobody provides the library"
grep -q '^libjlock.so.0(JLOCK_0.1)' "$scratch/requires" || fail "the command does not ask for the library's version"

# The C library is the machine's, which rpm does not know of in this root.
there --install --nodeps "${rpms[@]}" >"$scratch/said" 2>&1 || { cat "$scratch/said" >&2; fail "rpm does not install them"; }
there --verify --nodeps jlock jlock-libs jlock-devel || fail "what was installed is not what the packages say"
(cd "$root" && find usr -type f -o -type l) | sed 's|^|/|' | sort >"$scratch/found"
while read -r file; do
    grep -qxF "$file" "$scratch/lists" || fail "in no list: $file"
done < <(grep -v '^/usr/lib/sysimage' "$scratch/found")

tried=$(tests/packages/unpacked.sh "$root")

there --erase --nodeps jlock jlock-libs jlock-devel >"$scratch/said" 2>&1 || { cat "$scratch/said" >&2; fail "rpm does not remove them"; }
left=$(find "$root/usr" -name '*jlock*')
[ -z "$left" ] || fail "left behind: $left"

python3 tests/packages/row.py "$packages/results/system-rpm.json" \
    package "jlock-libs, jlock-devel, jlock (.rpm)" \
    platform "$arch, built and tried on $(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release)" \
    install "rpm --install jlock-libs-*.rpm jlock-devel-*.rpm jlock-[0-9]*.rpm" \
    contents "shared library; header, archive, object, pkg-config, section 3 of the manual; command, its manual and completions" \
    size "$(cat "${rpms[@]}" | wc -c)" \
    tests "$tried"

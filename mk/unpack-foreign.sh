#!/usr/bin/env bash
# unpack-foreign.sh ARCH DIRECTORY PACKAGE…: unpacks Debian's packages for another architecture, and all that they depend on.
# DEBIAN_SUITE names a release other than the system's, for an architecture that the latter lacks.
set -euo pipefail
# shellcheck source=mk/own-apt.sh
. "$(dirname "$0")/own-apt.sh"

arch=$1 into=$2
shift 2
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
own_apt "$state" "${DEBIAN_SUITE:+deb @ $DEBIAN_SUITE main}"
own_apt+=(-o "APT::Architecture=$arch" -o "APT::Architectures=$arch")
# A mirror may be about to be updated, and have some lists that do not match. The others will do, unless a package is in none.
"${own_apt[@]}" update -qq || true
"${own_apt[@]}" install -qq -y --no-install-recommends --download-only "$@" >/dev/null

# Complete, or not there.
rm -rf "$into.part" "$into"
mkdir -p "$into.part"
for package in "$state"/archives/*.deb; do
    dpkg-deb --extract "$package" "$into.part"
done
# From Debian 13 on, everything is in /usr, and no package among these brings the link.
[ -e "$into.part/lib" ] || ln -s usr/lib "$into.part/lib"
mv "$into.part" "$into"

#!/usr/bin/env bash
# unpack-foreign.sh ARCH DIRECTORY PACKAGE…: unpacks Debian's packages for another architecture, and all that they depend on.
# DEBIAN_SUITE names a release other than the system's, for an architecture that the latter lacks.
# apt gets a state of its own, so that the system's does not learn of another architecture or release.
set -euo pipefail

arch=$1 into=$2
shift 2
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$state/lists/partial" "$state/archives/partial"
touch "$state/status"
options=(-o "Dir::State=$state" -o "Dir::Cache=$state" -o "Dir::State::status=$state/status"
    -o "APT::Architecture=$arch" -o "APT::Architectures=$arch" -o APT::Sandbox::User=root)
if [ -n "${DEBIAN_SUITE:-}" ]; then
    # From where this system gets Debian's packages.
    # shellcheck disable=SC2016 # apt's own variables
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages' | sed -n '/ Debian$/ { s///p; q }')
    [ -n "$mirror" ] || { echo "unpack-foreign.sh: apt has no source with Debian's packages" >&2; exit 1; }
    echo "deb $mirror $DEBIAN_SUITE main" >"$state/sources.list"
    options+=(-o "Dir::Etc::SourceList=$state/sources.list" -o Dir::Etc::SourceParts=/dev/null)
fi
# A mirror may be about to be updated, and have some lists that do not match. The others will do, unless a package is in none.
apt-get "${options[@]}" update -qq || true
apt-get "${options[@]}" install -qq -y --no-install-recommends --download-only "$@" >/dev/null

# Complete, or not there.
rm -rf "$into.part" "$into"
mkdir -p "$into.part"
for package in "$state"/archives/*.deb; do
    dpkg-deb --extract "$package" "$into.part"
done
# From Debian 13 on, everything is in /usr, and no package among these brings the link.
[ -e "$into.part/lib" ] || ln -s usr/lib "$into.part/lib"
mv "$into.part" "$into"

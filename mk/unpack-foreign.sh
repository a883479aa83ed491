#!/usr/bin/env bash
# unpack-foreign.sh ARCH DIRECTORY PACKAGE…: unpacks Debian's packages for another architecture, and all that they depend on.
# apt gets a state of its own, so that the system's does not learn of another architecture.
set -euo pipefail

arch=$1 into=$2
shift 2
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$state/lists/partial" "$state/archives/partial"
touch "$state/status"
options=(-o "Dir::State=$state" -o "Dir::Cache=$state" -o "Dir::State::status=$state/status"
    -o "APT::Architecture=$arch" -o "APT::Architectures=$arch" -o APT::Sandbox::User=root)
# A mirror may be about to be updated, and have some lists that do not match. The others will do, unless a package is in none.
apt-get "${options[@]}" update -qq || true
apt-get "${options[@]}" install -qq -y --no-install-recommends --download-only "$@" >/dev/null

# Complete, or not there.
rm -rf "$into.part" "$into"
mkdir -p "$into.part"
for package in "$state"/archives/*.deb; do
    dpkg-deb --extract "$package" "$into.part"
done
mv "$into.part" "$into"

#!/bin/sh
# debian.sh PACKAGES: on a bare Debian without Rust (which tests/debian/run.sh makes), apt installs the packages,
# autopkgtest runs their tests, and apt removes them again. Needs root, in a root of its own.
set -eu

packages=$(realpath "$1")
! command -v cargo rustc || { echo "debian.sh: Rust is here" >&2; exit 1; }

apt-get install -qq -y --no-install-recommends autopkgtest >/dev/null
apt-get install -qq -y --no-install-recommends "$packages"/libjlock0_*.deb "$packages"/jlock_*.deb >/dev/null
# This one needs neither the development package nor a compiler.
(cd /root/jlock && packaging/debian/tests/command)
apt-get purge -qq -y jlock libjlock0 >/dev/null

autopkgtest "$packages"/*.deb "$packages"/jlock_*.dsc -- null
! command -v cargo rustc || { echo "debian.sh: Rust came with the packages" >&2; exit 1; }

apt-get purge -qq -y jlock libjlock-dev libjlock0 >/dev/null
left=$(find /usr /etc /var/lib/dpkg/info -name '*jlock*')
[ -z "$left" ] || { echo "debian.sh: left behind: $left" >&2; exit 1; }

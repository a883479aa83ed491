#!/bin/sh
# Installs what the benchmark compares with the library, if this machine lacks it: liblockfile, with apt on Debian and Ubuntu.
set -eu

[ -e /usr/include/lockfile.h ] && exit
command -v apt-get >/dev/null || { echo "benches/deps.sh: please install liblockfile, with its header" >&2; exit 1; }
as_root=
if [ "$(id -u)" != 0 ]; then as_root=sudo; fi
$as_root apt-get update -qq
$as_root apt-get install -qq -y --no-install-recommends liblockfile-dev >/dev/null

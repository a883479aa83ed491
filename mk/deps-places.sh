#!/bin/sh
# Installs, on Debian and Ubuntu, the file systems that `make test-places` tries and this machine lacks. Elsewhere, or if one is
# not available, the place is not tried, and the table says so.
set -eu

# file:package
needed='/usr/bin/bindfs:bindfs /usr/bin/sshfs:sshfs /usr/lib/openssh/sftp-server:openssh-sftp-server
/usr/bin/mergerfs:mergerfs /usr/bin/unionfs:unionfs-fuse /usr/bin/fuse-overlayfs:fuse-overlayfs
/usr/bin/gocryptfs:gocryptfs /usr/bin/fuse2fs:fuse2fs /usr/bin/disorderfs:disorderfs
/usr/sbin/mount.exfat-fuse:exfat-fuse /usr/sbin/mkfs.exfat:exfatprogs /usr/sbin/mkfs.ext4:e2fsprogs
/usr/sbin/mkfs.xfs:xfsprogs /usr/sbin/mkfs.btrfs:btrfs-progs /usr/sbin/mkfs.vfat:dosfstools
/usr/bin/fusermount3:fuse3 /usr/include/fuse3/fuse.h:libfuse3-dev /usr/bin/pkg-config:pkg-config
/usr/bin/unshare:util-linux'

missing=
for pair in $needed; do
    [ -e "${pair%%:*}" ] || missing="$missing ${pair#*:}"
done
[ -n "$missing" ] || exit 0
command -v apt-get >/dev/null || { echo "deps-places: missing here:$missing" >&2; exit 0; }
apt-get update -qq
# One by one: if a release lacks one package, the others must still be installed.
for package in $missing; do
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$package" >/dev/null ||
        echo "deps-places: $package is not available" >&2
done

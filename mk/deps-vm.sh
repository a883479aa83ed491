#!/bin/sh
# deps-vm.sh DIR: what `make test-vm` needs. On Debian and Ubuntu, it installs qemu and the programs that make file systems. And
# for the guests, it unpacks Debian's kernels and the programs of its NFS and SMB servers into DIR; none of those is installed
# here.
set -eu

at=${1:?}

# file:package
needed='/usr/bin/qemu-system-x86_64:qemu-system-x86 /usr/bin/mmdebstrap:mmdebstrap /usr/bin/cpio:cpio /sbin/depmod:kmod
/usr/sbin/mkfs.ext4:e2fsprogs /usr/sbin/mkfs.xfs:xfsprogs /usr/sbin/mkfs.vfat:dosfstools /usr/sbin/mkfs.exfat:exfatprogs
/usr/bin/unshare:util-linux /usr/bin/ip:iproute2
/usr/share/keyrings/debian-archive-keyring.gpg:debian-archive-keyring'
missing=
for pair in $needed; do
    [ -e "${pair%%:*}" ] || missing="$missing ${pair#*:}"
done
# Since Debian 13, virtiofsd has a package of its own; before, it came with qemu.
if [ ! -e /usr/lib/qemu/virtiofsd ] && [ -n "$(apt-cache search --names-only '^virtiofsd$' 2>/dev/null)" ]; then
    [ -e /usr/libexec/virtiofsd ] || missing="$missing virtiofsd"
fi
if [ -n "$missing" ]; then
    command -v apt-get >/dev/null || { echo "deps-vm: please install:$missing" >&2; exit 1; }
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
fi

[ ! -e "$at/root.img" ] || exit 0
mkdir -p "$at"
rm -rf "${at:?}/root" "${at:?}/boot" "${at:?}/lib"
guests='busybox-static,base-files,netbase,iproute2,kmod,mount,util-linux,strace,nfs-kernel-server,nfs-common,rpcbind,cifs-utils,samba,dmsetup'
kernels='linux-image-cloud-amd64,linux-image-amd64'
mmdebstrap --quiet --variant=extract --include="$guests,$kernels" "${DEBIAN_SUITE:-bookworm}" "$at/root"

# Kernels and modules go into the initramfs; everything else becomes the guests' disk.
mkdir "$at/lib"
mv "$at/root/boot" "$at/"
mv "$at/root/lib/modules" "$at/lib/"
for modules in "$at"/lib/modules/*; do
    find "$modules" -name '*.ko.xz' -exec unxz {} +
    depmod -b "$at" "${modules##*/}"
done
cp "$at/root/bin/busybox" "$at/"
truncate -s 800M "$at/new.img"
mkfs.ext4 -q -F -d "$at/root" "$at/new.img"
rm -rf "$at/root"
mv "$at/new.img" "$at/root.img"

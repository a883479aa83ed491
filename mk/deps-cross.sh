#!/usr/bin/env bash
# deps-cross.sh [NAME…]: installs what this machine lacks for building and testing all of mk/cross.txt, or these: a Rust with
# the sources of its standard library; Debian's compilers and C libraries; qemu-user; musl.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=mk/deps-rust.sh
. mk/deps-rust.sh

[ "$(uname -m)" = x86_64 ] || { echo "deps: cross-building has been tried on x86-64 only" >&2; exit 1; }

have_rust_with_sources

missing=()
while read -r name _ tools qemu _; do
    case " ${*:-$name} " in *" $name "*) ;; *) continue ;; esac
    case $name in '#'*) continue ;; x86_64-musl) [ -e /lib/ld-musl-x86_64.so.1 ] || missing+=(musl) ;; esac
    command -v "$tools-gcc" >/dev/null || missing+=("gcc-$(tr _ - <<<"$tools")")
    "$tools-gcc" -print-file-name=libc.so 2>/dev/null | grep -q / || missing+=("$(case $tools in
        x86_64-*) echo libc6-dev ;;
        i686-*) echo libc6-dev-i386-cross ;;
        aarch64-*) echo libc6-dev-arm64-cross ;;
        arm-*) echo libc6-dev-armhf-cross ;;
        *) echo "libc6-dev-${tools%%-*}-cross" ;;
        esac)")
    [ "$qemu" = - ] || command -v "qemu-$qemu-static" >/dev/null || missing+=(qemu-user-static)
done <mk/cross.txt
[ ${#missing[@]} = 0 ] || install "${missing[@]}"

# musl's loader for Arm, which Debian has only as a package of that architecture: we unpack it here instead of installing it.
musl=target/cross/musl-arm64
case " ${*:-aarch64-musl} " in *" aarch64-musl "*) ;; *) exit 0 ;; esac
[ -e $musl/lib/ld-musl-aarch64.so.1 ] || mk/unpack-foreign.sh arm64 $musl musl

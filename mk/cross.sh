#!/usr/bin/env bash
# cross.sh NAME TARGET…: makes targets of mk/library.mk and mk/cli.mk for another architecture or C library, a line of
# mk/cross.txt.
#
# This also builds Rust's standard library, because no package has it for all of these. zig does the linking: it knows the
# symbols of each glibc, and brings musl and an unwinder. So the library requires no newer glibc than the table says.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/sanitize/toolchain.sh
. tests/sanitize/toolchain.sh

read -r name rust tools _ zig < <(grep "^$1 " mk/cross.txt) || { echo "cross.sh: no line $1 in mk/cross.txt" >&2; exit 1; }
shift

RUSTC=$(rust_with_sources)
CARGO=$(dirname "$RUSTC")/cargo
export RUSTC CARGO CARGO_BUILD_TARGET=$rust ZIG_GLOBAL_CACHE_DIR=$PWD/target/cross/zig
# A stable compiler builds its standard library if it takes itself for a nightly one. The part that prints stack traces is left
# out.
export RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=std,panic_unwind CARGO_UNSTABLE_BUILD_STD_FEATURES=panic-unwind
export CARGO_PROFILE_INSTALLED_DEBUG=false

case $zig in
*-musl)
    # LLVM's unwinder, linked in: not every musl system has a libgcc_s. A program that links the archive gets one from its compiler.
    system="-lunwind"
    ;;
*)
    system="$("$tools-gcc" -print-file-name=libgcc_s.so.1) -lpthread -ldl -lm"
    ;;
esac

# CARGO_BUILD_TARGET is for this make alone: what the outer make starts besides is for this machine.
env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make --silent -f mk/library.mk -f mk/cli.mk TARGET=target/cross DIST="target/cross/$name" \
    CC="target/venv/bin/python -m ziglang cc -target $zig" CROSS_COMPILE="$tools-" LDFLAGS=-s SYSTEM="$system" CLI_SYSTEM="-lunwind -lpthread -ldl -lm" "$@"

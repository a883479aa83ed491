#!/usr/bin/env bash
# cross.sh NAME GOAL…: goals of mk/library.mk and mk/cli.mk for another architecture or C library, a line of mk/cross.txt.
#
# Rust's standard library is built along, as no package has it for all of these. What is linked is linked by zig, which knows
# the symbols of each glibc, and brings musl and an unwinder: the library asks for no newer glibc than the table says.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/sanitize/toolchain.sh
. tests/sanitize/toolchain.sh

read -r name rust tools _ zig < <(grep "^$1 " mk/cross.txt) || { echo "cross.sh: no line $1 in mk/cross.txt" >&2; exit 1; }
shift

RUSTC=$(rust_with_sources)
CARGO=$(dirname "$RUSTC")/cargo
export RUSTC CARGO CARGO_BUILD_TARGET=$rust ZIG_GLOBAL_CACHE_DIR=$PWD/target/cross/zig
# A stable compiler builds its standard library if it takes itself for one of the nightlies. Without what prints stack traces.
export RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=std,panic_unwind CARGO_UNSTABLE_BUILD_STD_FEATURES=panic-unwind
export CARGO_PROFILE_INSTALLED_DEBUG=false

case $zig in
*-musl)
    # LLVM's, and inside: not every musl system has a libgcc_s. Whoever links the archive has one from the compiler.
    system="-lunwind"
    ;;
*)
    system="$("$tools-gcc" -print-file-name=libgcc_s.so.1) -lpthread -ldl -lm"
    ;;
esac

# CARGO_BUILD_TARGET is of this make alone; what it starts, it starts for here.
env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make --no-print-directory -f mk/library.mk -f mk/cli.mk TARGET=target/cross DIST="target/cross/$name" \
    CC="target/venv/bin/python -m ziglang cc -target $zig" CROSS_COMPILE="$tools-" LDFLAGS=-s SYSTEM="$system" CLI_SYSTEM="-lunwind -lpthread -ldl -lm" "$@"

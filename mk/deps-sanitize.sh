#!/usr/bin/env bash
# Installs what the sanitizers need and this machine lacks: a Rust with the sources of its standard library, and for each
# Rust without runtimes of its own a clang of the same LLVM, with them. With apt on Debian and Ubuntu; elsewhere it says what is missing, and stops.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/sanitize/toolchain.sh
. tests/sanitize/toolchain.sh

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)

install() {
    command -v apt-get >/dev/null || { echo "deps: the sanitizers need $*: please install" >&2; exit 1; }
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

# Debian 12 keeps a newer Rust beside its own, for its browsers.
install_rust() {
    install rustc-web cargo-web rust-web-src 2>/dev/null || install rustc cargo rust-src
}

if ! rustc=$(rust_with_sources 2>/dev/null); then
    if dpkg-query --show rustc >/dev/null 2>&1; then install rust-src; else install_rust; fi
    rustc=$(rust_with_sources)
fi

runtime_for() { # RUSTC WHAT [std]
    (choose_toolchain "${@:2}") 2>/dev/null && return
    local llvm
    llvm=$(llvm_of "$1")
    install "clang-$llvm" "libclang-rt-$llvm-dev"
    (choose_toolchain "${@:2}")
}

runtime_for rustc address
runtime_for "$rustc" thread std

#!/usr/bin/env bash
# Installs what the sanitizers need and this machine lacks: a Rust with the sources of its standard library, and for each Rust
# that has no runtimes of its own, a clang of the same LLVM that has them. With apt on Debian and Ubuntu; elsewhere it says what
# is missing, and stops.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=mk/deps-rust.sh
. mk/deps-rust.sh

have_rust_with_sources
rustc=$(rust_with_sources)

runtime_for() { # RUSTC WHAT [std]
    (choose_toolchain "${@:2}") 2>/dev/null && return
    local llvm
    llvm=$(llvm_of "$1")
    install "clang-$llvm" "libclang-rt-$llvm-dev"
    (choose_toolchain "${@:2}")
}

runtime_for rustc address
runtime_for "$rustc" thread std

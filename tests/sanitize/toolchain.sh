# shellcheck shell=bash
# The compilers of the sanitizers, chosen in one place; sourced.
#
# Rust with the sources of its standard library, which ThreadSanitizer must have built anew: with locks that it does not see,
# it reports every use of what they guard. And a sanitizer's runtime of the LLVM that this Rust was made with: Rust's own,
# which Debian's Rust lacks; otherwise that of a clang of the same LLVM.

# The first of these that has them: if a newer one from elsewhere lacks them, Debian's is used.
compilers=("${RUSTC:-rustc}" /usr/bin/rustc)

has_sources() { [ -e "$("$1" --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library/std/Cargo.toml" ]; }
llvm_of() { "$1" -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p'; }

# Of which LLVM a clang is, as it says itself.
clang_llvm() { "$1" --version 2>/dev/null | sed -n '1s/.*version \([0-9]*\).*/\1/p'; }

clang_of() { # LLVM: prints a clang of it
    local name
    for name in "clang-$1" clang; do
        if [ "$(clang_llvm "$name")" = "$1" ]; then
            echo "$name"
            return
        fi
    done
    return 1
}

# Whether a clang can link what it has instrumented.
has_runtime() { "$1" "-fsanitize=$2" -x c -o /dev/null - <<<'int main(void) { return 0; }' 2>/dev/null; } # CLANG WHAT

rust_with_sources() { # prints it
    local compiler
    for compiler in "${compilers[@]}"; do
        if has_sources "$compiler"; then
            command -v "$compiler"
            return
        fi
    done
    echo "toolchain.sh: no Rust with the sources of its standard library, of ${compilers[*]}: run make deps," \
        "or rustup component add rust-src" >&2
    return 1
}

own_runtime() { # RUSTC WHAT: prints Rust's own, if there is one
    local short=${2:0:1}san file
    for file in "$("$1" --print target-libdir)"/librustc-*_rt."$short".a; do
        [ ! -e "$file" ] || echo "$file"
    done
}

# choose_toolchain WHAT [std]: what (address, thread) watches Rust, and with "std" its standard library, too.
#   RUSTC, CARGO, RUSTC_BOOTSTRAP, RUSTFLAGS   exported, for builds with --target "$triple" (and -Zbuild-std)
#   compiler    compiles C
#   linker      links C with the Rust that was built so
# shellcheck disable=SC2034 # for the scripts that source this
choose_toolchain() {
    local what=$1 llvm own clang
    case ${2:-} in
    std) RUSTC=$(rust_with_sources) || return 1 ;;
    *) RUSTC=$(command -v "${compilers[0]}") ;;
    esac
    CARGO=$(dirname "$RUSTC")/cargo
    [ -x "$CARGO" ] || CARGO=cargo
    # Each of the flags is unstable; the compiler is a stable one.
    export RUSTC CARGO RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=$what"
    triple=$("$RUSTC" -vV | sed -n 's/^host: //p')
    llvm=$(llvm_of "$RUSTC")
    own=$(own_runtime "$RUSTC" "$what")
    # A clang of another LLVM instruments what Rust's own runtime understands, as long as that is the newer one.
    clang=$(clang_of "$llvm") || clang=${own:+clang}
    if [ -n "$own" ]; then
        compiler=("$clang" "-fsanitize=$what")
        # Not the compiler as the driver of its own runtime.
        # shellcheck disable=SC2054 # the commas are the linker's
        linker=("$clang" -Wl,--whole-archive "$own" -Wl,--no-whole-archive -Wl,--export-dynamic -lrt -lresolv)
    elif [ -n "$clang" ] && has_runtime "$clang" "$what"; then
        compiler=("$clang" "-fsanitize=$what")
        linker=("$clang" "-fsanitize=$what")
        RUSTFLAGS+=" -Zexternal-clangrt -Clinker=$clang -Clink-arg=-fsanitize=$what"
    else
        echo "toolchain.sh: $("$RUSTC" --version) comes without the runtime of -Zsanitizer=$what," \
            "and there is no clang $llvm with one: run make deps, or install clang-$llvm and libclang-rt-$llvm-dev" >&2
        return 1
    fi
}

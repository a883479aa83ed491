# shellcheck shell=bash
# The compilers of the sanitizers, chosen in one place. To be sourced.
#
# Needed are a Rust with the sources of its standard library, which must be rebuilt for ThreadSanitizer: it reports
# every use of data whose locks it does not see. And a sanitizer runtime of the LLVM that this Rust was built with:
# Rust's own, which Debian's Rust lacks, or else that of a clang with the same LLVM.

# The first of these that has the sources: if a newer one from elsewhere lacks them, Debian's is used.
compilers=("${RUSTC:-rustc}" /usr/bin/rustc)

has_sources() { [ -e "$("$1" --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library/std/Cargo.toml" ]; }
llvm_of() { "$1" -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p'; }

# The LLVM version of a clang, as it prints it.
clang_llvm() { "$1" --version 2>/dev/null | sed -n '1s/.*version \([0-9]*\).*/\1/p'; }

clang_of() { # LLVM: prints a clang of this LLVM
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

rust_with_sources() { # prints the compiler
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

own_runtime() { # RUSTC WHAT: prints Rust's own runtime, if there is one
    local short=${2:0:1}san file
    for file in "$("$1" --print target-libdir)"/librustc-*_rt."$short".a; do
        [ ! -e "$file" ] || echo "$file"
    done
}

# choose_toolchain WHAT [std]: chooses what instruments Rust with WHAT (address, thread), with "std" also its standard
# library.
#   RUSTC, CARGO, RUSTC_BOOTSTRAP, RUSTFLAGS   exported, for builds with --target "$triple" (and -Zbuild-std)
#   compiler    compiles C
#   linker      links C with the Rust that was built that way
# shellcheck disable=SC2034 # for the scripts that source this
choose_toolchain() {
    local what=$1 llvm own clang
    case ${2:-} in
    std) RUSTC=$(rust_with_sources) || return 1 ;;
    *) RUSTC=$(command -v "${compilers[0]}") ;;
    esac
    CARGO=$(dirname "$RUSTC")/cargo
    [ -x "$CARGO" ] || CARGO=cargo
    # All these flags are unstable, and the compiler is a stable one.
    export RUSTC CARGO RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=$what"
    triple=$("$RUSTC" -vV | sed -n 's/^host: //p')
    llvm=$(llvm_of "$RUSTC")
    own=$(own_runtime "$RUSTC" "$what")
    # Rust's own runtime understands what a clang of another LLVM instruments, as long as the runtime is the newer one.
    clang=$(clang_of "$llvm") || clang=${own:+clang}
    if [ -n "$own" ]; then
        compiler=("$clang" "-fsanitize=$what")
        # The compiler must not add its own runtime.
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

#!/usr/bin/env bash
# run.sh address|thread|valgrind [CALLS]: runs the C tests, the examples in C, random misuse and the thread test under
# AddressSanitizer, ThreadSanitizer or valgrind.
set -euo pipefail

what=${1:?address, thread or valgrind}
calls=${2:-20000}
cd "$(dirname "$0")/../.."
# shellcheck source=tests/sanitize/toolchain.sh
. tests/sanitize/toolchain.sh

out=$PWD/target/sanitize/$what
scratch=$(mktemp -d)
chmod 755 "$scratch" # some claims switch to another user
trap 'rm -rf "$scratch"' EXIT
count=0
mkdir -p "$out"

# Runs a program in its own directory, and prints its output if it fails. A sanitizer's report makes it fail.
watched() {
    local dir=$scratch/$((++count))
    mkdir "$dir"
    if ! "$@" "$dir" >"$dir.log" 2>&1 </dev/null; then
        cat "$dir.log" >&2
        echo "run.sh: failed under $what: $*" >&2
        exit 1
    fi
}

# ThreadSanitizer must see the locks of Rust's standard library.
build_with_sanitizer() { # [-Zbuild-std]
    choose_toolchain "$what" ${1:+std}
    "$CARGO" build --quiet "$@" --lib --target "$triple" --target-dir "$out"
    archive=$out/$triple/debug/libjlock.a
    export ASAN_OPTIONS=allocator_may_return_null=1:detect_stack_use_after_return=1 TSAN_OPTIONS=halt_on_error=1
}

# A release build, as it is installed: in a debug build, Rust's own checks would end the process at misuse.
build_for_valgrind() {
    cargo build --quiet --release
    archive=target/release/libjlock.a
    compiler=(cc)
    linker=(cc)
}

compile() { # PROGRAM SOURCES...
    local program=$1 objects=()
    shift
    for source in "$@"; do
        objects+=("$scratch/$(basename "$source").o")
        "${compiler[@]}" -std=gnu11 -g -O1 -fno-omit-frame-pointer -pthread -Iinclude -c -o "${objects[-1]}" "$source"
    done
    "${linker[@]}" -o "$scratch/$program" "${objects[@]}" "$archive" -lgcc_s -lpthread -ldl -lm
}

# ThreadSanitizer's runtime has a thread of its own, which takes signals.
is_told_apart() { [ "$what:$1" = thread:the_keepalive_thread_takes_no_signals ]; }

claims() {
    local number=0 program claim
    for program in options errors lock fork journal faults names; do
        compile "$program" "tests/c/$program.c" tests/c/claim.c
        for claim in $("$scratch/$program"); do
            if is_told_apart "$claim"; then continue; fi
            watched "$scratch/$program" "$claim"
            number=$((number + 1))
        done
    done
    echo "figure: claims in C, $what = $number"
}

misuse() {
    compile misuse tests/sanitize/misuse.c
    local seed=${JLOCK_SEED:-1}
    echo "JLOCK_SEED=$seed"
    watched "$scratch/misuse" "$seed" "$calls"
    echo "figure: calls in misuse, $what = $calls"
}

examples() {
    for example in quickstart writer; do
        compile $example examples/c/$example.c
    done
    # shellcheck disable=SC2317 # it is called by its name
    write() { seq 500 | "$@" "$scratch/examples" c; }
    watched "${valgrind[@]}" "$scratch/quickstart"
    write "${valgrind[@]}" "$scratch/writer" >"$scratch/writer.log"
    [ "$(grep -c '^ack ' "$scratch/writer.log")" = 500 ]
    echo "figure: examples in C, $what = 2"
}

threads() {
    "$CARGO" build --quiet --locked -Zbuild-std --manifest-path tests/sanitize/threads/Cargo.toml \
        --target "$triple" --target-dir "$out"
    watched "$out/$triple/debug/threads"
    echo "figure: tests of threads, $what = 1"
}

case $what in
address)
    valgrind=()
    build_with_sanitizer
    claims
    misuse
    examples
    ;;
thread)
    valgrind=()
    build_with_sanitizer -Zbuild-std
    claims
    misuse
    examples
    threads
    ;;
valgrind)
    # What is still reachable at the end is what the library stores once per process.
    # shellcheck disable=SC2054 # the commas are valgrind's
    valgrind=(valgrind --quiet --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite,indirect,possible)
    build_for_valgrind
    examples
    compile misuse tests/sanitize/misuse.c
    watched "$scratch/misuse" closed
    ;;
*)
    echo "usage: run.sh address|thread|valgrind [CALLS]" >&2
    exit 2
    ;;
esac

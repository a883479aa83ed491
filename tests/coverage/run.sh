#!/usr/bin/env bash
# run.sh [SUITE...]: builds the Rust suites, and the library that other programs load, so that they count what they run;
# runs them; and prints how much of src/ they reach. Without SUITE, all of them.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/sanitize/toolchain.sh
. tests/sanitize/toolchain.sh

out=$PWD/target/coverage
rm -rf "$out/profiles"
mkdir -p "$out/profiles"
chmod 1777 "$out/profiles" # some tests run a child as another user

# Left out are suites that run none of the library's code in a process that exits by itself (model, header, layers,
# msrv, picture, readme, installed, abi), and those that run it elsewhere with other flags (sanitize).
[ $# -gt 0 ] || set -- capi cli cost differential fault guest journal protections regression stepped storm vectors

tool() { # NAME: prints the path of this tool, from the LLVM that the compiler was built with
    local llvm name
    llvm=$(llvm_of "${RUSTC:-rustc}")
    for name in "$(rustc --print target-libdir)/../bin/$1" "$1-$llvm" "$1"; do
        if command -v "$name" >/dev/null && "$name" --version | grep -q "version $llvm\."; then
            command -v "$name"
            return
        fi
    done
    if ! command -v apt-get >/dev/null; then
        echo "run.sh: no $1 of LLVM $llvm: rustup component add llvm-tools, or install llvm-$llvm" >&2
        return 1
    fi
    mk/deps.sh "$1-$llvm:llvm-$llvm" >&2
    command -v "$1-$llvm"
}
profdata=$(tool llvm-profdata)
cov=$(tool llvm-cov)

export RUSTC_WORKSPACE_WRAPPER=$PWD/tests/coverage/rustc.sh
# %c: a process counts in its file, not in its memory. So it counts too if it is killed or ends by _exit, and so does its
# child.
export CARGO_TARGET_DIR=$out LLVM_PROFILE_FILE=$out/profiles/%c%m-%p.profraw
export JLOCK_LIBRARY=$out/debug/deps/libjlock.so

# A C program does not start counting by itself: it has to ask for that as it is linked, and so does the object that is
# installed, which mk/library.mk must not put where it would find it the next time.
mkdir -p "$out/bin"
gcc=$(command -v gcc)
printf '#!/bin/sh\nexec %s -Wl,-u,__llvm_profile_runtime "$@"\n' "$gcc" >"$out/bin/gcc"
chmod +x "$out/bin/gcc"
export PATH=$out/bin:$PATH TARGET=$out LD="ld -u __llvm_profile_runtime"

tests=(--lib)
for suite; do tests+=(--test "$suite"); done
LLVM_PROFILE_FILE=/dev/null cargo test --quiet --no-run --features seam "${tests[@]}"

failed=()
for suite in lib "$@"; do
    if [ "$suite" = lib ]; then which=(--lib); else which=(--test "$suite"); fi
    echo "run.sh: $suite"
    # A process makes the file that it counts in when it starts, which must not be where files may not grow.
    cargo test --quiet --features seam "${which[@]}" -- --skip a_file_that_may_not_grow_so_far \
        >"$out/$suite.log" 2>&1 </dev/null || failed+=("$suite")
    # Each process leaves a file of counts, and a storm has thousands of processes.
    find "$out/profiles" -name '*.profraw' -size +0 >"$out/list"
    "$profdata" merge --sparse --failure-mode=all --input-files="$out/list" --output="$out/profiles/$suite.profdata" 2>"$out/merge.log" \
        || { cat "$out/merge.log" >&2; exit 1; }
    find "$out/profiles" -name '*.profraw' -delete
done
"$profdata" merge --sparse --output="$out/all.profdata" "$out"/profiles/*.profdata

# Besides the programs in Rust: what other programs load, what programs in C link, and what is installed. One at a time:
# of functions that have the same name in several, as those of the C interface do, llvm-cov counts the first only. It warns
# of those that did not run in this one.
objects=("$out/debug/deps/libjlock.so")
for built in "$out/tmp/library/debug/libjlock.so" "$out/tmp/capi/contained"; do
    [ ! -e "$built" ] || objects+=("$built")
done
for suite in jlock "$@"; do
    # The newest of each: cargo keeps the older ones.
    program=$(find "$out/debug/deps" -maxdepth 1 -type f -executable -name "$suite-*" ! -name '*.so' -printf '%T@ %p\n' \
        | sort -rn | sed -n '1s/^[^ ]* //p')
    [ -z "$program" ] || objects+=("$program")
done
for object in "${objects[@]}"; do
    "$cov" export --format=lcov --instr-profile="$out/all.profdata" "$object" --sources src 2>"$out/export.log" \
        || { cat "$out/export.log" >&2; exit 1; }
done >"$out/lcov.info"
python3 tests/coverage/report.py "$out/lcov.info" tests/coverage/reasons.txt
if [ ${#failed[@]} -gt 0 ]; then
    echo "run.sh: these failed while they were being counted, see $out/*.log: ${failed[*]}" >&2
    exit 1
fi

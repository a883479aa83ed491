#!/usr/bin/env bash
# run.sh same N | runs N | seconds N [TARGET…]: builds the fuzz targets as cargo-fuzz would, and runs each of them N times or
# for N seconds, JLOCK_JOBS (default: 2) at a time. What they find goes to target/fuzz/found, and what they learn to
# target/fuzz/corpus. `same` does not use what was learnt before, so with one JLOCK_SEED the inputs are the same each time.
set -euo pipefail

unit=${1:?same, runs or seconds} amount=${2:?how many}
shift 2
cd "$(dirname "$0")"
# shellcheck source=tests/sanitize/toolchain.sh
. ../tests/sanitize/toolchain.sh
[ $# -gt 0 ] || set -- entries names journal stamp structs # the slow ones first

out=$PWD/../target/fuzz
mkdir -p "$out/found"

coverage=(-Cpasses=sancov-module)
for option in level=4 inline-8bit-counters pc-table trace-compares; do
    coverage+=("-Cllvm-args=-sanitizer-coverage-$option")
done
choose_toolchain address
RUSTFLAGS+=" -Ccodegen-units=1 ${coverage[*]}"
"$CARGO" build --quiet --locked --release --target "$triple" --target-dir "$out"

case $unit in
same | runs) limit=-runs=$amount ;;
seconds) limit=-max_total_time=$amount ;;
*) echo "run.sh: same, runs or seconds" >&2 && exit 2 ;;
esac

seed=${JLOCK_SEED:-1}
echo "JLOCK_SEED=$seed"

# AddressSanitizer keeps freed memory out of use for a while. If it kept much, that would cost more than the rest of an
# execution. So would a stack trace for each allocation, and stacks that outlive their functions: run an input that was found
# once more with both.
export ASAN_OPTIONS=quarantine_size_mb=1:malloc_context_size=0:detect_stack_use_after_return=0:${ASAN_OPTIONS:-}

# In memory, because each execution makes dozens of system calls.
scratch=$(mktemp -d -p /dev/shm)
trap 'rm -rf "$scratch"' EXIT

run() {
    local target=$1 log=$scratch/$1.log corpus=$out/corpus/$1
    [ "$unit" != same ] || corpus=$scratch/$target.corpus
    mkdir -p "$corpus"
    if ! JLOCK_FUZZ_DIR=$scratch "$out/$triple/release/$target" "$limit" -seed="$seed" \
        -max_len=512 -dict="dictionaries/$target.dict" -timeout=60 \
        -reload=0 -artifact_prefix="$out/found/$target-" "$corpus" >"$log" 2>&1 </dev/null; then
        tail -n 60 "$log" >&2
        return 1
    fi
    sed -n "s/^Done \([0-9]*\) runs in \([0-9]*\) second.*/figure: executions, fuzz target $target = \1/p" "$log"
}

jobs=${JLOCK_JOBS:-2}
failed=0 running=0
reap() { # waits for the next one to end
    wait -n || failed=1
    running=$((running - 1))
}
for target; do
    [ "$running" -lt "$jobs" ] || reap
    run "$target" &
    running=$((running + 1))
done
while [ "$running" -gt 0 ]; do reap; done
exit $failed

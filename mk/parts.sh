#!/usr/bin/env bash
# parts.sh TARGET... [-- TARGET... -- TARGET...]: makes one after the other, and says at the end how long each of them took, and
# what share of the time that was. What follows the first `--` are lanes, which are made side by side: much of it waits for
# other processes, or for a compiler that uses one core. What the lanes but the first print comes at the end.
set -euo pipefail

begun=$SECONDS
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# What runs in the background does not get the terminal's interrupt.
trap 'trap - TERM; kill -TERM 0' INT

lane() { # NUMBER
    local shares=$scratch/$1 targets target before failed=0
    read -ra targets <<<"${lanes[$1]}"
    for target in "${targets[@]}"; do
        before=$SECONDS
        "${MAKE:-make}" --no-print-directory "$target" || failed=$?
        echo "$target $((SECONDS - before))" >>"$shares"
        [ "$failed" = 0 ] || return "$failed"
    done
}

say_shares() {
    local total=$((SECONDS - begun)) target took
    printf '\n'
    cat "$scratch"/[0-9] | while read -r target took; do
        printf '%-16s %3d min %02d s %4d %%\n' "$target" $((took / 60)) $((took % 60)) $((100 * took / (total > 0 ? total : 1)))
    done
    printf '%-16s %3d min %02d s\n' total $((total / 60)) $((total % 60))
}

lanes=()
for target; do
    if [ "$target" = -- ]; then lanes+=(""); continue; fi
    [ ${#lanes[@]} -gt 0 ] || lanes=("")
    lanes[-1]+=" $target"
done

failed=0
lane 0 || failed=$?
if [ "$failed" = 0 ] && [ ${#lanes[@]} -gt 1 ]; then
    beside=()
    for number in "${!lanes[@]}"; do
        [ "$number" -ge 2 ] || continue
        lane "$number" >"$scratch/$number.log" 2>&1 </dev/null &
        beside+=($!)
    done
    lane 1 || failed=$?
    for pid in "${beside[@]}"; do wait "$pid" || failed=$?; done
    for log in "$scratch"/*.log; do
        [ ! -e "$log" ] || cat "$log"
    done
fi
say_shares
exit "$failed"

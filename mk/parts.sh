#!/usr/bin/env bash
# parts.sh TARGET...: makes one after the other, and says at the end which share of the time each of them took.
set -euo pipefail

begun=$SECONDS names=() took=()
say_shares() {
    local total=$((SECONDS - begun)) at
    printf '\n'
    for at in "${!names[@]}"; do
        printf '%-16s %3d min %02d s %4d %%\n' "${names[at]}" $((took[at] / 60)) $((took[at] % 60)) \
            $((100 * took[at] / (total > 0 ? total : 1)))
    done
    printf '%-16s %3d min %02d s\n' total $((total / 60)) $((total % 60))
}
trap say_shares EXIT

for target; do
    before=$SECONDS failed=0
    "${MAKE:-make}" --no-print-directory "$target" || failed=$?
    names+=("$target") took+=($((SECONDS - before)))
    if [ "$failed" != 0 ]; then exit "$failed"; fi
done

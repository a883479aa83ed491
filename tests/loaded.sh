#!/usr/bin/env bash
# loaded.sh COMMAND...: runs the command beside eight busy loops and one that writes and syncs, and then ends those.
set -euo pipefail

scratch=$(mktemp -d) loops=()
end_loops() {
    local rc=$?
    # If one has been ended by somebody else, the load was incomplete.
    if ! kill "${loops[@]}"; then rc=1; fi
    wait "${loops[@]}" 2>/dev/null || true # they end by a signal
    rm -rf "$scratch"
    exit "$rc"
}
trap end_loops EXIT

for _ in 1 2 3 4 5 6 7 8; do
    bash -c "while :; do :; done" &
    loops+=($!)
done
python3 - "$scratch/synced" <<'END' &
import os, sys
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
while True:
    os.pwrite(file, os.urandom(65536), 0)
    os.fsync(file)
END
loops+=($!)

"$@"

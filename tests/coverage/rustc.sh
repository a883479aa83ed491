#!/bin/sh
# rustc.sh RUSTC ARGUMENT...: what cargo runs for the crates of this workspace alone, so that those count what they run.
# Branches are counted by an unstable flag; the compiler is a stable one.
RUSTC_BOOTSTRAP=1 exec "$@" -Cinstrument-coverage -Zcoverage-options=branch

#!/bin/sh
# rustc.sh RUSTC ARGUMENT...: cargo runs this for the crates of this workspace only, so that they count what they run.
# Counting branches needs an unstable flag, and the compiler is a stable one.
RUSTC_BOOTSTRAP=1 exec "$@" -Cinstrument-coverage -Zcoverage-options=branch \
    -Cllvm-args=-runtime-counter-relocation

# shellcheck shell=bash
# tarball.sh: what deb.sh and rpm.sh have in common, to be sourced with their arguments TARBALL OUT. It sets tarball, out,
# version, and scratch, a directory that is removed at the end.
umask 022

tarball=$(realpath "$1")
mkdir -p "$2"
# shellcheck disable=SC2034 # for those who source this
out=$(realpath "$2")
version=$(basename "$tarball" .tar.gz)
version=${version#jlock-}

fail() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# In a network namespace without devices, if we may make one; in any case, cargo is told to stay offline.
alone=()
for way in "unshare --net" "unshare --net --map-root-user"; do
    # shellcheck disable=SC2206 # words
    if $way true 2>/dev/null; then alone=($way) && break; fi
done

# LOG COMMAND...: without a network, and without what make and the user have set for another build.
build_alone() {
    env -u MAKEFLAGS -u MAKELEVEL -u CARGO_TARGET_DIR -u RUSTFLAGS -u JLOCK_LIBRARY "${alone[@]}" "${@:2}" >"$1" 2>&1 ||
        { tail -n 40 "$1" >&2; fail "$2 failed"; }
}

#!/bin/sh
# deps.sh [COMMAND:PACKAGE…]: installs what this machine lacks of what building and testing need, and of these: with apt on
# Debian and Ubuntu; elsewhere it says what is missing, and stops.
set -eu

# command:package, or page(section):package
needed='cc:gcc g++:g++ clang:clang make:make git:git pkg-config:pkg-config strace:strace valgrind:valgrind node:nodejs
npm:npm go:golang-go python3:python3 shellcheck:shellcheck column:bsdextrautils cargo:cargo cmake:cmake meson:meson ninja:ninja-build
mandoc:mandoc man:man-db groff:groff zsh:zsh setpriv:util-linux unshare:util-linux strip:binutils
abidiff:abigail-tools rustfmt:rustfmt cargo-clippy:rust-clippy fork(2):manpages-dev'

is_here() {
    case $1 in
    *\(2\)) man -w 2 "${1%(2)}" ;;
    *) command -v "$1" ;;
    esac >/dev/null 2>&1
}

missing=
for pair in $needed "$@"; do
    is_here "${pair%%:*}" || missing="$missing ${pair#*:}"
done
python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
perl -MJSON::PP -MTime::HiRes -e 1 2>/dev/null || missing="$missing perl" # not in perl-base, which is always there

if [ -n "$missing" ]; then
    command -v apt-get >/dev/null || { echo "deps: please install:$missing" >&2; exit 1; }
    as_root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || { echo "deps: please install, as root:$missing" >&2; exit 1; }
        as_root=sudo
    fi
    # shellcheck disable=SC2086 # a list of words
    $as_root sh -c "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null"
fi

# Debian's own may be too old. Other installers, such as rustup, are for the user to run.
at_least() {
    printf '%s\n%s\n' "$3" "$2" | sort -V -C || { echo "deps: $1 $3 or newer is needed, this is $2${4:+; $4}" >&2; exit 1; }
}
at_least rustc "$(rustc --version | cut -d' ' -f2)" 1.85.0 "see https://rustup.rs"
at_least node "$(node --version | tr -d v)" 18.0.0
at_least go "$(go env GOVERSION | tr -d go)" 1.21.0
at_least python3 "$(python3 -c 'import platform; print(platform.python_version())')" 3.9.0

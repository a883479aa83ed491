#!/usr/bin/env bash
# run.sh [COMMAND…]: on a bare Debian in a temporary root, runs the two commands of README and then each language's
# tests against the installed library; or runs only COMMAND, in the checkout there. Needs root and a network, and
# takes half an hour in full.
#
# debootstrap makes the root, from the mirror and with the settings that apt has here. DEBIAN_ROOT names a directory
# that is made once and then kept; DEBIAN_SUITE a release other than stable; DEBIAN_BRINGS a directory that is copied to
# /root/brought there.
set -euo pipefail

if [ "${1:-}" != --inside ]; then
    [ "$(id -u)" = 0 ] || { echo "run.sh: this needs root" >&2; exit 1; }
    if [ -z "${DEBIAN_ROOT:-}" ]; then
        DEBIAN_ROOT=$(mktemp -d)
        export DEBIAN_ROOT
        # Processes that were killed may still be ending.
        trap 'until rm -rf --one-file-system "$DEBIAN_ROOT"; do sleep 1; done' EXIT
    fi
    # Mounts and processes belong to the namespaces and end with them, whatever happens.
    env --default-signal=INT,QUIT unshare --mount --pid --fork --kill-child -- "$0" --inside "$@" &
    trap 'kill -KILL $!; exit 1' INT TERM HUP
    wait $!
    exit
fi
shift
root=$DEBIAN_ROOT
cd "$(dirname "$0")/../.."

# The first of apt's sources that is Debian's own archive; debootstrap's default if there is none.
mirror() {
    # shellcheck disable=SC2016 # apt's own variables
    apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages' |
        sed -n 's|^\(https\?://[^ ]*\) Debian$|\1|p' | sort -u | head -n 1
}

# What the machine needs to reach its registries: names and proxies, certificates, settings of apt, npm and pip.
settings() {
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    apt-config dump Acquire >"$root/etc/apt/apt.conf.d/90here"
    if [ -d /usr/local/share/ca-certificates ]; then
        cp -r /usr/local/share/ca-certificates "$root/usr/local/share/"
        chroot "$root" update-ca-certificates >/dev/null
    fi
    local file
    for file in /etc/pip.conf ~/.config/pip/pip.conf ~/.npmrc ~/.cargo/config.toml ~/.config/go/env; do
        if [ -f "$file" ]; then install -D -m 600 "$file" "$root$file"; fi
    done
}

# By debootstrap's own means, with nothing more than the two commands expect to find.
make_root() {
    local mirror said
    mirror=$(mirror)
    # shellcheck disable=SC2086 # or none
    said=$(debootstrap --variant=minbase --include=ca-certificates "${DEBIAN_SUITE:-stable}" "$root" $mirror 2>&1) ||
        { tail -n 20 <<<"$said" >&2; exit 1; }
    mounts
    settings
    inside apt-get update -qq
    inside apt-get install -qq -y --no-install-recommends make git >/dev/null
    touch "$root/ready"
}

mounts() {
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount --rbind /dev "$root/dev"
}

checkout=/root/jlock

# Not chroot: it forbids user namespaces, which some tests make.
# shellcheck disable=SC2016 # for the shell there
become_root='cd "$0" && pivot_root . mnt && cd / && umount -l /mnt && exec "$@"'

# From the environment, only what says how to reach the registries.
inside() {
    local names
    names=$(compgen -e | grep -iE '^(https?|ftp|all|no)_proxy$|^(PIP_(INDEX|EXTRA_INDEX|CERT|PROXY|TRUSTED|DEFAULT)|NPM_CONFIG_|CARGO_(HTTP|NET|REGISTR|SOURCE)_)|^GO(PROXY|SUMDB|NOSUMDB|FLAGS|PRIVATE)$|_CA_|^SSL_CERT' || true)
    local name given=()
    for name in $names; do given+=("$name=${!name}"); done
    env -i "${given[@]}" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
        TERM=dumb DEBIAN_FRONTEND=noninteractive unshare --mount sh -euc "$become_root" "$root" "$@"
}

# Only what is committed, nothing that was built here.
clone() {
    mkdir -p "$root$checkout"
    [ -d "$root$checkout/.git" ] || git init -q "$root$checkout"
    git -C "$root$checkout" fetch -q "$PWD" HEAD
    git -C "$root$checkout" checkout -q --force --detach FETCH_HEAD
}

mkdir -p "$root"
if [ -e "$root/ready" ]; then mounts; else make_root; fi
clone
if [ -n "${DEBIAN_BRINGS:-}" ]; then
    rm -rf "$root/root/brought"
    cp -r "$DEBIAN_BRINGS" "$root/root/brought"
fi
in_checkout() { inside env --chdir="$checkout" "$@"; }
if [ $# -gt 0 ]; then
    in_checkout "$@"
    exit
fi
in_checkout make test
in_checkout make demo
in_checkout tests/debian/installed.sh
echo "test-debian: passed on $(sed -n 's/^PRETTY_NAME=//p' "$root/etc/os-release")"

# shellcheck shell=bash
# Installs a Rust with the sources of its standard library; for other scripts to source. With apt on Debian and Ubuntu;
# elsewhere it says what is missing, and stops.
# shellcheck source=tests/sanitize/toolchain.sh
. tests/sanitize/toolchain.sh

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)

install() {
    command -v apt-get >/dev/null || { echo "deps: please install $*" >&2; exit 1; }
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

# Debian 12 keeps a newer Rust beside its own, for its browsers.
install_rust() {
    install rustc-web cargo-web rust-web-src 2>/dev/null || install rustc cargo rust-src
}

have_rust_with_sources() {
    if ! rust_with_sources >/dev/null 2>&1; then
        if dpkg-query --show rustc >/dev/null 2>&1; then install rust-src; else install_rust; fi
        rust_with_sources >/dev/null
    fi
}

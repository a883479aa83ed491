#!/bin/sh
# after-install.sh LIBDIR: makes the loader find what was installed there, if running ldconfig is enough for that, and says in
# two lines what a user has to know next.
set -eu

libdir=$1
flags="\$(pkg-config --cflags --libs jlock)"
case ":$(pkg-config --variable pc_path pkg-config 2>/dev/null):" in
*":$libdir/pkgconfig:"*) ;;
*) flags="\$(PKG_CONFIG_PATH=$libdir/pkgconfig pkg-config --cflags --libs jlock)" ;;
esac
echo "jlock: compile with cc program.c $flags; see man 3 jlock for the rest"

ldconfig=$(PATH=$PATH:/sbin:/usr/sbin command -v ldconfig || true)
if [ -n "$ldconfig" ] && "$ldconfig" -v -N -X 2>/dev/null | grep -q "^$libdir:"; then
    if [ "$(id -u)" = 0 ] && "$ldconfig"; then
        echo "jlock: ran ldconfig, so programs will find libjlock.so.0"
    else
        echo "jlock: run ldconfig as root, so that programs find libjlock.so.0"
    fi
else
    echo "jlock: link with -Wl,-rpath,$libdir or set LD_LIBRARY_PATH=$libdir, so that programs find libjlock.so.0"
fi

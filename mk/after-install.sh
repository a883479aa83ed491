#!/bin/sh
# after-install.sh LIBDIR: makes the loader find what was installed there, where that takes no more than ldconfig, and says in
# two lines what a user has to know next.
set -eu

libdir=$1
flags="\$(pkg-config --cflags --libs jlock)"
case ":$(pkg-config --variable pc_path pkg-config 2>/dev/null):" in
*":$libdir/pkgconfig:"*) ;;
*) flags="\$(PKG_CONFIG_PATH=$libdir/pkgconfig pkg-config --cflags --libs jlock)" ;;
esac
echo "jlock: compile with cc program.c $flags; man 3 jlock tells the rest"

ldconfig=$(PATH=$PATH:/sbin:/usr/sbin command -v ldconfig || true)
if [ -n "$ldconfig" ] && "$ldconfig" -v -N -X 2>/dev/null | grep -q "^$libdir:"; then
    if [ "$(id -u)" = 0 ] && "$ldconfig"; then
        echo "jlock: programs find libjlock.so.0: ldconfig has been run"
    else
        echo "jlock: so that programs find libjlock.so.0, run ldconfig as root"
    fi
else
    echo "jlock: so that programs find libjlock.so.0, link with -Wl,-rpath,$libdir or set LD_LIBRARY_PATH=$libdir"
fi

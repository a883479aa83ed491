//go:build cgo && !jlock_pkgconfig && !(linux && (amd64 || arm64))

package jlock

// This module brings no library for this system. With the tag jlock_pkgconfig it uses the one that is installed.
var _ = jlock_has_no_archive_for_this_system_build_with_tag_jlock_pkgconfig

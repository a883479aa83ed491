//go:build linux && amd64 && musl && !jlock_pkgconfig

// Package linux_amd64_musl holds the static library for this platform, and its header. It is a package so that
// `go mod vendor` copies them.
package linux_amd64_musl

// Sum changes whenever the archive or the header does.
const Sum = Make_library_and_fill_sh_put_the_archive_here

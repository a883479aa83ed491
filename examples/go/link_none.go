//go:build !jlock_pkgconfig && !(linux && (amd64 || arm64))

package jlock

// #cgo CFLAGS: -I${SRCDIR}/lib/none
import "C"

import _ "jlock.example/jlock/lib/none"

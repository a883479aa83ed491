//go:build !jlock_pkgconfig && !(linux && (amd64 || arm64 || (!musl && (386 || arm || riscv64 || s390x))))

package jlock

// #cgo CFLAGS: -I${SRCDIR}/lib/none
import "C"

import _ "jlock.example/jlock/lib/none"

//go:build !jlock_pkgconfig && !musl

package jlock

// #cgo CFLAGS: -I${SRCDIR}/lib/linux_arm64
// #cgo LDFLAGS: ${SRCDIR}/lib/linux_arm64/libjlock.a -lpthread -ldl -lm
import "C"

import _ "jlock.example/jlock/lib/linux_arm64"

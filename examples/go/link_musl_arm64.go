//go:build linux && arm64 && musl && !jlock_pkgconfig

package jlock

// #cgo CFLAGS: -I${SRCDIR}/lib/linux_arm64_musl
// #cgo LDFLAGS: ${SRCDIR}/lib/linux_arm64_musl/libjlock.a -lpthread -ldl -lm
import "C"

import _ "jlock.example/jlock/lib/linux_arm64_musl"

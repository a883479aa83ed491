//go:build linux && amd64 && musl && !jlock_pkgconfig

package jlock

// #cgo CFLAGS: -I${SRCDIR}/lib/linux_amd64_musl
// #cgo LDFLAGS: ${SRCDIR}/lib/linux_amd64_musl/libjlock.a -lpthread -ldl -lm
import "C"

import _ "jlock.example/jlock/lib/linux_amd64_musl"
